--- The next edit: what was just changed, offered at the next place where it applies. Only in normal mode, where no ghost
--- text is: there is never a choice between the two.
local METHOD = 'textDocument/copilotInlineEdit'
local QUIET_MS = 100 -- after the last change, before the server is asked

local M = {}
local api = vim.api
local namespace = api.nvim_create_namespace('hef_lsp.next_edit')

---@class hef_lsp.InlineEdit as the server sends it
---@field text string
---@field range lsp.Range
---@field textDocument lsp.VersionedTextDocumentIdentifier
---@field command lsp.Command to be executed when it was applied

---@class hef_lsp.NextEdit what is on the screen
---@field client vim.lsp.Client
---@field bufnr integer
---@field tick integer the buffer's changedtick
---@field edits hef_lsp.InlineEdit[] the nearest first; all places of a renamed name come together

---@type hef_lsp.NextEdit?
local offered
local timer = assert(vim.uv.new_timer())

---@param bufnr integer
---@param position lsp.Position
---@param encoding string
---@return integer, integer row and column in bytes, 0-based
local function place(bufnr, position, encoding)
  local line = api.nvim_buf_get_lines(bufnr, position.line, position.line + 1, false)[1] or ''
  return position.line, vim.str_byteindex(line, encoding, position.character, false)
end

--- What stands there is marked, what would stand there follows it.
---@param offer hef_lsp.NextEdit
local function draw(offer)
  for _, edit in ipairs(offer.edits) do
    local row, col = place(offer.bufnr, edit.range.start, offer.client.offset_encoding)
    local end_row, end_col = place(offer.bufnr, edit.range['end'], offer.client.offset_encoding)
    local lines = vim.split(edit.text, '\n', { plain = true })
    local below = vim.iter(lines):skip(1):map(function(line)
      return { { line, 'DiffAdd' } }
    end):totable()
    api.nvim_buf_set_extmark(offer.bufnr, namespace, row, col, {
      end_row = end_row,
      end_col = end_col,
      hl_group = 'DiffDelete',
    })
    api.nvim_buf_set_extmark(offer.bufnr, namespace, end_row, end_col, {
      virt_text = { { lines[1], 'DiffAdd' } },
      virt_text_pos = 'inline',
      virt_lines = #below > 0 and below or nil,
    })
  end
end

--- The offer, as long as it is about the text as it is.
---@return hef_lsp.NextEdit?
function M.current()
  local is_true = offered and api.nvim_buf_is_loaded(offered.bufnr)
    and api.nvim_buf_get_changedtick(offered.bufnr) == offered.tick
  if offered and (not is_true or api.nvim_get_mode().mode ~= 'n') then
    M.clear()
  end
  return offered
end

function M.clear()
  if offered and api.nvim_buf_is_valid(offered.bufnr) then
    api.nvim_buf_clear_namespace(offered.bufnr, namespace, 0, -1)
  end
  offered = nil
end

---@param client vim.lsp.Client
---@param result? { edits: hef_lsp.InlineEdit[] }
local function answer(client, result)
  M.clear()
  local first = result and result.edits[1]
  local bufnr = first and vim.uri_to_bufnr(first.textDocument.uri)
  if not first or not bufnr or not api.nvim_buf_is_loaded(bufnr) or api.nvim_get_mode().mode ~= 'n' then
    return
  elseif vim.lsp.util.buf_versions[bufnr] ~= first.textDocument.version then
    return -- it is about another text
  end
  offered = { client = client, bufnr = bufnr, tick = api.nvim_buf_get_changedtick(bufnr), edits = result.edits }
  draw(offered)
  client:notify('textDocument/didShowInlineEdit', { item = first })
end

--- Ask for the edit that comes after the last one in the current buffer.
---@param client vim.lsp.Client
local function ask(client)
  local bufnr = api.nvim_get_current_buf()
  if not client.attached_buffers[bufnr] or api.nvim_get_mode().mode ~= 'n' then
    return
  end
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding) --[[@as table]]
  params.textDocument.version = vim.lsp.util.buf_versions[bufnr]
  local tick = api.nvim_buf_get_changedtick(bufnr)
  client:request(METHOD, params, function(err, result)
    local is_here = api.nvim_get_current_buf() == bufnr and api.nvim_buf_get_changedtick(bufnr) == tick
    if not err and is_here then
      answer(client, result)
    end
  end, bufnr)
end

--- Go to the offered edit; at it, make it. One step to undo, all its places together.
function M.accept()
  local offer = M.current()
  if not offer then
    return
  end
  local first = offer.edits[1]
  local row, col = place(offer.bufnr, first.range.start, offer.client.offset_encoding)
  if api.nvim_get_current_buf() ~= offer.bufnr or api.nvim_win_get_cursor(0)[1] ~= row + 1 then
    vim.cmd("normal! m'") -- the way back is in the jump list
    api.nvim_set_current_buf(offer.bufnr)
    api.nvim_win_set_cursor(0, { row + 1, col })
    return
  end
  local edits = vim.iter(offer.edits):map(function(edit)
    return { range = edit.range, newText = edit.text }
  end):totable()
  M.clear()
  vim.lsp.util.apply_text_edits(edits, offer.bufnr, offer.client.offset_encoding)
  offer.client:exec_cmd(first.command, { bufnr = offer.bufnr })
end

--- The server does not offer this change again.
function M.dismiss()
  local offer = M.current()
  local experimental = offer and offer.client.server_capabilities.experimental
  M.clear()
  if offer and experimental then
    local name = experimental.copilotInlineEdit.refused
    local command = { title = 'Refused', command = name, arguments = offer.edits[1].command.arguments }
    offer.client:exec_cmd(command, { bufnr = offer.bufnr })
  end
end

--- Ask after each change that leaves or does not enter insert mode, in buffers of a client that knows next edits.
---@param client vim.lsp.Client
---@param bufnr integer
function M.attach(client, bufnr)
  local experimental = client.server_capabilities.experimental
  if not experimental or not experimental.copilotInlineEdit then
    return
  end
  local group = api.nvim_create_augroup('hef_lsp.next_edit:' .. bufnr, {})
  api.nvim_create_autocmd({ 'TextChanged', 'InsertLeave' }, {
    group = group,
    buffer = bufnr,
    callback = function()
      M.current()
      timer:start(QUIET_MS, 0, vim.schedule_wrap(function()
        ask(client)
      end))
    end,
  })
  api.nvim_create_autocmd('InsertEnter', { group = group, buffer = bufnr, callback = M.clear })
end

---@param bufnr integer
function M.detach(bufnr)
  M.clear()
  pcall(api.nvim_del_augroup_by_name, 'hef_lsp.next_edit:' .. bufnr)
end

return M
