-- `:Dlm …`: one command, whose first word says what to do.

local M = {}

---@class dlm.Subcommand
---@field about string what it does, for the help file
---@field usage? string what follows its name
---@field run fun(argument: string, bang: boolean)
---@field complete? fun(): string[]

local function notify(text, level)
  vim.notify("dlm: " .. text, level or vim.log.levels.INFO)
end

--- Has the server carry out `command` for the current document, and says what it answers.
---@param command string
---@param fields? table
local function execute(command, fields)
  local client = require("dlm.client").of()
  if not client then
    notify("no server is attached to this buffer", vim.log.levels.WARN)
    return
  end
  local argument = vim.tbl_extend("force", { uri = vim.uri_from_bufnr(0), quiet = true }, fields or {})
  client:request("workspace/executeCommand", { command = command, arguments = { argument } }, function(err, result)
    if err then
      notify(err.message, vim.log.levels.ERROR)
    elseif result and result.message and result.message ~= "" then
      notify(result.message, result.ok == false and vim.log.levels.WARN or nil)
    end
  end)
end

--- The versions that `:Dlm revert` can be asked for, the newest first: those below the current one.
---@return string[]
local function versions()
  local status = require("dlm.status").of(vim.api.nvim_get_current_buf())
  local current = status and status.version
  local found = {}
  if type(current) == "number" then
    for number = current - 1, 1, -1 do
      table.insert(found, ("v%04d"):format(number))
    end
  end
  return found
end

local function show_answers()
  local client = require("dlm.client").of()
  if not client then
    notify("no server is attached to this buffer", vim.log.levels.WARN)
    return
  end
  client:request("dlm/answers", { uri = vim.uri_from_bufnr(0) }, function(err, result)
    if err or not result then
      notify(err and err.message or "there are no answers yet", vim.log.levels.WARN)
      return
    end
    if not result.ok then
      notify(result.message)
      return
    end
    local bufnr = vim.fn.bufnr("^" .. vim.fn.escape(result.uri, "*?[]{},^$\\") .. "$")
    if bufnr == -1 then
      bufnr = vim.api.nvim_create_buf(false, true)
      vim.api.nvim_buf_set_name(bufnr, result.uri)
      vim.bo[bufnr].filetype = "markdown"
    end
    vim.bo[bufnr].modifiable = true
    vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, vim.split(result.text, "\n", { plain = true }))
    vim.bo[bufnr].modifiable = false
    vim.cmd.sbuffer({ bufnr, mods = { split = "botright" } })
  end)
end

---@type table<string, dlm.Subcommand>
M.subcommands = {
  train = {
    about = "Train what is new, changed or unfinished in the saved text now.",
    run = function()
      execute("dlm.trainNow")
    end,
  },
  retrain = {
    about = "Begin a new adapter from the base and train the whole document. Asks first; not with `:Dlm!`.",
    run = function(_, bang)
      execute("dlm.fullRetrain", { confirmed = bang or nil })
    end,
  },
  cancel = {
    about = "Stop the run at its next step; the last version stays.",
    run = function()
      execute("dlm.cancel")
    end,
  },
  ask = {
    about = "Ask the model; the answer streams into a floating window. Without a question, asks for one.",
    usage = "[question]",
    run = function(argument)
      require("dlm.ask").question(argument)
    end,
  },
  status = {
    about = "Say where the document stands.",
    run = function()
      execute("dlm.showStatus")
    end,
  },
  answers = {
    about = "Open what the model answered before and after it learned each new exchange.",
    run = show_answers,
  },
  revert = {
    about = "Make an earlier version current again; without one, the version before.",
    usage = "[version]",
    run = function(argument)
      execute("dlm.revert", { version = argument ~= "" and argument or nil })
    end,
    complete = versions,
  },
  unlock = {
    about = "Remove the store's lock, if its holder is dead.",
    run = function()
      execute("dlm.unlock")
    end,
  },
  log = {
    about = "Open the log of the language client, in which the server's lines are.",
    run = function()
      vim.cmd.tabedit(vim.fn.fnameescape(vim.lsp.log and vim.lsp.log.get_filename() or vim.lsp.get_log_path()))
    end,
  },
}

---@param words string[]
---@param lead string
---@return string[]
local function beginning_with(words, lead)
  return vim.tbl_filter(function(word)
    return vim.startswith(word, lead)
  end, words)
end

---@param lead string
---@param line string
---@return string[]
local function complete(lead, line)
  local name = line:match("^%s*%S+%s+(%S+)%s")
  if not name then
    local names = vim.tbl_keys(M.subcommands)
    table.sort(names)
    return beginning_with(names, lead)
  end
  local found = M.subcommands[name]
  return found and found.complete and beginning_with(found.complete(), lead) or {}
end

function M.register()
  vim.api.nvim_create_user_command("Dlm", function(called)
    local name, argument = called.args:match("^(%S+)%s*(.*)$")
    local found = M.subcommands[name]
    if not found then
      notify(("there is no :Dlm %s"):format(name), vim.log.levels.ERROR)
      return
    end
    found.run(argument, called.bang)
  end, { nargs = "+", bang = true, complete = complete, desc = "Train, ask and look after a .dlm document" })
end

return M
