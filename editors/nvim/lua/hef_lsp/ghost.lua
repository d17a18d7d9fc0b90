--- Suggestions on Neovim 0.11, whose client neither asks for inline completion nor draws it.
local shown = require('hef_lsp.shown')

local QUIET_MS = 75 -- after the last key, before the server is asked

local M = {}
local api = vim.api
local namespace = api.nvim_create_namespace('hef_lsp')

---@class hef_lsp.Ghost one buffer
---@field client vim.lsp.Client
---@field timer uv.uv_timer_t
---@field request_id? integer

---@type table<integer, hef_lsp.Ghost> by buffer
local buffers = {}

---@param bufnr integer
local function ask_soon(bufnr)
  local timer = buffers[bufnr].timer
  timer:stop()
  if not shown.current() then
    timer:start(QUIET_MS, 0, vim.schedule_wrap(function()
      local is_typing = vim.startswith(api.nvim_get_mode().mode, 'i')
      if buffers[bufnr] and is_typing and api.nvim_get_current_buf() == bufnr then
        M.request(bufnr, false)
      end
    end))
  end
end

---@param bufnr integer
local function stop_asking(bufnr)
  local buffer = buffers[bufnr]
  buffer.timer:stop()
  local is_pending = buffer.request_id and buffer.client.requests[buffer.request_id]
  if is_pending and not buffer.client:is_stopped() then
    buffer.client:cancel_request(buffer.request_id)
  end
  buffer.request_id = nil
end

---@param client vim.lsp.Client
---@param bufnr integer
function M.attach(client, bufnr)
  buffers[bufnr] = { client = client, timer = assert(vim.uv.new_timer()) }
  shown.attach(bufnr, M)
  local group = api.nvim_create_augroup('hef_lsp.ghost:' .. bufnr, {})
  for events, act in pairs({
    [{ 'InsertEnter', 'CursorMovedI', 'TextChangedI', 'TextChangedP' }] = ask_soon,
    [{ 'InsertLeave', 'BufLeave' }] = stop_asking,
  }) do
    api.nvim_create_autocmd(events, {
      group = group,
      buffer = bufnr,
      callback = function()
        act(bufnr)
      end,
    })
  end
end

---@param bufnr integer
function M.detach(bufnr)
  api.nvim_del_augroup_by_name('hef_lsp.ghost:' .. bufnr)
  stop_asking(bufnr)
  buffers[bufnr].timer:close()
  shown.detach(bufnr)
  buffers[bufnr] = nil
end

--- Ask now, in the current buffer.
---@param bufnr integer
---@param invoked boolean by a key
function M.request(bufnr, invoked)
  local buffer = buffers[bufnr]
  local is_sent, id = shown.ask(buffer.client, invoked)
  buffer.request_id = is_sent and id or nil
end

--- Draw `rest` at the cursor.
---@param bufnr integer
---@param rest? string nil for nothing
---@param overwrites integer
---@param now? hef_lsp.Place
function M.draw(bufnr, rest, overwrites, now)
  if api.nvim_buf_is_valid(bufnr) then
    api.nvim_buf_clear_namespace(bufnr, namespace, 0, -1)
  end
  if not rest or not now then
    return
  end
  local lines = vim.iter(vim.split(rest, '\n', { plain = true })):map(function(line)
    return { { line, 'ComplHint' } }
  end):totable()
  if overwrites > 0 then -- the text behind the cursor is drawn over; what stays of it moves to the end
    table.insert(lines[#lines], { now.behind:sub(overwrites + 1) })
  end
  api.nvim_buf_set_extmark(bufnr, namespace, now.row, now.col, {
    virt_text = lines[1],
    virt_text_pos = overwrites > 0 and 'overlay' or 'inline',
    virt_lines = #lines > 1 and vim.list_slice(lines, 2) or nil,
    hl_mode = 'combine',
  })
end

return M
