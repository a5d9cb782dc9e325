---@brief
---
--- A language server for `.dlm` files: text documents that teach a language model. It retrains the document's LoRA
--- adapter on every save.
---
--- It is installed from a checkout of its repository (`dlm-lsp` on the package index is another program):
---
--- ```sh
--- python3 -m venv ~/.local/share/dlm
--- ~/.local/share/dlm/bin/pip install .            # in the checkout
--- export PATH="$HOME/.local/share/dlm/bin:$PATH"  # in your shell's profile, too
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
