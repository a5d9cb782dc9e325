# What the tests in real editors run with: versions, and the SHA-256 (Debian) or integrity (npm) of what is fetched.
# Debian's unstable suite moves on: what it no longer has is taken as it is there, signed by Debian, and told by name.
# shellcheck shell=bash disable=SC2034
NODE=24.21.0 NODE_INTEGRITY=sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==
CODE_SERVER=4.139.1 CODE_SERVER_INTEGRITY=sha512-fUYvJVdz4ZoVJfakGiGWXFMpF8K1ObsrpGvX17ZxNpKOzdNHs7lANT670JTr4ZhA8DnWqyvvmFG/d3HV9Yy6ew==
STYLUA=2.5.2 STYLUA_INTEGRITY=sha512-iYcv5DvYk+2DZo7ms2sY6NNQISNU/glgQGJU8T/KRm/csMjqolBKZXyakmiYSgK7+U/eCDwzoDuG0TqLWH2TIg==
# name=(suite package version SHA-256 of the package's file)
NEOVIM=(sid neovim 0.12.4 f2c0bbf2530cd36d51aad9a72beb75aafb15e51dae1fddd1e3ab3db5b543cbd9)
HELIX=(sid hx 25.07.1 1cdce694e10473a0c86021f1ecad9b6d479bf304506ea772c2f8aa8b2f8f6979)
EMACS=(trixie emacs-nox 30.1 fee9e5bc5d4c0da716e3e12eee8e1b063bd24a58a6ca6755be2516b377d50364)
TMUX_PACKAGE=(bookworm tmux 3.3a 6bd1558face5e145d66d72c9557cbc7ff5ad66701e94dcd568e6daf081269018)
LUACHECK=(bookworm lua-check 1.1.0 a6452188de53a22d0bef3e4aa2aaacd9427e656844c9338bec2ce4aad7951aa9)
