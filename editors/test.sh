#!/usr/bin/env bash
# test.sh [EDITOR…]: sets up real editors in the cache and runs the tests in them. Editors: vscode neovim (default: all
# that are in this tree). What cannot be had here is skipped: loudly, and counted in the last line.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
prefix=${DLM_EDITORS:-${XDG_CACHE_HOME:-$HOME/.cache}/dlm-lsp/editors}
passed=0 failed=0 skipped=0

# run NAME PARTS COMMAND…: sets PARTS up, then runs COMMAND.
run() {
  local name=$1 parts=$2
  shift 2
  # shellcheck disable=SC2086 # parts are words
  if [ -n "$parts" ] && ! "$here/setup.sh" $parts; then
    echo "SKIP $name: see above" >&2
    skipped=$((skipped + 1))
  elif "$@"; then
    passed=$((passed + 1))
  else
    echo "FAIL $name" >&2
    failed=$((failed + 1))
  fi
}

package() {
  (cd "$here/vscode" && rm -f dist/*.vsix && npm run --silent package >/dev/null)
}

for editor in "${@:-vscode neovim}"; do
  for each in $editor; do
    case $each in
      vscode)
        run "VS Code: lint, types and units" extension npm --prefix "$here/vscode" run --silent check
        run "VS Code: the package" extension package
        run "VS Code: in the extension host" "extension chromium code-server" npm --prefix "$here/vscode" run --silent test:host
        run "VS Code: in the workbench" "extension chromium code-server" npm --prefix "$here/vscode" run --silent test:ui
        ;;
      neovim)
        if [ ! -x "$here/neovim/spec/run.sh" ]; then continue; fi
        nvim=$prefix/bin/nvim
        [ -x "$nvim" ] || nvim=$(command -v nvim || true)
        if [ -z "$nvim" ]; then
          echo "SKIP Neovim: it is neither in $prefix nor on the PATH" >&2
          skipped=$((skipped + 1))
        else
          NVIM=$nvim run "Neovim" "" "$here/neovim/spec/run.sh"
        fi
        ;;
      *) echo "test.sh: there are no tests for $each" >&2 && exit 2 ;;
    esac
  done
done
echo "editors: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
