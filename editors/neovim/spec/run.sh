#!/bin/sh
# Runs the specs in a clean Neovim against a real server. NVIM and DLM_LSP say which; both have defaults.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
export DLM_SPEC_HOME="$home" DLM_HOME="$home/dlm" DLM_LSP="${DLM_LSP:-$here/../../../.venv/bin/dlm-lsp}"
export XDG_CONFIG_HOME="$home/config" XDG_STATE_HOME="$home/state" XDG_DATA_HOME="$home/data" XDG_CACHE_HOME="$home/cache"
timeout 300 "${NVIM:-nvim}" --headless -u "$here/minimal_init.lua" -c "luafile $here/run.lua" </dev/null
