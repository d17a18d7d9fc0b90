--- What the :Hef… commands do.
local hef = require('hef_lsp')

local M = {}

---@param message string
---@param level? integer
local function say(message, level)
  vim.notify('hef-lsp: ' .. message, level or vim.log.levels.INFO)
end

--- Send one of the server's commands.
---@param name string without the prefix
---@param on_result? fun(result: any, client: vim.lsp.Client)
---@param arguments? any[]
local function execute(name, on_result, arguments)
  local client = hef.client()
  if not client then
    say('no server is attached to this buffer; see :checkhealth hef_lsp', vim.log.levels.WARN)
    return
  end
  local command = { title = name, command = 'hef-lsp.' .. name, arguments = arguments }
  client:exec_cmd(command, nil, function(err, result)
    if err then
      say(err.message, vim.log.levels.ERROR)
    elseif on_result then
      on_result(result, client)
    end
  end)
end

function M.reindex()
  execute('reindex')
end

function M.pause()
  execute('pause')
end

function M.resume()
  execute('resume')
end

function M.restart()
  hef.restart()
end

---@param scope string 'buffer', 'filetype', 'subtle' or '' for everywhere
function M.toggle(scope)
  if not vim.list_contains({ '', 'buffer', 'filetype', 'subtle' }, scope) then
    say(scope .. ' is none of buffer, filetype, subtle', vim.log.levels.ERROR)
    return
  elseif scope == 'subtle' then
    say(hef.toggle_subtle() and 'suggestions wait until you ask for them' or 'suggestions come by themselves')
    return
  end
  local on = hef.toggle(scope ~= '' and scope or nil)
  say(('suggestions are %s%s'):format(on and 'on' or 'off', scope ~= '' and ' for this ' .. scope or ''))
end

function M.log()
  local file = vim.lsp.log.get_filename and vim.lsp.log.get_filename() or vim.lsp.get_log_path()
  vim.cmd('botright split ' .. vim.fn.fnameescape(file))
  vim.cmd('normal! G')
end

--- Let nothing come up by itself for a while.
---@param time string minutes, 'restart' for until then, 'off' for no longer
function M.snooze(time)
  local minutes = time == '' and 5 or time == 'off' and 0 or tonumber(time)
  if not minutes and time ~= 'restart' then
    say(time .. ' is none of restart, off, a number of minutes', vim.log.levels.ERROR)
    return
  end
  execute('snooze', function()
    local words = { off = 'suggestions are back', restart = 'suggestions are snoozed until the server is restarted' }
    say(words[time] or ('suggestions are snoozed for %g minutes'):format(minutes))
  end, { minutes })
end

--- The server's settings of a client, as the command line takes them.
---@param settings table
---@param prefix string
---@param into string[]
---@return string[]
local function assignments(settings, prefix, into)
  for name, value in vim.spairs(settings) do
    if type(value) == 'table' and vim.tbl_isempty(value) then
      -- as by default
    elseif type(value) == 'table' and not vim.islist(value) then
      assignments(value, prefix .. name .. '.', into)
    elseif value ~= vim.NIL then
      local text = type(value) == 'table' and table.concat(value, ',') or tostring(value)
      vim.list_extend(into, { '--set', ('%s%s=%s'):format(prefix, name, text) })
    end
  end
  return into
end

--- Run the server's own check in a window of its own, in the buffer's folder and with its settings.
function M.doctor()
  local cmd = M.program('--doctor')
  if not cmd then
    say('the server is started by a function of your configuration', vim.log.levels.WARN)
    return
  end
  local client, config = hef.client(), vim.lsp.config.hef_lsp
  local root = client and client.root_dir or vim.fs.root(0, config.root_markers or {})
  local settings = (client and client.settings or config.settings or {})['hef-lsp'] or {}
  vim.list_extend(cmd, root and { root } or {})
  assignments(settings, '', cmd)
  vim.cmd('botright 20new')
  local bufnr = vim.api.nvim_get_current_buf()
  vim.bo[bufnr].buftype, vim.bo[bufnr].bufhidden = 'nofile', 'wipe'
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, { 'hef-lsp --doctor is running.' })
  local function show(done)
    if vim.api.nvim_buf_is_valid(bufnr) then
      vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, vim.split(vim.trim(done.stdout .. done.stderr), '\n'))
    end
  end
  local is_started, message = pcall(vim.system, cmd, { text = true }, vim.schedule_wrap(show))
  if not is_started then
    show({ stdout = tostring(message), stderr = '' })
  end
end

--- The server's program with another argument, nil when the configuration starts it by a function.
---@param argument string
---@return string[]?
function M.program(argument)
  local cmd = vim.lsp.config.hef_lsp.cmd
  return type(cmd) == 'table' and vim.list_extend(vim.deepcopy(cmd), { argument }) or nil
end

function M.status()
  local status = hef.details()
  if not status then
    say(hef.client() and 'starting' or 'not attached to this buffer; see :checkhealth hef_lsp')
    return
  end
  require('hef_lsp.silence').ask(vim.api.nvim_get_current_buf(), status, function(why)
    local lines = { status.message, status.reason, status.nextStep, status.model, unpack(status.notes) }
    say(vim.iter({ why, lines }):flatten():filter(function(line)
      return line ~= ''
    end):join('\n'))
  end)
end

--- How many suggestions were shown since the server was started, and what became of them; see |:HefRates|.
function M.rates()
  execute('status', function(status)
    local n = status.suggestions
    local share = n.offered > 0 and (' (%.0f %%)'):format(100 * n.accepted / n.offered) or ''
    -- One short line: a longer one would make the user press Enter.
    local line = '%d shown, %d accepted%s, %d kept, %d in parts, %d unsure'
    say(line:format(n.offered, n.accepted, share, n.kept, n.inParts, n.unsure))
  end)
end

---@class hef_lsp.Source
---@field path string relative to the folder; '' is the whole repository
---@field firstLine integer 1-based; 0 for a directory or the repository
---@field lastLine integer
---@field level string
---@field score number

---@param source hef_lsp.Source
---@param root string
---@return vim.quickfix.entry
local function entry(source, root)
  local is_place = source.firstLine > 0
  return {
    filename = is_place and vim.fs.joinpath(root, source.path) or nil,
    lnum = is_place and source.firstLine or nil,
    end_lnum = is_place and source.lastLine or nil,
    text = ('%s, score %.3f'):format(is_place and source.level or source.level .. ' ' .. source.path, source.score),
  }
end

--- The places that the last suggestion was made from, as a quickfix list.
function M.context()
  execute('context', function(used, client)
    if type(used) ~= 'table' then
      say('there was no suggestion yet')
      return
    end
    local root = client.root_dir or vim.fn.getcwd()
    local items = vim.tbl_map(function(source)
      return entry(source, root)
    end, used.context)
    local is_known = type(used.confidence) == 'number'
    local title = ('hef-lsp: last suggestion (%s%s, %d tokens, %.0f ms)'):format(
      is_known and ('%.0f %% sure, '):format(100 * used.confidence) or '',
      used.mode,
      used.promptTokens,
      used.timingsMs.total
    )
    vim.fn.setqflist({}, ' ', { title = title, items = items })
    if #items == 0 then
      say('the last suggestion was made from this file alone')
    else
      vim.cmd('botright copen')
    end
  end)
end

return M
