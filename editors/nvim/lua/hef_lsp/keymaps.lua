--- Keys in the buffers that hef-lsp is attached to; in all others they are left alone. Where a key has nothing to do here
--- it does what it would do without us.
local api = vim.api
local M = {}

---@class hef_lsp.Key
---@field mode 'i'|'n'
---@field lhs string
---@field act string what is typed instead
---@field can fun(): any whether there is anything to do
---@field desc string

---@type table<string, hef_lsp.Key> by mode and key
local keys = {}
---@type table<integer, table<string, table>> by buffer, then as `keys`: the buffer's own mapping before, {} for none
local before = {}

--- The mapping of a key that holds in all buffers, as it is now: another plugin may be loaded late.
---@param mode string
---@param raw string the key as |maparg()| gives it in `lhsraw`
---@return table?
local function everywhere(mode, raw)
  return vim.iter(api.nvim_get_keymap(mode)):find(function(map)
    return map.lhsraw == raw or map.lhsrawalt == raw
  end)
end

--- What a key that was mapped does, as the value of an expression mapping.
---@param map? table as |maparg()| gives it
---@param lhs string
---@return string?
local function fallback(map, lhs)
  if not map then
    return lhs
  elseif map.expr == 1 then -- such as Neovim's own <Tab>, which jumps in a snippet
    return map.callback and map.callback() or api.nvim_eval(map.rhs)
  elseif map.callback then
    vim.schedule(map.callback)
    return ''
  elseif map.noremap == 0 then -- to a <Plug> mapping, say
    api.nvim_feedkeys(api.nvim_replace_termcodes(map.rhs, true, true, true), 'im', false)
    return ''
  end
  return map.rhs
end

---@param bufnr integer
---@param id string of `keys`
local function map_in(bufnr, id)
  local key, known = keys[id], before[bufnr]
  api.nvim_buf_call(bufnr, function()
    local found = vim.fn.maparg(key.lhs, key.mode, false, true)
    known[id] = known[id] or (found.buffer == 1 and found or {})
    local raw ---@type string
    vim.keymap.set(key.mode, key.lhs, function()
      if key.can() then
        return key.act
      end
      local own = known[id]
      return fallback(own and own.lhs and own or everywhere(key.mode, raw), key.lhs)
    end, { buffer = bufnr, expr = true, desc = key.desc })
    raw = vim.fn.maparg(key.lhs, key.mode, false, true).lhsraw
  end)
end

--- Map a key in all buffers of hef-lsp, those that are to come included.
---@param key hef_lsp.Key
function M.map(key)
  local id = key.mode .. key.lhs
  keys[id] = key
  for bufnr in pairs(before) do
    map_in(bufnr, id)
  end
end

---@param bufnr integer
function M.attached(bufnr)
  before[bufnr] = before[bufnr] or {}
  for id in pairs(keys) do
    map_in(bufnr, id)
  end
end

--- The buffer's keys are what they were.
---@param bufnr integer
function M.detached(bufnr)
  local known = before[bufnr] or {}
  before[bufnr] = nil
  if not api.nvim_buf_is_valid(bufnr) then
    return
  end
  api.nvim_buf_call(bufnr, function()
    for id, own in pairs(known) do
      pcall(vim.keymap.del, keys[id].mode, keys[id].lhs, { buffer = bufnr })
      if own.lhs then
        vim.fn.mapset(own)
      end
    end
  end)
end

return M
