--- Suggestions on Neovim 0.12 and later: its own client asks and draws (|vim.lsp.inline_completion|).
---
--- Left alone it shows a suggestion on after the text has gone another way, draws one of several lines again at its
--- first line, and inserts it where it was made rather than at the cursor. So what it asks goes through `shown.lua`,
--- and each time what holds has changed, it is handed what is left as if the server had just answered.
local shown = require('hef_lsp.shown')

local M = {}

---@class hef_lsp.Native one buffer
---@field client vim.lsp.Client
---@field request function the client's own
---@field hand? fun(items: lsp.InlineCompletionItem[]) answers Neovim; known from its first request on
---@field is_invoked? boolean a key asked before that

---@type table<integer, hef_lsp.Native> by buffer
local buffers = {}
---@type table<integer, function> the clients' own `request`, by client
local requests = {}

---@param client vim.lsp.Client
---@return function request the client's own
local function wrap(client)
  if requests[client.id] then
    return requests[client.id] -- wrapped for another buffer
  end
  local request = client.request
  requests[client.id] = request
  client.request = function(self, method, params, handler, bufnr)
    local buffer = method == 'textDocument/inlineCompletion' and handler and buffers[bufnr]
    if not buffer then
      return request(self, method, params, handler, bufnr)
    end
    buffer.hand = function(items)
      handler(nil, { items = items }, { client_id = client.id, method = method, bufnr = bufnr })
    end
    if bufnr ~= vim.api.nvim_get_current_buf() then
      return false -- its timer went off after the cursor had left
    end
    local invoked = buffer.is_invoked or false
    buffer.is_invoked = nil
    return shown.ask(self, invoked, request)
  end
  return request
end

---@param client vim.lsp.Client
---@param bufnr integer
function M.attach(client, bufnr)
  buffers[bufnr] = { client = client, request = wrap(client) }
  shown.attach(bufnr, M)
  vim.lsp.inline_completion.enable(true, { bufnr = bufnr })
end

---@param bufnr integer
function M.detach(bufnr)
  buffers[bufnr].hand = nil -- Neovim no longer expects an answer
  shown.detach(bufnr)
  if vim.api.nvim_buf_is_valid(bufnr) then
    vim.lsp.inline_completion.enable(false, { bufnr = bufnr })
  end
end

--- Ask now, in the current buffer.
---@param bufnr integer
---@param invoked boolean by a key
function M.request(bufnr, invoked)
  local buffer = buffers[bufnr]
  if buffer.hand then
    shown.ask(buffer.client, invoked, buffer.request)
  else
    buffer.is_invoked = invoked -- Neovim's first request comes within 200 ms and becomes this one
  end
end

--- Give Neovim what to draw.
---@param bufnr integer
---@param rest? string nil for nothing
---@param overwrites integer
---@param now? hef_lsp.Place
function M.draw(bufnr, rest, overwrites, now)
  local buffer = buffers[bufnr]
  if not buffer.hand then
    return
  end
  -- Neovim leaves out what the rest of the line begins with too, which misplaces what it does draw.
  if not rest or not now or (overwrites == 0 and rest:sub(1, 1) == now.behind:sub(1, 1)) then
    buffer.hand({})
    return
  end
  local line = vim.api.nvim_get_current_line()
  local function position(col)
    return { line = now.row, character = vim.str_utfindex(line, buffer.client.offset_encoding, col, false) }
  end
  local range = { start = position(now.col), ['end'] = position(now.col + overwrites) }
  buffer.hand({ { insertText = rest, range = range } })
end

return M
