-- Buffer-local options of a `.dlm` document.
if vim.b.did_ftplugin then
  return
end
vim.b.did_ftplugin = true

vim.bo.commentstring = "<!-- %s -->"
vim.bo.iskeyword = vim.bo.iskeyword .. ",-,." -- base models such as qwen2.5-0.5b are one word
vim.wo.wrap = true
vim.wo.linebreak = true
vim.b.undo_ftplugin = "setlocal commentstring< iskeyword< wrap< linebreak<"

-- Prose is Markdown to tree-sitter; what is special about the format comes as semantic tokens from the server.
if pcall(vim.treesitter.language.add, "markdown") then
  vim.treesitter.language.register("markdown", "dlm")
  pcall(vim.treesitter.start, 0, "markdown")
end
