#!/bin/sh
# lint.sh stylua|luacheck|types|vimdoc: one check of the plugin's code; what it needs is on the PATH (`editors/setup.sh`).
set -eu
cd "$(dirname "$0")/.."
files=$(find .  -name '*.lua')
case $1 in
  # shellcheck disable=SC2086 # files are words
  stylua) stylua --check $files ;;
  # shellcheck disable=SC2086
  luacheck) luacheck -q --no-color $files ;;
  types) VIMRUNTIME=$("${NVIM:-nvim}" --clean --headless -c 'lua io.stdout:write(vim.env.VIMRUNTIME)' -c q 2>/dev/null) \
    lua-language-server --check . --checklevel=Warning ;;
  vimdoc) "${NVIM:-nvim}" -l scripts/vimdoc.lua --check ;;
esac
