-- What the server told last of each document. Fires `User DlmStatus` on every change; draws nothing.

local M = {}

---@type table<string, table> by URI
local statuses = {}

local function changed(uri)
  vim.api.nvim_exec_autocmds("User", {
    pattern = "DlmStatus",
    modeline = false,
    data = { uri = uri, status = statuses[uri] },
  })
end

--- Takes in a `dlm/trainingStatus`; an older one than the newest seen is dropped.
---@param params table
function M.told(params)
  local known = statuses[params.uri]
  if known and params.generation < known.generation then
    return
  end
  statuses[params.uri] = params
  changed(params.uri)
end

--- The server is gone: nothing that it told is shown any longer.
function M.forget()
  local uris = vim.tbl_keys(statuses)
  statuses = {}
  for _, uri in ipairs(uris) do
    changed(uri)
  end
end

---@param bufnr integer
---@return table?
function M.of(bufnr)
  return statuses[vim.uri_from_bufnr(bufnr)]
end

--- One short text: `● 42 % · step 34/100 · loss 0.81`, `✓ v0012`, `+ 2 sections not learned`.
---@param bufnr integer
---@return string
function M.line(bufnr)
  local status = M.of(bufnr)
  if not status then
    return ""
  end
  local function given(value)
    return value ~= nil and value ~= vim.NIL
  end
  local mark = "✓"
  if given(status.run) then
    mark = status.state == "waiting" and "…" or "●"
  elseif given(status.last) and status.last.outcome == "failed" then
    mark = "✗"
  elseif status.pending > 0 then
    mark = "+"
  elseif not given(status.version) then
    mark = "·"
  end
  -- A percent sign would begin an item in a statusline.
  return (("%s %s"):format(mark, status.message):gsub("%%", "%%%%"))
end

return M
