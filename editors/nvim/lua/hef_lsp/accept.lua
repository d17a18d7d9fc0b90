--- Taking what is suggested at the cursor, whole or in part.
local server = require('hef_lsp.server')
local shown = require('hef_lsp.shown')
local suggestion = require('hef_lsp.suggestion')

local M = {}

--- The server counts what is taken.
---@param chosen hef_lsp.Suggestion
---@param bufnr integer
---@param command string
local function tell(chosen, bufnr, command)
  local client = vim.lsp.get_client_by_id(chosen.client_id)
  if client and chosen.command then
    local told = { title = chosen.command.title, command = command, arguments = chosen.command.arguments }
    client:exec_cmd(told, { bufnr = bufnr })
  end
end

---@param pick fun(rest: string): string the part to take
local function take(pick)
  local chosen, rest, now = shown.current()
  if not chosen or not rest or not now then
    return
  end
  local part = pick(rest)
  if part ~= rest then
    suggestion.insert(now, part, 0)
    tell(chosen, now.bufnr, 'hef-lsp.acceptedPart')
    shown.refresh(now.bufnr)
    return
  end
  suggestion.insert(now, rest, chosen.overwrites)
  shown.clear(now.bufnr)
  tell(chosen, now.bufnr, 'hef-lsp.accepted')
  server.request(false) -- at once: what comes next is often ready
end

function M.accept()
  take(function(rest)
    return rest
  end)
end

function M.accept_word()
  take(function(rest)
    return rest:match('^%s*[%w_\128-\255]+') or rest:match('^%s*[^%w_%s\128-\255]+') or rest
  end)
end

--- The rest of the line; at its end the next one.
function M.accept_line()
  take(function(rest)
    return rest:match('^\n*[^\n]*')
  end)
end

function M.dismiss()
  shown.dismiss(vim.api.nvim_get_current_buf())
end

--- Ask for a suggestion now, also where automatic ones are off.
function M.trigger()
  server.request(true)
end

--- Whether one of these would do something now; while the completion menu is open its keys are the menu's.
---@param name string
---@return boolean
function M.can(name)
  if name == 'trigger' then
    return server.is_suggesting(vim.api.nvim_get_current_buf())
  end
  return vim.fn.pumvisible() == 0 and shown.current() ~= nil
end

return M
