--- What each buffer shows, and the rule that keeps it true: after every key, what no longer holds is taken off the
--- screen before it is drawn again. Who asks the server and who draws is `native.lua` or `ghost.lua`.
local suggestion = require('hef_lsp.suggestion')

local METHOD = 'textDocument/inlineCompletion'
local INVOKED, AUTOMATIC = 1, 2 -- lsp.InlineCompletionTriggerKind

local M = {}

---@class hef_lsp.Screen draws what is left of a suggestion at a place, nil for nothing
---@field draw fun(bufnr: integer, rest: string?, overwrites: integer, now: hef_lsp.Place?)

---@class hef_lsp.Shown
---@field screen hef_lsp.Screen
---@field suggestion? hef_lsp.Suggestion
---@field dismissed? hef_lsp.Place
---@field invoked? hef_lsp.Place where a key asked last
---@field stay integer how often insert mode was left: what was asked before may be about another text
---@field rest? string what is on the screen

---@type table<integer, hef_lsp.Shown> by buffer
local buffers = {}

local EVENTS = { 'CursorMovedI', 'TextChangedI', 'TextChangedP' }

---@param shown hef_lsp.Shown
---@param bufnr integer
---@param rest? string
---@param overwrites integer
---@param now? hef_lsp.Place
local function draw(shown, bufnr, rest, overwrites, now)
  shown.rest = rest
  shown.screen.draw(bufnr, rest, overwrites, now)
end

--- Neovim may draw a change before it tells of it by an event: what is not typed along is hidden at once.
---@param bufnr integer
---@param shown hef_lsp.Shown
local function hide_at_changes(bufnr, shown)
  local function changed(_, _, _, row, col, _, _, _, n_removed, n_rows, n_cols)
    if buffers[bufnr] ~= shown then
      return true -- no longer wanted
    elseif shown.rest then
      local end_col = n_rows == 0 and col + n_cols or n_cols
      local added = vim.api.nvim_buf_get_text(bufnr, row, col, row + n_rows, end_col, {})
      if n_removed > 0 or not vim.startswith(shown.rest, table.concat(added, '\n')) then
        draw(shown, bufnr, nil, 0)
      end
    end
  end
  vim.api.nvim_buf_attach(bufnr, false, { on_bytes = changed })
end

--- Begin to keep suggestions of a buffer.
---@param bufnr integer
---@param screen hef_lsp.Screen
function M.attach(bufnr, screen)
  buffers[bufnr] = { screen = screen, stay = 0 }
  hide_at_changes(bufnr, buffers[bufnr])
  local group = vim.api.nvim_create_augroup('hef_lsp.shown:' .. bufnr, {})
  vim.api.nvim_create_autocmd(EVENTS, {
    group = group,
    buffer = bufnr,
    callback = function()
      M.refresh(bufnr)
    end,
  })
  vim.api.nvim_create_autocmd({ 'InsertLeave', 'BufLeave' }, {
    group = group,
    buffer = bufnr,
    callback = function()
      buffers[bufnr].stay = buffers[bufnr].stay + 1
      M.clear(bufnr)
    end,
  })
end

---@param bufnr integer
function M.detach(bufnr)
  if buffers[bufnr] then
    M.clear(bufnr)
    buffers[bufnr] = nil
    vim.api.nvim_del_augroup_by_name('hef_lsp.shown:' .. bufnr)
  end
end

--- The suggestion of the current buffer that holds at the cursor, and what is left of it.
---@return hef_lsp.Suggestion?, string?, hef_lsp.Place?
function M.current()
  local shown = buffers[vim.api.nvim_get_current_buf()]
  local chosen = shown and shown.suggestion
  -- In a snippet <Tab> goes to the next field. A suggestion there would take it away, so it has to be asked for.
  if not chosen or (vim.snippet.active() and not chosen.invoked) then
    return nil
  end
  local now = suggestion.place()
  local rest = suggestion.rest(chosen, now)
  if rest then
    return chosen, rest, now
  end
end

--- Draw what still holds, forget what does not.
---@param bufnr integer
---@return boolean whether something is shown
function M.refresh(bufnr)
  local shown = buffers[bufnr]
  if not shown or vim.api.nvim_get_current_buf() ~= bufnr then
    return false
  end
  local chosen, rest, now = M.current()
  if chosen then
    draw(shown, bufnr, rest, chosen.overwrites, now)
  else
    M.clear(bufnr)
  end
  return chosen ~= nil
end

---@param bufnr integer
function M.clear(bufnr)
  local shown = buffers[bufnr]
  if shown then
    shown.suggestion = nil
    draw(shown, bufnr, nil, 0)
  end
end

--- Take off the screen, and do not show the same place again unless asked to.
---@param bufnr integer
function M.dismiss(bufnr)
  buffers[bufnr].dismissed, buffers[bufnr].invoked = suggestion.place(), nil
  M.clear(bufnr)
end

--- The server's answer. One without a suggestion changes nothing: it may be to a request that a newer one superseded.
---@param shown hef_lsp.Shown
---@param place hef_lsp.Place where it was asked for
---@param client vim.lsp.Client
---@param invoked boolean
---@param result? lsp.InlineCompletionList|lsp.InlineCompletionItem[]
local function answer(shown, place, client, invoked, result)
  local is_typing = vim.startswith(vim.api.nvim_get_mode().mode, 'i')
  if not is_typing or (vim.deep_equal(place, shown.dismissed) and not invoked) then
    return
  end
  local item = (result and result.items or result or {})[1]
  shown.suggestion = item and suggestion.from_item(item, place, client, invoked) or shown.suggestion
  M.refresh(place.bufnr)
end

--- Ask the server about the cursor's place in the current buffer. A request that a timer makes where a key has asked is
--- the key's as well: it takes the answer over from the key's own.
---@param client vim.lsp.Client
---@param invoked boolean by a key
---@param request? function instead of `client.request`
---@return boolean, integer? as |Client:request()|
function M.ask(client, invoked, request)
  local place = suggestion.place()
  local shown = buffers[place.bufnr]
  if not shown then
    return false -- a timer went off after suggestions were turned off
  end
  shown.invoked = invoked and place or shown.invoked
  invoked = vim.deep_equal(place, shown.invoked)
  local stay = shown.stay
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding) --[[@as lsp.InlineCompletionParams]]
  params.context = { triggerKind = invoked and INVOKED or AUTOMATIC }
  return (request or client.request)(client, METHOD, params, function(err, result)
    if err then
      vim.lsp.log.error('hef-lsp', err)
    elseif buffers[place.bufnr] == shown and shown.stay == stay then
      answer(shown, place, client, invoked, result)
    end
  end, place.bufnr)
end

return M
