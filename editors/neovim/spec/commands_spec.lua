local spec = require("harness")

--- What `vim.notify` is given while `run` goes on, once there is something.
local function notified(run)
  local told = {}
  local notify = vim.notify
  vim.notify = function(text, level)
    table.insert(told, { text = text, level = level })
  end
  run()
  spec.until_("a notification", function()
    return #told > 0
  end)
  vim.notify = notify
  return told[1].text
end

spec.case(":Dlm completes its subcommands and the versions to revert to", function()
  local bufnr = spec.document()
  spec.equal(vim.fn.getcompletion("Dlm re", "cmdline"), { "retrain", "revert" }, "completion")
  spec.save(bufnr)
  vim.api.nvim_buf_set_lines(bufnr, -1, -1, false, { "### Q", "Who sails?", "### A", "Nobody sails." })
  spec.save(bufnr)
  spec.equal(vim.fn.getcompletion("Dlm revert ", "cmdline"), { "v0001" }, "versions")
end)

spec.case(":Dlm revert makes the earlier version current, and the statusline says so", function()
  local bufnr = vim.api.nvim_get_current_buf()
  local said = notified(function()
    vim.cmd("Dlm revert v0001")
  end)
  spec.truthy(said:find("v0001", 1, true), said)
  spec.until_("version 1", function()
    return require("dlm").status(bufnr).version == 1
  end)
end)

spec.case(":Dlm train trains what is not learned, and :Dlm status says where it stands", function()
  local bufnr = vim.api.nvim_get_current_buf()
  vim.cmd("Dlm train")
  spec.until_("a third version", function()
    local status = require("dlm").status(bufnr)
    return status.version == 3 and status.state == "idle"
  end)
  local said = notified(function()
    vim.cmd("Dlm status")
  end)
  spec.truthy(said:find("v0003", 1, true), said)
end)

spec.case(":Dlm retrain! starts over without asking, :Dlm cancel stops it", function()
  local bufnr = vim.api.nvim_get_current_buf()
  vim.cmd("Dlm! retrain")
  spec.until_("a run", function()
    return require("dlm").status(bufnr).state ~= "idle"
  end)
  vim.cmd("Dlm cancel")
  spec.until_("its end", function()
    local status = require("dlm").status(bufnr)
    return status.state == "idle" and status.last.outcome == "cancelled"
  end)
  spec.equal(require("dlm").status(bufnr).version, 3, "version")
end)

spec.case("a subcommand that does not exist is told by name", function()
  spec.truthy(
    notified(function()
      vim.cmd("Dlm fly")
    end):find(":Dlm fly", 1, true),
    "message"
  )
end)

spec.case(":checkhealth dlm names the program, the packages and the document", function()
  vim.cmd("checkhealth dlm")
  local text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
  for _, wanted in ipairs({ "dlm-language-server", "torch", "device", "spec" }) do
    spec.truthy(text:find(wanted, 1, true), wanted .. " in\n" .. text)
  end
  vim.cmd("bdelete!")
end)

spec.case("a wrong configuration is named key by key", function()
  spec.equal(require("dlm.config").problems({ sign = true, cmd = "dlm-lsp", signs = { learned = "long" } }), {
    "vim.g.dlm.cmd must be a table, not a string",
    "vim.g.dlm.sign is not known",
    "vim.g.dlm.signs.learned must be a text of at most two columns",
  }, "problems")
end)
