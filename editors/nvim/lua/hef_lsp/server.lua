--- The server's clients: where they suggest, what they say of themselves, and that they come back.
local M = {}

local RESTARTS = 5 -- in as many seconds as the next says; more often and something is wrong that a person must see to
local RESTART_SECONDS = 180
local KILL_MS = 3000 -- for a server that does not end when it is asked to

local next_edit = require('hef_lsp.next_edit')
local screen = require(vim.lsp.inline_completion and 'hef_lsp.native' or 'hef_lsp.ghost')

---@class hef_lsp.Folder
---@field name string
---@field files integer
---@field chunks integer
---@field skipped integer
---@field stage string
---@field done? integer of `total`, while indexing
---@field total? integer
---@field error string

---@class hef_lsp.Status what the notification `hef-lsp/status` carries
---@field state 'loading'|'indexing'|'ready'|'paused'|'disabled'|'error'
---@field message string
---@field reason string
---@field nextStep string
---@field model string
---@field notes string[]
---@field snoozed string until when, '' where suggestions come by themselves
---@field folders hef_lsp.Folder[]
---@field document? hef_lsp.Document that was asked about last

---@type table<integer, hef_lsp.Status> by client
local statuses = {}
---@type table<integer, vim.lsp.Client> by buffer; here is where suggestions are shown
local suggesting = {}
---@type { all: boolean, buffers: table<integer, true>, filetypes: table<string, true> }
local off = { all = false, buffers = {}, filetypes = {} }
---@type table<integer, true> clients that end to be started again
local restarting = {}
---@type number[] seconds at which a server that had ended by itself was started again
local returns = {}

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

---@param bufnr integer
---@return boolean
function M.is_suggesting(bufnr)
  return suggesting[bufnr] ~= nil
end

--- Ask for a suggestion at the cursor.
---@param invoked boolean by a key
function M.request(invoked)
  local bufnr = vim.api.nvim_get_current_buf()
  if suggesting[bufnr] then
    screen.request(bufnr, invoked)
  end
end

--- Show suggestions of `client` in a buffer, or no longer, as the user wants it.
---@param client vim.lsp.Client
---@param bufnr integer
local function apply(client, bufnr)
  local is_off = off.all or off.buffers[bufnr] or off.filetypes[vim.bo[bufnr].filetype]
  local wanted = not is_off and client:supports_method('textDocument/inlineCompletion', bufnr) and client or nil
  if suggesting[bufnr] ~= wanted then
    if suggesting[bufnr] then
      screen.detach(bufnr)
      next_edit.detach(bufnr)
    end
    suggesting[bufnr] = wanted
    if wanted then
      screen.attach(wanted, bufnr)
      next_edit.attach(wanted, bufnr)
    end
  end
end

---@param client vim.lsp.Client
---@param bufnr integer
function M.attached(client, bufnr)
  apply(client, bufnr)
end

---@param client vim.lsp.Client
---@param bufnr integer
function M.detached(client, bufnr)
  if suggesting[bufnr] == client then
    suggesting[bufnr] = nil
    screen.detach(bufnr)
    next_edit.detach(bufnr)
  end
end

--- Turn suggestions off or on; the server goes on indexing.
---@param scope? 'buffer'|'filetype' default: everywhere
---@return boolean on
function M.toggle(scope)
  local bufnr = vim.api.nvim_get_current_buf()
  local set, key = off, 'all' ---@type table, any
  if scope == 'buffer' then
    set, key = off.buffers, bufnr
  elseif scope == 'filetype' then
    set, key = off.filetypes, vim.bo[bufnr].filetype
  end
  set[key] = not set[key] or nil
  for _, client in ipairs(vim.lsp.get_clients({ name = 'hef_lsp' })) do
    for attached in pairs(client.attached_buffers) do
      apply(client, attached)
    end
  end
  vim.cmd.redrawstatus()
  return not set[key]
end

--- Keep suggestions ready until they are asked for, or show them again as they come.
---@return boolean subtle
function M.toggle_subtle()
  local clients = vim.lsp.get_clients({ name = 'hef_lsp' })
  local subtle = not (clients[1] and vim.tbl_get(clients[1].settings, 'hef-lsp', 'completion', 'subtle'))
  for _, client in ipairs(clients) do
    local changed = { ['hef-lsp'] = { completion = { subtle = subtle } } }
    client.settings = vim.tbl_deep_extend('force', client.settings, changed)
    client:notify('workspace/didChangeConfiguration', { settings = client.settings })
  end
  return subtle
end

---@param status hef_lsp.Status
---@param client_id integer
function M.told(status, client_id)
  local before = statuses[client_id]
  statuses[client_id] = status
  if status.state == 'error' and (not before or before.reason ~= status.reason) then
    -- One short line: a longer one would make the user press Enter.
    vim.notify(('hef-lsp: %s See :HefStatus.'):format(status.reason), vim.log.levels.WARN)
  end
  vim.cmd.redrawstatus()
end

---@param now number in seconds
---@return boolean
local function may_return(now)
  returns = vim.tbl_filter(function(at)
    return now - at < RESTART_SECONDS
  end, returns)
  table.insert(returns, now)
  return #returns <= RESTARTS
end

--- Restart the servers, or start one where it has ended.
function M.restart()
  local clients = vim.lsp.get_clients({ name = 'hef_lsp' })
  returns = {}
  for _, client in ipairs(clients) do
    restarting[client.id] = true
    client:stop()
    vim.defer_fn(function()
      client:stop(true)
    end, KILL_MS)
  end
  if #clients == 0 then
    vim.lsp.enable('hef_lsp') -- starts it for the buffers that are open
  end
end

--- A server has ended; one that was not told to comes back. Called by the configuration's `on_exit`.
---@param code integer
---@param signal integer
---@param client_id integer
M.ended = vim.schedule_wrap(function(code, signal, client_id)
  local was_told = restarting[client_id]
  statuses[client_id], restarting[client_id] = nil, nil
  local is_end = (code == 0 and signal == 0) or signal == 15 or vim.v.exiting ~= vim.NIL
  if is_end and not was_told then
    return
  end
  if not was_told and not may_return(vim.uv.now() / 1000) then
    vim.notify('hef-lsp: the server ends again and again; see :HefLog, then :HefRestart.', vim.log.levels.ERROR)
    return
  end
  vim.schedule(function() -- after Neovim has forgotten the client
    vim.lsp.enable('hef_lsp')
  end)
end)

return M
