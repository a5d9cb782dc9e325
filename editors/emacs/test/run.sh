#!/bin/sh
# dlm-mode is compiled without a warning, its documentation is in order, and its tests run in a clean Emacs (EMACS says which).
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
export HOME="$home" TMPDIR="$home" DLM_HOME="$home/dlm" DLM_LSP="${DLM_LSP:-$here/../../.venv/bin/dlm-lsp}"
emacs=${EMACS:-emacs}
timeout 120 "$emacs" -Q --batch --eval '(setq byte-compile-error-on-warn t
  byte-compile-dest-file-function (lambda (_) (expand-file-name "dlm-mode.elc" (getenv "HOME"))))' \
  -f batch-byte-compile "$here/dlm-mode.el"
said=$(timeout 60 "$emacs" -Q --batch --eval "(checkdoc-file \"$here/dlm-mode.el\")" 2>&1)
[ -z "$said" ] || { echo "$said" && exit 1; }
timeout 300 "$emacs" -Q --batch -L "$here" -l "$here/test/dlm-mode-test.el" -f ert-run-tests-batch-and-exit
