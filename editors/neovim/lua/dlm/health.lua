-- `:checkhealth dlm`: what is needed, what was found, and what to do about the rest.

local M = {}

--- What `dlm-lsp doctor` says, line by line, or nil when it could not be run.
---@param command string[]
---@return string[]?, integer
local function doctor(command)
  local call = vim.list_extend(vim.deepcopy(command), { "doctor" })
  local ok, done = pcall(function()
    return vim.system(call, { text = true, timeout = 60000, env = { NO_COLOR = "1", COLUMNS = "100" } }):wait()
  end)
  if not ok then
    return nil, -1
  end
  return vim.split(vim.trim((done.stdout or "") .. (done.stderr or "")), "\n", { plain = true }), done.code
end

function M.check()
  local health = vim.health
  health.start("dlm: configuration")
  local problems = require("dlm.config").problems(vim.g.dlm)
  for _, problem in ipairs(problems) do
    health.error(problem, { "see :help dlm.config" })
  end
  if #problems == 0 then
    health.ok("vim.g.dlm is fine")
  end
  if vim.fn.has("nvim-0.11") == 1 then
    health.ok("Neovim " .. tostring(vim.version()))
  else
    health.error("Neovim 0.11 or newer is needed", { "install a newer Neovim" })
  end
  if vim.fn.exists(":Dlm") == 2 then
    health.ok(":Dlm is defined")
  else
    health.error(":Dlm is not defined", { "plugin/dlm.lua did not run: is the plugin on the runtimepath?" })
  end

  health.start("dlm: server")
  local folder = vim.fn.expand("%:p:h")
  local command, where = require("dlm.client").command(folder ~= "" and folder or nil)
  if vim.fn.executable(command[1]) ~= 1 then
    health.error(("%s (%s) cannot be run"):format(command[1], where), {
      "install it: pip install . in a checkout of dlm-language-server (docs/install-neovim.md)",
      "or say where it is: vim.g.dlm = { cmd = { '/path/to/dlm-lsp' } }",
    })
    return
  end
  health.ok(("%s, found by %s"):format(vim.fn.exepath(command[1]), where))
  local told, code = doctor(command)
  if not told then
    health.error(("%s doctor could not be run"):format(command[1]), { "run it in a terminal to see why" })
  else
    for _, line in ipairs(told) do
      local mark, text = line:match("^(%S+)%s+(.*)$")
      if mark == "FAIL" then
        health.error(text)
      elseif mark == "note" then
        health.warn(text)
      elseif mark == "ok" then
        health.ok(text)
      elseif line ~= "" then
        health.info(line)
      end
    end
    if code ~= 0 then
      health.warn("not everything that training needs is there", { "see the lines above" })
    end
  end

  health.start("dlm: documents")
  local clients = vim.lsp.get_clients({ name = require("dlm.client").NAME })
  if #clients == 0 then
    health.info("no server is running: open a .dlm file")
  end
  for _, client in ipairs(clients) do
    for bufnr in pairs(client.attached_buffers) do
      local name = vim.fn.fnamemodify(vim.api.nvim_buf_get_name(bufnr), ":~:.")
      local status = require("dlm.status").of(bufnr)
      if not status then
        health.info(name .. ": nothing is known yet")
      elseif status.lock and status.lock ~= vim.NIL then
        health.warn(name .. ": " .. status.lock.detail, { ":Dlm unlock, if its holder is dead" })
      else
        health.ok(("%s: %s (store %s)"):format(name, status.message, tostring(status.store)))
      end
    end
  end
  for _, autocommand in ipairs(vim.api.nvim_get_autocmds({ event = "BufWritePost", pattern = "*.dlm" })) do
    if (autocommand.command or ""):find("dlm train", 1, true) then
      health.warn("an autocommand trains `.dlm` files on save as well: " .. autocommand.command, {
        "remove it: the server does that",
      })
    end
  end
end

return M
