-- Writes doc/dlm.txt from the annotations of the plugin: nvim -l scripts/vimdoc.lua [--check]
local here = vim.fn.fnamemodify(debug.getinfo(1, "S").source:sub(2), ":p:h:h")
vim.opt.runtimepath:prepend(here)

local WIDTH = 78
local out = {}

local function put(line)
  table.insert(out, line or "")
end

local function heading(title, tag)
  put(("="):rep(WIDTH))
  local right = ("*%s*"):format(tag)
  put(title .. (" "):rep(WIDTH - #title - #right) .. right)
  put()
end

local function wrapped(text, indent)
  local line = (" "):rep(indent)
  for word in text:gmatch("%S+") do
    if #line + #word + 1 > WIDTH and line:match("%S") then
      put(line)
      line = (" "):rep(indent)
    end
    line = line .. (line:match("%S") and " " or "") .. word
  end
  put(line)
end

--- The lines of a file's `---@brief` block.
local function brief(name)
  local inside = false
  for line in io.lines(here .. "/lua/dlm/" .. name) do
    if line == "---@brief" then
      inside = true
    elseif inside then
      local text = line:match("^%-%-%- ?(.*)$")
      if not text then
        break
      end
      put(text)
    end
  end
  put()
end

--- Each `---@field` of a class: its name, type and what follows.
local function fields(name, class)
  local inside = false
  for line in io.lines(here .. "/lua/dlm/" .. name) do
    if line == "---@class " .. class then
      inside = true
    elseif inside then
      local field, kind, text = line:match("^%-%-%-@field (%S+) (%S+) (.+)$")
      if not field then
        break
      end
      put(("{%s} `%s`"):format(field:gsub("%?$", ""), kind))
      wrapped(text, 4)
    end
  end
  put()
end

--- The public functions of a file, with their comments.
local function functions(name)
  local comment = {}
  for line in io.lines(here .. "/lua/dlm/" .. name) do
    local text = line:match("^%-%-%- ?(.*)$")
    local called = line:match("^function M%.(%w+%b())$")
    if text and not text:match("^@") then
      table.insert(comment, text)
    elseif called and #comment > 0 and called ~= "attach()" then
      local tag = "*dlm." .. called:match("^%w+") .. "()*"
      local left = ('require("dlm").%s'):format(called)
      put(left .. (" "):rep(math.max(1, WIDTH - #left - #tag)) .. tag)
      wrapped(table.concat(comment, " "), 4)
      put()
      comment = {}
    elseif not text then
      comment = {}
    end
  end
end

put("*dlm.txt*  A language model that learns a document on every save")
put()
heading("Introduction", "dlm")
brief("init.lua")
heading("Configuration", "dlm.config")
brief("config.lua")
fields("config.lua", "dlm.Config")
heading("Commands", "dlm.commands")
local subcommands = require("dlm.commands").subcommands
local names = vim.tbl_keys(subcommands)
table.sort(names)
for _, name in ipairs(names) do
  local usage = subcommands[name].usage
  local left = (":Dlm %s%s"):format(name, usage and " " .. usage or "")
  local tag = ("*:Dlm-%s*"):format(name)
  put(left .. (" "):rep(math.max(1, WIDTH - #left - #tag)) .. tag)
  wrapped(subcommands[name].about, 4)
  put()
end
heading("Functions", "dlm.functions")
functions("init.lua")
heading("Events", "dlm.events")
wrapped(
  "`User DlmStatus` is fired after every change of a document's status. Its data holds {uri} and {status}: what "
    .. "`dlm/trainingStatus` brought (docs/protocol.md), or nil when the server is gone.",
  0
)
put()
heading("Highlights", "dlm.highlights")
wrapped(
  "The marks in the sign column are drawn with `DlmLearned`, `DlmPartly`, `DlmNew`, `DlmWaiting`, `DlmLearning`, "
    .. "`DlmFailed` and `DlmForgotten`; by default they are linked to the signs of diagnostics.",
  0
)
put()
put("vim:tw=78:ts=8:noet:ft=help:norl:")

local text = table.concat(out, "\n") .. "\n"
local path = here .. "/doc/dlm.txt"
if vim.list_contains(arg, "--check") then
  local file = io.open(path)
  if not file or file:read("*a") ~= text then
    io.stderr:write("doc/dlm.txt is stale: nvim -l scripts/vimdoc.lua\n")
    os.exit(1)
  end
else
  assert(io.open(path, "w")):write(text)
end
