-- A Neovim with nothing but this plugin; the server's program comes in DLM_LSP.
local here = vim.fn.fnamemodify(debug.getinfo(1, "S").source:sub(2), ":p:h:h")
vim.opt.runtimepath:prepend(here)
vim.opt.swapfile = false
vim.g.dlm = { cmd = { vim.env.DLM_LSP or "dlm-lsp" } }
