-- What `vim.lsp.enable("dlm_ls")` starts. Works without the rest of this plugin being configured.
return require("dlm.client").config()
