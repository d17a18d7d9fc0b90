if vim.g.loaded_hef_lsp or vim.fn.has('nvim-0.11') == 0 then
  return
end
vim.g.loaded_hef_lsp = true

vim.api.nvim_set_hl(0, 'ComplHint', { link = 'NonText', default = true }) -- Neovim 0.11 does not have it

local group = vim.api.nvim_create_augroup('hef_lsp', {})
for event, act in pairs({ LspAttach = 'attached', LspDetach = 'detached' }) do
  vim.api.nvim_create_autocmd(event, {
    group = group,
    callback = function(args)
      local client = vim.lsp.get_client_by_id(args.data.client_id)
      if client and client.name == 'hef_lsp' then
        require('hef_lsp.server')[act](client, args.buf)
        require('hef_lsp.keymaps')[act](args.buf)
      end
    end,
  })
end

for name, help in pairs({
  Context = 'List what the last suggestion was made from',
  Doctor = 'Check model, device and index',
  Log = "Open the client's log, with what the server wrote to it",
  Rates = 'Say how many suggestions were shown, taken and kept',
  Pause = 'Pause indexing',
  Reindex = 'Compare the index with the disk again',
  Restart = 'Restart the server',
  Resume = 'Resume indexing',
  Status = 'Show what the server is doing',
}) do
  vim.api.nvim_create_user_command('Hef' .. name, function()
    require('hef_lsp.commands')[name:lower()]()
  end, { desc = 'hef-lsp: ' .. help })
end

vim.api.nvim_create_user_command('HefToggle', function(args)
  require('hef_lsp.commands').toggle(args.args)
end, {
  desc = 'hef-lsp: Turn suggestions on or off',
  nargs = '?',
  complete = function()
    return { 'buffer', 'filetype', 'subtle' }
  end,
})

vim.api.nvim_create_user_command('HefSnooze', function(args)
  require('hef_lsp.commands').snooze(args.args)
end, {
  desc = 'hef-lsp: Let nothing come up by itself for a while',
  nargs = '?',
  complete = function()
    return { '5', '30', 'restart', 'off' }
  end,
})
