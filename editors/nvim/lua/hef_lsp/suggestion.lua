--- A suggestion belongs to one place: the text before the cursor and the text behind it. Whether it still holds after
--- some typing is decided here and nowhere else.
local api = vim.api
local M = {}

---@class hef_lsp.Place where a suggestion was asked for
---@field bufnr integer
---@field tick integer the buffer's changedtick
---@field row integer 0-based
---@field col integer in bytes
---@field before string the line up to the cursor
---@field behind string the rest of it
---@field below integer how many lines there are from the cursor's on

---@class hef_lsp.Suggestion
---@field place hef_lsp.Place
---@field text string with "\n" line ends
---@field overwrites integer bytes behind the cursor that the text brings along itself, such as a closing bracket
---@field invoked boolean asked for by a key
---@field client_id integer
---@field command? lsp.Command that tells the server of its acceptance

--- The cursor's place in the current buffer.
---@return hef_lsp.Place
function M.place()
  local bufnr = api.nvim_get_current_buf()
  local row, col = unpack(api.nvim_win_get_cursor(0))
  local line = api.nvim_get_current_line()
  return {
    bufnr = bufnr,
    tick = api.nvim_buf_get_changedtick(bufnr),
    row = row - 1,
    col = col,
    before = line:sub(1, col),
    behind = line:sub(col + 1),
    below = api.nvim_buf_line_count(bufnr) - row,
  }
end

---@param item lsp.InlineCompletionItem
---@param place hef_lsp.Place
---@param client vim.lsp.Client
---@param invoked boolean
---@return hef_lsp.Suggestion? nil for a snippet, which this server does not make
function M.from_item(item, place, client, invoked)
  if type(item.insertText) ~= 'string' then
    return nil
  end
  local overwrites = 0
  if item.range then
    local units = item.range['end'].character - item.range.start.character
    overwrites = vim.str_byteindex(place.behind, client.offset_encoding, units, false)
  end
  return {
    place = place,
    text = (item.insertText:gsub('\r\n', '\n')), -- the buffer has no CR at its line ends, whatever the file has
    overwrites = overwrites,
    invoked = invoked,
    client_id = client.id,
    command = item.command,
  }
end

--- What is left to write at `now`, nil where the suggestion no longer holds or nothing is left.
---@param suggestion hef_lsp.Suggestion
---@param now hef_lsp.Place
---@return string?
function M.rest(suggestion, now)
  local asked = suggestion.place
  if now.bufnr ~= asked.bufnr or now.behind ~= asked.behind or now.below ~= asked.below then
    return nil
  end
  if now.row < asked.row or (now.row == asked.row and now.col < asked.col) then
    return nil
  end
  local lines = api.nvim_buf_get_text(now.bufnr, asked.row, 0, now.row, now.col, {})
  local written = table.concat(lines, '\n')
  local typed = written:sub(#asked.before + 1)
  if not vim.startswith(written, asked.before) or not vim.startswith(suggestion.text, typed) then
    return nil
  end
  local rest = suggestion.text:sub(#typed + 1)
  return rest:find('%S') and rest or nil
end

--- Put `text` in at the cursor, over the next `overwrites` bytes.
---@param now hef_lsp.Place
---@param text string
---@param overwrites integer
function M.insert(now, text, overwrites)
  local lines = vim.split(text, '\n', { plain = true })
  api.nvim_buf_set_text(now.bufnr, now.row, now.col, now.row, now.col + overwrites, lines)
  api.nvim_win_set_cursor(0, { now.row + #lines, (#lines == 1 and now.col or 0) + #lines[#lines] })
end

return M
