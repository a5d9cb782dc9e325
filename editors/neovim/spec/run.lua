-- nvim --headless -u spec/minimal_init.lua -l is no editor; this runs in a real one:
--   DLM_LSP=… DLM_HOME=… DLM_SPEC_HOME=… nvim --headless -u spec/minimal_init.lua -c 'luafile spec/run.lua'
local here = vim.fn.fnamemodify(debug.getinfo(1, "S").source:sub(2), ":p:h")
package.path = here .. "/?.lua;" .. package.path
local ok, why = xpcall(function()
  local specs = vim.fn.glob(here .. "/*_spec.lua", true, true)
  table.sort(specs)
  for _, spec in ipairs(specs) do
    dofile(spec)
  end
  require("harness").run()
end, debug.traceback)
if not ok then
  io.stdout:write(why .. "\n")
  vim.cmd.cquit({ bang = true })
end
