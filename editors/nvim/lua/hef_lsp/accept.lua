--- Taking a suggestion, whole or in part.
---
--- Neovim 0.12 keeps showing a suggestion while the next is on its way, but its own `get()` inserts it where it was made,
--- before what was typed since, and whole only. So `get()` is used to find and to clear the suggestion, and what is
--- left of it is inserted here.
local api = vim.api
local M = {}

---@class hef_lsp.Rest what is left of a suggestion at the cursor
---@field text string
---@field row integer 0-based
---@field col integer in bytes
---@field end_col integer behind the closers that the suggestion brings along itself

--- nil when what was typed since is not how the suggestion goes.
---@param item vim.lsp.inline_completion.Item with text that is no snippet
---@return hef_lsp.Rest?
local function rest_of(item)
  local text = item.insert_text --[[@as string]]
  local row, col = unpack(api.nvim_win_get_cursor(0))
  row = row - 1
  local range = item.range
  if not range then
    return { text = text, row = row, col = col, end_col = col }
  end
  local known, typed = pcall(api.nvim_buf_get_text, 0, range.start_row, range.start_col, row, col, {})
  local so_far = known and table.concat(typed, '\n')
  if not so_far or not vim.startswith(text, so_far) then
    return nil
  end
  local overwritten = range.end_row == range.start_row and range.end_col - range.start_col or 0
  local line = api.nvim_get_current_line()
  return { text = text:sub(#so_far + 1), row = row, col = col, end_col = math.min(col + overwritten, #line) }
end

---@param rest hef_lsp.Rest
---@param text string how much of it
---@param end_col integer
local function insert(rest, text, end_col)
  local lines = vim.split(text, '\n', { plain = true })
  api.nvim_buf_set_text(0, rest.row, rest.col, rest.row, end_col, lines)
  local col = (#lines == 1 and rest.col or 0) + #lines[#lines]
  api.nvim_win_set_cursor(0, { rest.row + #lines, col })
end

---@param pick fun(text: string): string the part to take
---@return boolean whether there was a suggestion
local function take(pick)
  local function on_accept(item)
    if type(item.insert_text) ~= 'string' then
      return item -- a snippet of another server is Neovim's to expand
    end
    local rest = rest_of(item)
    if not rest then
      return nil
    end
    local part = pick(rest.text)
    if part ~= rest.text then
      insert(rest, part, rest.col)
      M.trigger() -- the server knows the remainder and answers at once
      return nil
    end
    insert(rest, part, rest.end_col)
    local client = vim.lsp.get_client_by_id(item.client_id)
    if client and item.command then
      client:exec_cmd(item.command, { bufnr = api.nvim_get_current_buf() })
    end
    return nil
  end
  local native = vim.lsp.inline_completion
  return native ~= nil and vim.fn.pumvisible() == 0 and native.get({ on_accept = on_accept })
end

---@return boolean whether there was a suggestion to accept
function M.whole()
  return take(function(text)
    return text
  end)
end

---@return boolean
function M.word()
  return take(function(text)
    return text:match('^%s*[%w_\128-\255]+') or text:match('^%s*[^%w_%s\128-\255]+') or text
  end)
end

---@return boolean
function M.line()
  return take(function(text)
    return text:match('^\n*[^\n]*')
  end)
end

--- Hide the suggestion until the next key.
---@return boolean whether there was one
function M.dismiss()
  return vim.lsp.inline_completion ~= nil and vim.lsp.inline_completion.get({ on_accept = function() end })
end

---@param count integer
---@return boolean whether there was a suggestion
function M.select(count)
  local shown = vim.lsp.inline_completion ~= nil
    and #api.nvim_buf_get_extmarks(0, api.nvim_create_namespace('nvim.lsp.inline_completion'), 0, -1, {}) > 0
  if shown then
    vim.schedule(function() -- keymaps are expressions, which may not draw
      vim.lsp.inline_completion.select({ count = count })
    end)
  end
  return shown
end

--- Ask for a suggestion now, also where automatic ones are off.
---@return boolean whether the buffer can be asked about
function M.trigger()
  -- The API has no manual request (0.12), so this looks behind it, and does nothing should that move.
  local found, completor = pcall(function()
    return require('vim.lsp._capability').all.inline_completion.active[api.nvim_get_current_buf()]
  end)
  if not found or not completor or not completor.request then
    return false
  end
  vim.schedule(function()
    completor:request(vim.lsp.protocol.InlineCompletionTriggerKind.Invoked)
  end)
  return true
end

return M
