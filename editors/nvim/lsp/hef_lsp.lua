---@type vim.lsp.Config
return {
  cmd = { 'hef-lsp' },
  -- The embedded model was trained on the first; see |hef-lsp-filetypes|.
  filetypes = {
    'python',
    'javascript',
    'javascriptreact',
    'typescript',
    'typescriptreact',
    'go',
    'rust',
    'java',
    'c',
    'cpp',
  },
  -- The whole repository is the context.
  root_markers = { '.git', 'pyproject.toml', 'setup.py', 'setup.cfg', 'package.json', 'go.mod', 'Cargo.toml' },
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
