if vim.g.loaded_hef_lsp or vim.fn.has('nvim-0.11') == 0 then
  return
end
vim.g.loaded_hef_lsp = true

vim.api.nvim_create_autocmd('LspAttach', {
  group = vim.api.nvim_create_augroup('hef_lsp', {}),
  callback = function(event)
    local client = vim.lsp.get_client_by_id(event.data.client_id)
    if client and client.name == 'hef_lsp' then
      require('hef_lsp').on_attach(client, event.buf)
    end
  end,
})

for name, help in pairs({
  Context = 'List what the last suggestion was made from',
  Pause = 'Pause indexing',
  Reindex = 'Compare the index with the disk again',
  Restart = 'Restart the server',
  Resume = 'Resume indexing',
  Status = 'Show what the server is doing',
  Toggle = 'Turn suggestions on or off',
}) do
  vim.api.nvim_create_user_command('Hef' .. name, function()
    require('hef_lsp.commands')[name:lower()]()
  end, { desc = 'hef-lsp: ' .. help })
end
