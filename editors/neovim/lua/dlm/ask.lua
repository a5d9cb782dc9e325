-- A question to the model, whose answer streams into a floating window.

local M = {}

---@class dlm.Asking
---@field bufnr integer of the floating window
---@field window integer
---@field answer string what has come so far
---@field request integer?
---@field over boolean

---@type table<string, dlm.Asking> by the token under which pieces come
local asking = {}
local count = 0

local WIDEST = 84

---@param state dlm.Asking
---@param title string
local function entitle(state, title)
  if vim.api.nvim_win_is_valid(state.window) then
    vim.api.nvim_win_set_config(state.window, { title = " " .. title .. " ", title_pos = "left" })
  end
end

---@param state dlm.Asking
local function draw(state)
  if not vim.api.nvim_buf_is_valid(state.bufnr) then
    return
  end
  local lines = vim.split(state.answer, "\n", { plain = true })
  vim.bo[state.bufnr].modifiable = true
  vim.api.nvim_buf_set_lines(state.bufnr, 0, -1, false, lines)
  vim.bo[state.bufnr].modifiable = false
  if vim.api.nvim_win_is_valid(state.window) then
    local width = vim.api.nvim_win_get_width(state.window)
    local height = 0
    for _, line in ipairs(lines) do
      height = height + math.max(1, math.ceil(vim.fn.strdisplaywidth(line) / width))
    end
    vim.api.nvim_win_set_height(state.window, math.min(math.max(height, 1), math.floor(vim.o.lines / 2)))
  end
end

--- Takes a piece of an answer; false when the progress is somebody else's.
---@param params { token: string|integer, value: any }
---@return boolean
function M.piece(params)
  local state = asking[params.token]
  if not state then
    return false
  end
  local piece = type(params.value) == "table" and params.value.text or params.value
  if type(piece) == "string" and not state.over then
    state.answer = state.answer .. piece
    draw(state)
  end
  return true
end

---@param question string
---@return dlm.Asking
local function open(question)
  local bufnr = vim.api.nvim_create_buf(false, true)
  vim.bo[bufnr].bufhidden = "wipe"
  vim.bo[bufnr].filetype = "markdown"
  vim.bo[bufnr].modifiable = false
  local width = math.min(WIDEST, math.max(20, vim.o.columns - 8))
  local window = vim.api.nvim_open_win(bufnr, false, {
    relative = "cursor",
    row = 1,
    col = 0,
    width = width,
    height = 1,
    border = "rounded",
    title = " … ",
    style = "minimal",
  })
  vim.wo[window].wrap = true
  vim.wo[window].linebreak = true
  local state = { bufnr = bufnr, window = window, answer = "", over = false }
  entitle(state, vim.fn.strcharpart(question, 0, width - 12) .. " …")
  return state
end

---@param bufnr integer the document
---@param params table what `dlm/ask` takes, beside uri and token
---@param title string
local function ask(bufnr, params, title)
  local client = require("dlm.client").of(bufnr)
  if not client then
    vim.notify("dlm: no server is attached to this buffer", vim.log.levels.WARN)
    return
  end
  count = count + 1
  local token = "dlm-ask-" .. count
  local state = open(title)
  asking[token] = state
  local function close()
    if vim.api.nvim_win_is_valid(state.window) then
      vim.api.nvim_win_close(state.window, true)
    end
  end
  local function done()
    asking[token] = nil
    state.over = true
  end
  -- It closes as other floats do: when the cursor moves on, or with q inside it.
  vim.keymap.set("n", "q", close, { buffer = state.bufnr })
  vim.keymap.set("n", "<Esc>", close, { buffer = state.bufnr })
  vim.api.nvim_create_autocmd({ "CursorMoved", "InsertEnter", "BufLeave" }, {
    buffer = bufnr,
    callback = function()
      if vim.api.nvim_get_current_win() ~= state.window then
        close()
      end
      return true
    end,
  })
  vim.api.nvim_create_autocmd("BufWipeout", {
    buffer = state.bufnr,
    once = true,
    callback = function()
      if not state.over and state.request then
        client:cancel_request(state.request)
        done()
      end
    end,
  })
  local request = vim.tbl_extend("force", params, { uri = vim.uri_from_bufnr(bufnr), partialResultToken = token })
  local sent, id = client:request("dlm/ask", request, function(err, result)
    if state.over then
      return
    end
    done()
    if err then
      entitle(state, "no answer")
      state.answer = err.message
    elseif result then
      state.answer = result.answer
      entitle(state, result.speaker)
    end
    draw(state)
  end, bufnr)
  if sent then
    state.request = id
  else
    done()
    close()
  end
end

--- Asks `question`; without one, asks for it first.
---@param question? string
---@param bufnr? integer
function M.question(question, bufnr)
  bufnr = bufnr or vim.api.nvim_get_current_buf()
  if question and question ~= "" then
    ask(bufnr, { prompt = question }, question)
    return
  end
  vim.ui.input({ prompt = "Ask the model: " }, function(typed)
    if typed and typed ~= "" then
      ask(bufnr, { prompt = typed }, typed)
    end
  end)
end

--- Asks the exchange that a code lens stands above.
---@param bufnr integer
---@param argument table the lens' argument: a position, or the question itself
function M.exchange(bufnr, argument)
  local params = { position = argument.position, prompt = argument.prompt, version = argument.version }
  ask(bufnr, params, argument.prompt or "asking")
end

return M
