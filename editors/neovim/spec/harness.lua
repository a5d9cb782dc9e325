-- What the specs share: a fresh document, waiting for what is told, and a run of named cases with a closing line.

local M = { cases = {} }

local HEAD = [[---
dlm_id: %s
base_model: builtin:tiny
---

# The lighthouse

::instruction::
### Q
Who keeps the lighthouse?
### A
Mira Tolle keeps it.
]]
local used = 0

function M.case(name, run)
  table.insert(M.cases, { name = name, run = run })
end

function M.equal(found, wanted, what)
  if not vim.deep_equal(found, wanted) then
    error(("%s: found %s, wanted %s"):format(what or "value", vim.inspect(found), vim.inspect(wanted)), 2)
  end
end

function M.truthy(found, what)
  if not found then
    error((what or "value") .. " is " .. tostring(found), 2)
  end
  return found
end

--- Waits until `condition` holds; an error after a minute.
function M.until_(what, condition)
  local found
  local ok = vim.wait(60000, function()
    found = condition()
    return found
  end, 20)
  if not ok then
    error("waited for nothing: " .. what, 2)
  end
  return found
end

--- Opens a document of its own, once the server has told of it.
function M.document()
  used = used + 1
  local path = vim.fs.joinpath(vim.env.DLM_SPEC_HOME, ("spec%d.dlm"):format(used))
  vim.fn.writefile(vim.split(HEAD:format(("01K000000000000000000000%02d"):format(used)), "\n"), path)
  vim.cmd.edit(vim.fn.fnameescape(path))
  local bufnr = vim.api.nvim_get_current_buf()
  M.until_("a status", function()
    return require("dlm").status(bufnr)
  end)
  return bufnr
end

--- Saves, and waits until nothing is going on any more.
function M.save(bufnr)
  vim.cmd.write({ mods = { silent = true }, bang = true })
  local client = M.truthy(require("dlm.client").of(bufnr), "client")
  local response = client:request_sync("dlm/waitForIdle", { uri = vim.uri_from_bufnr(bufnr) }, 60000, bufnr)
  M.truthy(response and response.result, "answer of dlm/waitForIdle")
  return response.result
end

function M.run()
  local failed = 0
  for _, case in ipairs(M.cases) do
    local ok, why = xpcall(case.run, debug.traceback)
    if not ok then
      failed = failed + 1
    end
    io.stdout:write(("%s %s%s\n"):format(ok and "ok  " or "FAIL", case.name, ok and "" or "\n" .. why))
  end
  io.stdout:write(("%d passed, %d failed\n"):format(#M.cases - failed, failed))
  vim.cmd(failed == 0 and "qall!" or "cquit!")
end

return M
