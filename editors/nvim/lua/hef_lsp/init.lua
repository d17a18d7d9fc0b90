--- Suggestions of hef-lsp as ghost text, through Neovim's own client. See |hef-lsp|.
local accept = require('hef_lsp.accept')

local M = {
  accept = accept.whole,
  accept_word = accept.word,
  accept_line = accept.line,
  dismiss = accept.dismiss,
  trigger = accept.trigger,
}

---@class hef_lsp.Folder
---@field name string
---@field files integer
---@field chunks integer
---@field done? integer files indexed so far, while indexing
---@field total? integer

---@class hef_lsp.Status what the notification `hef-lsp/status` carries
---@field state 'loading'|'indexing'|'ready'|'paused'|'disabled'|'error'
---@field message string
---@field reason string
---@field nextStep string
---@field model string
---@field notes string[]
---@field folders hef_lsp.Folder[]

---@type table<integer, hef_lsp.Status> by client id
local statuses = {}
---@type table<integer, true> by client id
local mended = {}
local suggesting = true

---@class hef_lsp.Keymaps
---@field accept? string
---@field accept_word? string
---@field accept_line? string
---@field dismiss? string
---@field trigger? string
---@field next? string
---@field previous? string
local KEYMAPS = {
  accept = '<Tab>',
  accept_word = '<C-Right>',
  accept_line = '<C-Down>',
  dismiss = '<C-]>',
  trigger = [[<M-\>]],
  next = '<M-]>',
  previous = '<M-[>',
}

---@class hef_lsp.Options
---@field keymaps? boolean|hef_lsp.Keymaps true for the default keys, a table for your own (default: none)

--- Turn hef-lsp on. Server settings belong to `vim.lsp.config('hef_lsp', …)`.
---@param options? hef_lsp.Options
function M.setup(options)
  if vim.fn.has('nvim-0.11') == 0 then
    vim.notify_once('hef-lsp needs Neovim 0.12.', vim.log.levels.ERROR)
    return
  end
  local keymaps = options and options.keymaps or {}
  for name, lhs in pairs(keymaps == true and KEYMAPS or keymaps --[[@as hef_lsp.Keymaps]]) do
    M.map(name, lhs)
  end
  vim.lsp.enable('hef_lsp')
end

--- Map `lhs` in insert mode. Without a suggestion the key does what it did before.
---@param name string a field of |hef_lsp.Keymaps|
---@param lhs string
function M.map(name, lhs)
  local act = assert(KEYMAPS[name] and M[name], 'hef-lsp: no keymap is called ' .. name)
  local before = vim.fn.maparg(lhs, 'i', false, true)
  vim.keymap.set('i', lhs, function()
    if act() then
      return ''
    end
    -- An expression, such as Neovim's own <Tab>, which jumps in a snippet, goes on to work.
    return before.expr == 1 and before.callback and before.callback() or lhs
  end, { expr = true, desc = 'hef-lsp: ' .. name:gsub('_', ' ') })
end

---@return boolean whether there was one to go on from
function M.next()
  return accept.select(1)
end

---@return boolean
function M.previous()
  return accept.select(-1)
end

--- The client of a buffer, nil when there is none.
---@param bufnr? integer default: the current buffer
---@return vim.lsp.Client?
function M.client(bufnr)
  return vim.lsp.get_clients({ name = 'hef_lsp', bufnr = bufnr or 0 })[1]
end

--- The last status that the server told, nil before the first.
---@param bufnr? integer default: the current buffer
---@return hef_lsp.Status?
function M.details(bufnr)
  local client = M.client(bufnr)
  return client and statuses[client.id]
end

--- A few characters for a statusline; '' where hef-lsp is not attached.
---@param bufnr? integer default: the current buffer
---@return string
function M.status(bufnr)
  local status = M.details(bufnr)
  if not status then
    return M.client(bufnr) and 'hef: starting' or ''
  end
  if not suggesting then
    return 'hef: off'
  end
  for _, folder in ipairs(status.state == 'indexing' and status.folders or {}) do
    if folder.done and folder.total then
      return ('hef: indexing %d/%d'):format(folder.done, folder.total)
    end
  end
  return status.state == 'ready' and 'hef' or 'hef: ' .. status.state
end

--- Turn suggestions on or off in every buffer; the server goes on indexing.
---@return boolean on
function M.toggle()
  suggesting = not suggesting
  for _, client in ipairs(vim.lsp.get_clients({ name = 'hef_lsp' })) do
    for bufnr in pairs(client.attached_buffers) do
      vim.lsp.inline_completion.enable(suggesting, { bufnr = bufnr })
    end
  end
  vim.cmd.redrawstatus()
  return suggesting
end

--- Neovim 0.12 would show the CR of each line end as ^M, and put it into the buffer.
---@param client vim.lsp.Client
local function without_carriage_returns(client)
  if mended[client.id] then
    return -- for another buffer
  end
  mended[client.id] = true
  local request = client.request
  client.request = function(self, method, params, handler, bufnr)
    if method ~= 'textDocument/inlineCompletion' or not handler then
      return request(self, method, params, handler, bufnr)
    end
    return request(self, method, params, function(err, result, ...)
      for _, item in ipairs(result and result.items or {}) do
        item.insertText = type(item.insertText) == 'string' and item.insertText:gsub('\r\n', '\n') or item.insertText
      end
      return handler(err, result, ...)
    end, bufnr)
  end
end

---@param client vim.lsp.Client
---@param bufnr integer
function M.on_attach(client, bufnr)
  if not vim.lsp.inline_completion then
    vim.notify_once(
      'hef-lsp: ghost text needs Neovim 0.12. Here suggestions are in the completion menu (CTRL-X CTRL-O).',
      vim.log.levels.WARN
    )
  elseif suggesting and client:supports_method('textDocument/inlineCompletion', bufnr) then
    without_carriage_returns(client)
    vim.lsp.inline_completion.enable(true, { bufnr = bufnr })
  end
end

---@param status hef_lsp.Status
---@param client_id integer
function M.on_status(status, client_id)
  local before = statuses[client_id]
  statuses[client_id] = status
  if status.state == 'error' and (not before or before.reason ~= status.reason) then
    vim.notify(('hef-lsp: %s %s %s'):format(status.message, status.reason, status.nextStep), vim.log.levels.WARN)
  end
  vim.cmd.redrawstatus()
end

return M
