#!/usr/bin/env bash
# test.sh [EDITOR…]: sets up real editors in the cache and runs the tests in them. Editors: vscode neovim helix emacs
# others (default: all). What cannot be had here is skipped: loudly, and counted in the last line. What runs must pass;
# it gets a second try, since a real editor on a busy machine can be late, and a part that needed it is named at the end.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
export DLM_EDITORS=${DLM_EDITORS:-${XDG_CACHE_HOME:-$HOME/.cache}/dlm-lsp/editors}
export PATH=$DLM_EDITORS/bin:$PATH
python=${DLM_PYTHON:-$root/.venv/bin/python}
export DLM_LSP=${DLM_LSP:-$(dirname "$python")/dlm-lsp} PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
passed=0 failed=0 skipped=0 missing= again=

# run NAME PARTS COMMAND…: sets PARTS up, each tried once, then runs COMMAND.
run() {
  local name=$1 parts=$2 part began=$SECONDS
  shift 2
  for part in $parts; do
    case " $missing " in *" $part "*) false ;; *) "$here/setup.sh" "$part" ;; esac || {
      missing="$missing $part"
      echo "SKIP $name: there is no $part, see above" >&2
      skipped=$((skipped + 1))
      return
    }
  done
  if "$@"; then
    echo "ok   $name ($((SECONDS - began)) s)"
    passed=$((passed + 1))
  elif echo "AGAIN $name ($((SECONDS - began)) s)" >&2 && "$@"; then
    echo "ok   $name, at the second try ($((SECONDS - began)) s)"
    passed=$((passed + 1))
    again="$again; $name"
  else
    echo "FAIL $name ($((SECONDS - began)) s)" >&2
    failed=$((failed + 1))
  fi
}

package() {
  (cd "$here/vscode" && rm -f dist/*.vsix && npm run --silent package >/dev/null)
}

screen() {
  (cd "$root" && "$python" -m pytest -q "editors/tests/$1")
}

vscode() {
  run "VS Code: lint, types and units" extension npm --prefix "$here/vscode" run --silent check
  run "VS Code: the package" extension package
  run "VS Code: in the extension host" "extension chromium code-server" npm --prefix "$here/vscode" run --silent test:host
  run "VS Code: in the workbench" "extension chromium code-server" npm --prefix "$here/vscode" run --silent test:ui
}

neovim() {
  run "Neovim: stylua" stylua "$here/neovim/scripts/lint.sh" stylua
  run "Neovim: luacheck" luacheck "$here/neovim/scripts/lint.sh" luacheck
  run "Neovim: types" "neovim lua-language-server" "$here/neovim/scripts/lint.sh" types
  run "Neovim: the help file" neovim "$here/neovim/scripts/lint.sh" vimdoc
  run "Neovim: specs" neovim "$here/neovim/spec/run.sh"
  run "Neovim: the screen" "neovim tmux" screen test_neovim.py
}

helix() { run "Helix: the screen" "helix tmux" screen test_helix.py; }

emacs() {
  run "Emacs: compiled, checked, tested" emacs "$here/emacs/test/run.sh"
  run "Emacs: the screen" "emacs tmux" screen test_emacs.py
}

others() { run "Zed, Sublime, Kate, submissions: well formed" neovim screen test_configurations.py; }

for editor in "${@:-vscode neovim helix emacs others}"; do
  for each in $editor; do
    case $each in
      vscode | neovim | helix | emacs | others) "$each" ;;
      *) echo "test.sh: there are no tests for $each" >&2 && exit 2 ;;
    esac
  done
done
[ -z "$again" ] || echo "editors: at the second try only: ${again#; }" >&2
echo "editors: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
