-- Redraws the statusline while something goes on, at most ten times a second. Draws nothing of its own.

local M = {}

local INTERVAL = 100 -- milliseconds
local due = false

local function redraw()
  if due then
    return
  end
  due = true
  vim.defer_fn(function()
    due = false
    vim.cmd.redrawstatus({ bang = true })
  end, INTERVAL)
end

function M.attach()
  if not require("dlm.config").get().progress then
    return
  end
  local group = vim.api.nvim_create_augroup("dlm.progress", { clear = true })
  vim.api.nvim_create_autocmd("User", { group = group, pattern = "DlmStatus", callback = redraw })
end

return M
