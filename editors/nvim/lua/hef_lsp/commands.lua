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
local function execute(name, on_result)
  local client = hef.client()
  if not client then
    say('no server is attached to this buffer; see :checkhealth hef_lsp', vim.log.levels.WARN)
    return
  end
  client:exec_cmd({ title = name, command = 'hef-lsp.' .. name }, nil, function(err, result)
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

---@param scope string 'buffer', 'filetype' or '' for everywhere
function M.toggle(scope)
  if not vim.list_contains({ '', 'buffer', 'filetype' }, scope) then
    say(scope .. ' is none of buffer, filetype', vim.log.levels.ERROR)
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

--- Run the server's own check in a window of its own.
function M.doctor()
  local cmd = M.program('--doctor')
  if not cmd then
    say('the server is started by a function of your configuration', vim.log.levels.WARN)
    return
  end
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
