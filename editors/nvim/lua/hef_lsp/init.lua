--- Suggestions of hef-lsp as ghost text. See |hef-lsp|.
local accept = require('hef_lsp.accept')
local next_edit = require('hef_lsp.next_edit')
local server = require('hef_lsp.server')

local M = {
  client = server.client,
  details = server.details,
  restart = server.restart,
  toggle = server.toggle,
}

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

--- Turn hef-lsp on.
---@param options? hef_lsp.Options
function M.setup(options)
  options = options or {}
  if vim.fn.has('nvim-0.11') == 0 then
    vim.notify_once('hef-lsp needs Neovim 0.11 or later.', vim.log.levels.ERROR)
    return
  end
  local keymaps = options.keymaps or {}
  for name, lhs in pairs(keymaps == true and KEYMAPS or keymaps --[[@as hef_lsp.Keymaps]]) do
    M.map(name, lhs)
  end
  if keymaps == true then
    M.map_next_edit('accept', '<Tab>')
    M.map_next_edit('dismiss', '<Esc>')
  end
  if options.settings then
    vim.lsp.config('hef_lsp', { settings = { ['hef-lsp'] = options.settings } })
  end
  vim.lsp.enable('hef_lsp')
end

--- What a key that was mapped to `before` does, as the value of an expression mapping.
---@param before table as |maparg()| gives it
---@param lhs string
---@return string?
local function fallback(before, lhs)
  if before.expr == 1 then -- such as Neovim's own <Tab>, which jumps in a snippet
    return before.callback and before.callback() or vim.api.nvim_eval(before.rhs)
  elseif before.callback then
    vim.schedule(before.callback)
    return ''
  end
  return before.rhs or lhs
end

--- Map `lhs` in insert mode. Without a suggestion the key does what it did before.
---@param name string a field of |hef_lsp.Keymaps|
---@param lhs string
function M.map(name, lhs)
  assert(KEYMAPS[name], 'hef-lsp: no keymap is called ' .. name)
  local before = vim.fn.maparg(lhs, 'i', false, true)
  -- A command rather than a call: it takes its turn among keys that were typed ahead.
  local undo_step = vim.startswith(name, 'accept') and '<C-g>u' or ''
  local act = ("%s<Cmd>lua require('hef_lsp.accept').%s()<CR>"):format(undo_step, name)
  vim.keymap.set('i', lhs, function()
    return accept.can(name) and act or fallback(before, lhs)
  end, { expr = true, desc = 'hef-lsp: ' .. name:gsub('_', ' ') })
end

--- Map `lhs` in normal mode. Without a next edit the key does what it did before.
---@param name 'accept'|'dismiss' the first press of `accept` goes to the edit, the second makes it
---@param lhs string
function M.map_next_edit(name, lhs)
  local before = vim.fn.maparg(lhs, 'n', false, true)
  local act = ("<Cmd>lua require('hef_lsp.next_edit').%s()<CR>"):format(name)
  vim.keymap.set('n', lhs, function()
    return next_edit.current() and act or fallback(before, lhs)
  end, { expr = true, desc = 'hef-lsp: ' .. name .. ' the next edit' })
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
    if folder.done and folder.total then
      return ('hef: indexing %d/%d'):format(folder.done, folder.total)
    end
  end
  return status.state == 'ready' and 'hef' or 'hef: ' .. status.state
end

return M
