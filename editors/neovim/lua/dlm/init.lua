---@brief
--- A `.dlm` file is a text document that teaches a language model. This
--- plugin starts `dlm-lsp` for it and shows what the server tells: what is
--- being learned, what has been, and what the model answers.
---
--- It needs no `setup()`. Install it, open a `.dlm` file, save.

local M = {}

--- Registers everything that follows the server's events. Called once, by `plugin/dlm.lua`.
function M.attach()
  local config = require("dlm.config").get()
  require("dlm.commands").register()
  require("dlm.progress").attach()
  require("dlm.sections").attach()
  if config.enable then
    vim.lsp.enable("dlm_ls")
  end
end

--- One short text for a statusline: the state of the document in `bufnr`, or "" where there is none.
---@param bufnr? integer the current buffer if left out
---@return string
function M.statusline(bufnr)
  return require("dlm.status").line(bufnr or vim.api.nvim_get_current_buf())
end

--- The newest status that the server told of the document in `bufnr` (`dlm/trainingStatus`), or nil.
---@param bufnr? integer the current buffer if left out
---@return table?
function M.status(bufnr)
  return require("dlm.status").of(bufnr or vim.api.nvim_get_current_buf())
end

return M
