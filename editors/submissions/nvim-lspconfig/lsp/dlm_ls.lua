---@brief
---
--- A language server for `.dlm` files: text documents that teach a language model. It retrains the document's LoRA
--- adapter on every save.
---
--- `dlm-lsp` can be installed via `pip`:
---
--- ```sh
--- pip install dlm-language-server
--- ```
---
--- Neovim does not know the filetype; say what it is:
---
--- ```lua
--- vim.filetype.add({ extension = { dlm = 'dlm' } })
--- ```
---
--- Settings, such as `onSave` (`train`, `mark` or `off`), are given below `dlm`:
---
--- ```lua
--- vim.lsp.config('dlm_ls', { settings = { dlm = { onSave = 'mark' } } })
--- ```

---@type vim.lsp.Config
return {
  cmd = { 'dlm-lsp' },
  filetypes = { 'dlm' },
  root_markers = { '.venv', '.git' },
}
