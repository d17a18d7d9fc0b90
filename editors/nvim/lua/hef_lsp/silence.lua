--- Why nothing is suggested in a buffer.
local server = require('hef_lsp.server')

local M = {}

---@class hef_lsp.Document what a status says of one
---@field uri string
---@field suggests boolean whether anything may be suggested in it
---@field code string '' where something is
---@field reason string
---@field nextStep string

--- Tell `on_answer` in sentences, none where something is suggested or the status itself says why nothing is.
---@param bufnr integer
---@param status hef_lsp.Status
---@param on_answer fun(sentences: string[])
function M.ask(bufnr, status, on_answer)
  local client = server.client(bufnr)
  if not client or status.state == 'disabled' or status.state == 'error' then
    on_answer({})
  elseif not server.is_suggesting(bufnr) then
    on_answer({ 'Suggestions are switched off here.', ':HefToggle switches them on.' })
  else
    local command = { title = 'status', command = 'hef-lsp.status', arguments = { vim.uri_from_bufnr(bufnr) } }
    client:exec_cmd(command, { bufnr = bufnr }, function(_, answer)
      local document = type(answer) == 'table' and answer.document ---@type hef_lsp.Document?
      on_answer(document and { document.reason, document.nextStep } or {})
    end)
  end
end

return M
