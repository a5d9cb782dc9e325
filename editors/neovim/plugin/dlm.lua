-- Runs once at start: nothing heavy, and nothing that a configuration could still change.
if vim.g.loaded_dlm then
  return
end
vim.g.loaded_dlm = true

if vim.fn.has("nvim-0.11") == 0 then
  vim.schedule(function()
    vim.notify_once("dlm: Neovim 0.11 or newer is needed", vim.log.levels.WARN)
  end)
  return
end

require("dlm").attach()
