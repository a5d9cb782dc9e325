-- The language client: what starts the server, what it is told of this client, and where its messages go.

local M = {}

M.NAME = "dlm_ls"

--- The program for a document's folder: as configured, else of a `.venv` upwards of it, else from the PATH.
---@param folder? string
---@return string[] command
---@return string where how it was found
function M.command(folder)
  local configured = require("dlm.config").get().cmd
  if configured and #configured > 0 then
    return configured, "vim.g.dlm.cmd"
  end
  local windows = vim.fn.has("win32") == 1
  local program = windows and "Scripts/dlm-lsp.exe" or "bin/dlm-lsp"
  local venv = folder and vim.fs.find(".venv", { path = folder, upward = true, type = "directory" })[1]
  if venv and vim.fn.executable(vim.fs.joinpath(venv, program)) == 1 then
    return { vim.fs.joinpath(venv, program) }, ".venv"
  end
  return { "dlm-lsp" }, "PATH"
end

local hints_due = false

--- Fetches inlay hints anew, and once more when nothing is being drawn: what Neovim (0.12 at least) happens to draw
--- between its question and the answer keeps the old hints for good.
function M.refresh_hints(err, result, context)
  local refresh = vim.lsp.handlers["workspace/inlayHint/refresh"]
  if not hints_due then
    hints_due = true
    vim.defer_fn(function()
      hints_due = false
      if vim.lsp.get_client_by_id(context.client_id) then
        refresh(err, result, context)
      end
    end, 400)
  end
  return refresh(err, result, context)
end

--- The client's configuration, as `vim.lsp.config` takes it.
---@return vim.lsp.Config
function M.config()
  local config = require("dlm.config").get()
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities.experimental = {
    serverStatusNotification = true,
    dlm = { trainingStatus = true, ask = true },
  }
  return {
    cmd = function(dispatchers, started)
      local command = M.command(started and started.root_dir)
      return vim.lsp.rpc.start(command, dispatchers, { cwd = started and started.root_dir })
    end,
    filetypes = { "dlm" },
    root_markers = { ".git", ".venv" },
    capabilities = capabilities,
    init_options = vim.tbl_extend("force", { workspaceTrusted = config.trusted }, { dlm = config.settings }),
    settings = { dlm = config.settings },
    handlers = {
      ["dlm/trainingStatus"] = function(_, params)
        require("dlm.status").told(params)
      end,
      ["workspace/inlayHint/refresh"] = M.refresh_hints,
      ["experimental/serverStatus"] = function() end, -- `:Dlm status` and the statusline say the same
      ["$/progress"] = function(err, params, context)
        if not require("dlm.ask").piece(params) then
          return vim.lsp.handlers["$/progress"](err, params, context)
        end
      end,
    },
    commands = {
      ["dlm.askInEditor"] = function(command, context)
        require("dlm.ask").exchange(context.bufnr, command.arguments and command.arguments[1] or {})
      end,
    },
    on_attach = function(client, bufnr)
      if config.inlay_hints and client:supports_method("textDocument/inlayHint") then
        vim.lsp.inlay_hint.enable(true, { bufnr = bufnr })
      end
    end,
    on_exit = vim.schedule_wrap(function()
      require("dlm.status").forget()
    end),
  }
end

--- The client of a buffer, or nil.
---@param bufnr? integer
---@return vim.lsp.Client?
function M.of(bufnr)
  return vim.lsp.get_clients({ name = M.NAME, bufnr = bufnr or 0 })[1]
end

return M
