---@brief
--- Configuration lives in `vim.g.dlm`, a table of which every key may be left
--- out. Set it before the plugin is loaded: >lua
---
---   vim.g.dlm = {
---     cmd = { "/path/to/dlm-lsp" },
---     settings = { onSave = "mark" },
---   }
--- <

local M = {}

---@class dlm.Config
---@field enable? boolean start the server for `.dlm` files (default true)
---@field cmd? string[] what starts the server (default: the buffer's `.venv/bin/dlm-lsp`, then `dlm-lsp` on the PATH)
---@field settings? table the server's settings, without `dlm.` in front (docs/settings.md)
---@field trusted? boolean whether anything may be trained (default true)
---@field signs? boolean|dlm.Signs marks in the sign column (default true)
---@field virtual_text? boolean the state of a section behind its first line, where the server's inlay hints are off (default false)
---@field inlay_hints? boolean turn the server's inlay hints on in `.dlm` buffers (default true)
---@field progress? boolean keep the progress of runs for the statusline (default true)

---@class dlm.Signs
---@field learned? string
---@field partly? string
---@field new? string
---@field changed? string
---@field waiting? string
---@field learning? string
---@field failed? string
---@field forgotten? string

---@class dlm.MergedConfig
---@field enable boolean
---@field cmd string[]?
---@field settings table
---@field trusted boolean
---@field signs dlm.Signs|false
---@field virtual_text boolean
---@field inlay_hints boolean
---@field progress boolean

---@type dlm.Signs
local SIGNS = {
  learned = "✓",
  partly = "◐",
  new = "+",
  changed = "~",
  waiting = "…",
  learning = "●",
  failed = "✗",
  forgotten = "!",
}

local KNOWN = {
  enable = "boolean",
  cmd = "table",
  settings = "table",
  trusted = "boolean",
  signs = { "boolean", "table" },
  virtual_text = "boolean",
  inlay_hints = "boolean",
  progress = "boolean",
}

--- What is wrong with `given`, a sentence each; empty when all is well.
---@param given any
---@return string[]
function M.problems(given)
  if given == nil then
    return {}
  end
  if type(given) ~= "table" then
    return { ("vim.g.dlm must be a table, not a %s"):format(type(given)) }
  end
  local found = {}
  for key, value in pairs(given) do
    local want = KNOWN[key]
    if want == nil then
      table.insert(found, ("vim.g.dlm.%s is not known"):format(key))
    else
      local kinds = type(want) == "table" and want or { want }
      if not vim.list_contains(kinds, type(value)) then
        local expected = table.concat(kinds, " or ")
        table.insert(found, ("vim.g.dlm.%s must be a %s, not a %s"):format(key, expected, type(value)))
      elseif key == "signs" and type(value) == "table" then
        for name, sign in pairs(value) do
          if SIGNS[name] == nil then
            table.insert(found, ("vim.g.dlm.signs.%s is not known"):format(name))
          elseif type(sign) ~= "string" or vim.fn.strdisplaywidth(sign) > 2 then
            table.insert(found, ("vim.g.dlm.signs.%s must be a text of at most two columns"):format(name))
          end
        end
      end
    end
  end
  table.sort(found)
  return found
end

--- The configuration with its defaults. What is wrong in `vim.g.dlm` is left out, and told by `:checkhealth dlm`.
---@return dlm.MergedConfig
function M.get()
  local given = type(vim.g.dlm) == "table" and vim.g.dlm or {}
  local function taken(key, default)
    local value = given[key]
    local want = KNOWN[key]
    local kinds = type(want) == "table" and want or { want }
    if value == nil or not vim.list_contains(kinds, type(value)) then
      return default
    end
    return value
  end
  local signs = taken("signs", true)
  return {
    enable = taken("enable", true),
    cmd = taken("cmd", nil),
    settings = taken("settings", {}),
    trusted = taken("trusted", true),
    signs = signs and vim.tbl_extend("force", SIGNS, type(signs) == "table" and signs or {}) or false,
    virtual_text = taken("virtual_text", false),
    inlay_hints = taken("inlay_hints", true),
    progress = taken("progress", true),
  }
end

return M
