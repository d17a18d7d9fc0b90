--- Suggestions of hef-lsp as ghost text. See |hef-lsp|.
local accept = require('hef_lsp.accept')
local keymaps = require('hef_lsp.keymaps')
local next_edit = require('hef_lsp.next_edit')
local server = require('hef_lsp.server')

local M = {
  client = server.client,
  details = server.details,
  restart = server.restart,
  toggle = server.toggle,
  toggle_subtle = server.toggle_subtle,
}

---@class hef_lsp.Keymaps
---@field accept? string
---@field accept_word? string
---@field accept_line? string
---@field dismiss? string
---@field trigger? string
local KEYMAPS = {
  accept = '<Tab>',
  accept_word = '<C-Right>',
  accept_line = '<C-Down>',
  dismiss = '<C-]>',
  trigger = [[<M-\>]],
}

-- As functions they do their work a moment later, so that an expression mapping may call them, and return whether there
-- is any.
for name in pairs(KEYMAPS) do
  M[name] = function()
    local can = accept.can(name)
    if can then
      vim.schedule(accept[name])
    end
    return can
  end
end

---@class hef_lsp.Options
---@field keymaps? boolean|hef_lsp.Keymaps true for the default keys, a table for your own (default: none)
---@field settings? hef_lsp.Settings the server's
---@field root_markers? string[] what the folder that is indexed has in it, the most wanted first (default: `.git`, …)

--- Turn hef-lsp on.
---@param options? hef_lsp.Options
function M.setup(options)
  options = options or {}
  if vim.fn.has('nvim-0.11') == 0 then
    vim.notify_once('hef-lsp needs Neovim 0.11 or later.', vim.log.levels.ERROR)
    return
  end
  local wanted = options.keymaps or {}
  for name, lhs in pairs(wanted == true and KEYMAPS or wanted --[[@as hef_lsp.Keymaps]]) do
    M.map(name, lhs)
  end
  if wanted == true then
    M.map_next_edit('accept', '<Tab>')
    M.map_next_edit('dismiss', '<Esc>')
  end
  if options.settings then
    vim.lsp.config('hef_lsp', { settings = { ['hef-lsp'] = options.settings } })
  end
  if options.root_markers then
    vim.lsp.config('hef_lsp', { root_markers = options.root_markers })
  end
  vim.lsp.enable('hef_lsp')
end

--- Map `lhs` in insert mode, in buffers of hef-lsp. Without a suggestion the key does what it did before.
---@param name string a field of |hef_lsp.Keymaps|
---@param lhs string
function M.map(name, lhs)
  if not KEYMAPS[name] then
    vim.notify(('hef-lsp: no key is called %s; see :help hef-lsp-keys.'):format(name), vim.log.levels.WARN)
    return
  end
  -- A command rather than a call: it takes its turn among keys that were typed ahead.
  local undo_step = vim.startswith(name, 'accept') and '<C-g>u' or ''
  keymaps.map({
    mode = 'i',
    lhs = lhs,
    act = ("%s<Cmd>lua require('hef_lsp.accept').%s()<CR>"):format(undo_step, name),
    can = function()
      return accept.can(name)
    end,
    desc = 'hef-lsp: ' .. name:gsub('_', ' '),
  })
end

--- Map `lhs` in normal mode, in buffers of hef-lsp. Without a next edit the key does what it did before.
---@param name 'accept'|'dismiss' the first press of `accept` goes to the edit, the second makes it
---@param lhs string
function M.map_next_edit(name, lhs)
  keymaps.map({
    mode = 'n',
    lhs = lhs,
    act = ("<Cmd>lua require('hef_lsp.next_edit').%s()<CR>"):format(name),
    can = next_edit.current,
    desc = 'hef-lsp: ' .. name .. ' the next edit',
  })
end

--- A few characters for a statusline; '' where hef-lsp is not attached.
---@param bufnr? integer default: the current buffer
---@return string
function M.status(bufnr)
  local client, status = M.client(bufnr), M.details(bufnr)
  if not client or not status then
    return client and 'hef: starting' or ''
  end
  if not server.is_suggesting(bufnr or vim.api.nvim_get_current_buf()) then
    return 'hef: off'
  end
  for _, folder in ipairs(status.state == 'indexing' and status.folders or {}) do
    if folder.done and folder.total and folder.total > 0 then
      return ('hef: indexing %d/%d'):format(folder.done, folder.total)
    end
  end
  if status.snoozed and status.snoozed ~= '' then
    return 'hef: snoozed'
  end
  return status.state == 'ready' and 'hef' or 'hef: ' .. status.state
end

return M
