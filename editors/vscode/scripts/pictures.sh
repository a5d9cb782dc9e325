#!/usr/bin/env bash
# Takes the pictures of docs/install-vscode.md anew: they are what the tests in the workbench see.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
"$here/../setup.sh" extension chromium code-server || exit 0 # it has said SKIP
cd "$here"
ls dist/*.vsix >/dev/null 2>&1 || npm run --silent package
npm run --silent test:ui learning page
for name in training learned ask panel; do
  cp "out/shots/vscode-$name.png" "../../docs/images/vscode-$name.png"
done
cp out/shots/page.png ../../docs/images/page.png
