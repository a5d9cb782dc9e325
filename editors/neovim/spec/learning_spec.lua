local spec = require("harness")

spec.case("a document without any set-up has its server, and no notification pops up", function()
  local told = {}
  local notify = vim.notify
  vim.notify = function(text)
    table.insert(told, text)
  end
  local bufnr = spec.document()
  spec.truthy(require("dlm.client").of(bufnr), "client")
  vim.notify = notify
  spec.equal(told, {}, "notifications")
end)

spec.case("a save is learned, told by events, and marked in the sign column", function()
  local bufnr = spec.document()
  local states, progress = {}, 0
  local group = vim.api.nvim_create_augroup("spec", { clear = true })
  vim.api.nvim_create_autocmd("User", {
    group = group,
    pattern = "DlmStatus",
    callback = function(event)
      states[event.data.status and event.data.status.state or "gone"] = true
    end,
  })
  vim.api.nvim_create_autocmd("LspProgress", {
    group = group,
    callback = function()
      progress = progress + 1
    end,
  })
  local status = spec.save(bufnr)
  spec.equal(status.version, 1, "version")
  -- A warm run may be over before a status of its steps was due.
  spec.truthy(states.loading or states.preparing or states.training, "a status of the run")
  spec.truthy(progress > 1, "progress")
  spec.until_("the mark of a learned section", function()
    local namespace = vim.api.nvim_get_namespaces()["dlm.sections"]
    local marks = vim.api.nvim_buf_get_extmarks(bufnr, namespace, 0, -1, { details = true })
    return vim.iter(marks):any(function(mark)
      return vim.trim(mark[4].sign_text or "") == "✓"
    end)
  end)
  spec.equal(require("dlm").statusline(bufnr), "✓ learned (v0001)", "statusline")
  spec.until_("the hint of a learned section", function()
    return vim.iter(vim.lsp.inlay_hint.get({ bufnr = bufnr })):any(function(hint)
      return hint.inlay_hint.label:find("learned v1", 1, true)
    end)
  end)
  spec.equal(vim.diagnostic.get(bufnr), {}, "problems")
  vim.api.nvim_del_augroup_by_id(group)
end)

spec.case("each way in which Neovim writes a file trains once", function()
  for _, how in ipairs({ "yes", "no", "auto" }) do
    vim.o.backupcopy = how
    local bufnr = spec.document()
    spec.save(bufnr)
    local before = spec.truthy(require("dlm").status(bufnr), "status").version
    vim.api.nvim_buf_set_lines(bufnr, -1, -1, false, { "### Q", "Saved how?", "### A", ("By %s."):format(how) })
    local status = spec.save(bufnr)
    spec.equal(status.version, before + 1, "version after one save with backupcopy=" .. how)
  end
end)

spec.case("a server that is killed leaves no marks and no statusline behind", function()
  local bufnr = spec.document()
  spec.save(bufnr)
  local namespace = vim.api.nvim_get_namespaces()["dlm.sections"]
  local function marks()
    return vim.api.nvim_buf_get_extmarks(bufnr, namespace, 0, -1, {})
  end
  spec.until_("marks", function()
    return #marks() > 0
  end)
  local client = spec.truthy(require("dlm.client").of(bufnr), "client")
  client:stop(true)
  spec.until_("no marks", function()
    return #marks() == 0 and require("dlm").statusline(bufnr) == ""
  end)
  vim.lsp.enable("dlm_ls", false)
  vim.lsp.enable("dlm_ls")
end)
