---@type vim.lsp.Config
return {
  cmd = { 'hef-lsp' },
  filetypes = { 'python' }, -- what the embedded model was trained on; see |hef-lsp-filetypes|
  root_markers = { '.git', 'pyproject.toml', 'setup.py', 'setup.cfg' }, -- the whole repository is the context
  handlers = {
    ['hef-lsp/status'] = function(_, status, ctx)
      require('hef_lsp').on_status(status, ctx.client_id)
    end,
  },
}
