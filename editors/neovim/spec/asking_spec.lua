local spec = require("harness")

--- The floating window of an answer: its lines as one text, and its title; nil while there is none.
local function float()
  for _, window in ipairs(vim.api.nvim_list_wins()) do
    local config = vim.api.nvim_win_get_config(window)
    if config.relative ~= "" then
      local lines = vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(window), 0, -1, false)
      return { text = table.concat(lines, "\n"), title = config.title and config.title[1][1] or "", window = window }
    end
  end
end

local function answered(by)
  return spec.until_("an answer of " .. by, function()
    local found = float()
    return found and found.title:find(by, 1, true) and found
  end)
end

spec.case(":Dlm ask streams what was learned into a window, and says which version spoke", function()
  spec.save(spec.document())
  vim.cmd("Dlm ask Who keeps the lighthouse?")
  spec.equal(answered("v0001").text, "Mira Tolle keeps it.", "answer")
  vim.api.nvim_exec_autocmds("CursorMoved", { buffer = 0 })
  spec.until_("the window's end", function()
    return not float()
  end)
end)

spec.case("the lens above a question asks it", function()
  local bufnr = vim.api.nvim_get_current_buf()
  local client = spec.truthy(require("dlm.client").of(bufnr), "client")
  local document = { uri = vim.uri_from_bufnr(bufnr) }
  local response = client:request_sync("textDocument/codeLens", { textDocument = document }, 20000, bufnr)
  local lens = spec.truthy(
    vim.iter(response.result):find(function(each)
      return each.command.title == "Ask"
    end),
    "a lens to ask"
  )
  client:exec_cmd(lens.command, { bufnr = bufnr })
  spec.equal(answered("v0001").text, "Mira Tolle keeps it.", "answer")
  vim.api.nvim_win_close(float().window, true)
end)

spec.case("what has no answer says why in the window", function()
  local bufnr = vim.api.nvim_get_current_buf()
  vim.api.nvim_buf_set_lines(bufnr, 1, 2, false, { "dlm_id: none" })
  vim.cmd("Dlm ask Who?")
  spec.truthy(answered("no answer").text:find("frontmatter", 1, true), "the reason")
  vim.cmd("undo")
  vim.api.nvim_win_close(float().window, true)
end)

spec.case(":Dlm answers opens what was answered before and after", function()
  vim.cmd("Dlm answers")
  spec.until_("the answers", function()
    return vim.bo.buftype == "nofile" and vim.bo.filetype == "markdown"
  end)
  local text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
  spec.truthy(text:find("Mira Tolle keeps it.", 1, true), text)
  vim.cmd("bdelete!")
end)
