-- Marks in the sign column, and (if asked for) text behind a section's first line: what the adapter knows of it.

local M = {}

local INTERVAL = 100 -- milliseconds between two drawings of a buffer
local namespace = vim.api.nvim_create_namespace("dlm.sections")

local GROUPS = {
  learned = "DlmLearned",
  partly = "DlmPartly",
  new = "DlmNew",
  changed = "DlmNew",
  waiting = "DlmWaiting",
  learning = "DlmLearning",
  failed = "DlmFailed",
  forgotten = "DlmForgotten",
}
local LINKS = {
  DlmLearned = "DiagnosticSignOk",
  DlmPartly = "DiagnosticSignInfo",
  DlmNew = "DiagnosticSignHint",
  DlmWaiting = "DiagnosticSignHint",
  DlmLearning = "DiagnosticSignInfo",
  DlmFailed = "DiagnosticSignError",
  DlmForgotten = "DiagnosticSignWarn",
}

---@type table<integer, boolean> buffers whose drawing is due
local due = {}

local function given(value)
  return value ~= nil and value ~= vim.NIL
end

--- The state that a mark shows: a learned section that got worse since shows that.
---@param section table
---@return string
local function state_of(section)
  local forgotten = given(section.forgotten) and #section.forgotten > 0
  return forgotten and "forgotten" or section.state
end

---@param section table
---@return string
local function text_of(section)
  local state = state_of(section)
  if (state == "learned" or state == "partly") and given(section.version) then
    local loss = given(section.loss_after) and (" · %.2f"):format(section.loss_after) or ""
    return ("%s v%d%s"):format(state, section.version, loss)
  end
  return state
end

---@param bufnr integer
function M.clear(bufnr)
  if vim.api.nvim_buf_is_valid(bufnr) then
    vim.api.nvim_buf_clear_namespace(bufnr, namespace, 0, -1)
  end
end

--- Draws what is known of a buffer now.
---@param bufnr integer
function M.draw(bufnr)
  if not vim.api.nvim_buf_is_loaded(bufnr) then
    return
  end
  M.clear(bufnr)
  local config = require("dlm.config").get()
  local status = require("dlm.status").of(bufnr)
  if not status then
    return
  end
  local lines = vim.api.nvim_buf_line_count(bufnr)
  for _, section in ipairs(status.sections or {}) do
    local group = GROUPS[state_of(section)]
    local line = section.range.start.line
    -- The buffer may be shorter by now than the text that the status is about.
    if group and line < lines then
      vim.api.nvim_buf_set_extmark(bufnr, namespace, line, 0, {
        sign_text = config.signs and config.signs[state_of(section)] or nil,
        sign_hl_group = config.signs and group or nil,
        virt_text = config.virtual_text and { { text_of(section), group } } or nil,
        virt_text_pos = config.virtual_text and "eol" or nil,
        priority = 5,
      })
    end
  end
end

---@param bufnr integer
local function soon(bufnr)
  if due[bufnr] then
    return
  end
  due[bufnr] = true
  vim.defer_fn(function()
    due[bufnr] = nil
    M.draw(bufnr)
  end, INTERVAL)
end

function M.attach()
  local config = require("dlm.config").get()
  for group, link in pairs(LINKS) do
    vim.api.nvim_set_hl(0, group, { link = link, default = true })
  end
  if not config.signs and not config.virtual_text then
    return
  end
  local autocommands = vim.api.nvim_create_augroup("dlm.sections", { clear = true })
  vim.api.nvim_create_autocmd("User", {
    group = autocommands,
    pattern = "DlmStatus",
    callback = function(event)
      local bufnr = vim.uri_to_bufnr(event.data.uri)
      if vim.api.nvim_buf_is_loaded(bufnr) then
        soon(bufnr)
      end
    end,
  })
  vim.api.nvim_create_autocmd("LspDetach", {
    group = autocommands,
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if client and client.name == require("dlm.client").NAME then
        M.clear(event.buf)
      end
    end,
  })
end

return M
