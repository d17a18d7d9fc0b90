---@type vim.lsp.Config
return {
  cmd = { 'hef-lsp' },
  filetypes = { 'python' }, -- what the embedded model was trained on; see |hef-lsp-filetypes|
  root_markers = { '.git', 'pyproject.toml', 'setup.py', 'setup.cfg' }, -- the whole repository is the context
  capabilities = { textDocument = { inlineCompletion = { dynamicRegistration = false } } }, -- 0.11 does not say so
  handlers = {
    ['hef-lsp/status'] = function(_, status, ctx)
      require('hef_lsp.server').told(status, ctx.client_id)
    end,
  },
  on_exit = function(code, signal, client_id)
    require('hef_lsp.server').ended(code, signal, client_id)
  end,
}
