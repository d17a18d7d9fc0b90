--- `:checkhealth hef_lsp`
local M = {}
local health = vim.health

local function neovim()
  health.start('hef-lsp: Neovim')
  if vim.lsp.inline_completion then
    health.ok('ghost text is drawn by Neovim ' .. tostring(vim.version()))
  elseif vim.fn.has('nvim-0.11') == 1 then
    health.ok('ghost text is drawn by this plugin in Neovim ' .. tostring(vim.version()))
  else
    health.error('Neovim 0.11 or later is needed', 'Older ones have no vim.lsp.config.')
  end
end

local function server()
  health.start('hef-lsp: server')
  local cmd = require('hef_lsp.commands').program('--version')
  if not cmd then
    health.info('the server is started by a function of your configuration')
    return
  end
  if vim.fn.executable(cmd[1]) == 0 then
    health.error(cmd[1] .. ' was not found', {
      'Install it: in a checkout of hef-lsp, pipx install . (or: uv tool install .).',
      "Or say where it is: vim.lsp.config('hef_lsp', { cmd = { '/path/to/hef-lsp' } })",
    })
    return
  end
  local answered, result = pcall(function()
    return vim.system(cmd, { text = true }):wait(10000)
  end)
  if answered and result.code == 0 then
    health.ok(('%s (%s)'):format(vim.trim(result.stdout), vim.fn.exepath(cmd[1])))
  else
    health.error(cmd[1] .. ' does not run', answered and vim.trim(result.stderr) or tostring(result))
  end
end

---@param client vim.lsp.Client
local function report(client)
  local bufnr = next(client.attached_buffers)
  local status = bufnr and require('hef_lsp').details(bufnr)
  if not status then
    health.info('the server has not told its status yet')
  elseif status.state == 'error' then
    health.error(status.message .. ' ' .. status.reason, status.nextStep)
  else
    health.ok(status.message)
    for _, line in ipairs({ status.model, status.reason, unpack(status.notes) }) do
      if line ~= '' then
        health.info(line)
      end
    end
  end
end

local function clients()
  health.start('hef-lsp: running')
  local running = vim.lsp.get_clients({ name = 'hef_lsp' })
  if #running == 0 then
    health.warn('not running', {
      "Put require('hef_lsp').setup() into your configuration and open a file of a configured filetype.",
    })
  end
  for _, client in ipairs(running) do
    health.info(('client %d, folder %s'):format(client.id, client.root_dir or 'none'))
    report(client)
  end
  health.info('`:HefDoctor` checks model, device and index.')
end

function M.check()
  neovim()
  if vim.lsp.config then
    server()
    clients()
  end
end

return M
