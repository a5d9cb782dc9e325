"""Takes the pictures of the documentation: a real Neovim in a real terminal, and what `dlm-lsp` prints there.

Needs tmux, and Neovim 0.11 or newer (`NVIM` says which); without them the pictures stay as they are, and it says so.
Each scene in `scripts/scenes/` is played with keys, and waits for what is to be seen before it is taken.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
PLUGIN = ROOT / "editors" / "neovim"
WIDTH, HEIGHT = 104, 30
PATIENCE = 90.0  # seconds for any one thing to be seen
LOOK = 0.03  # seconds between two looks at the screen
# Neovim's own background, so that places that it leaves unpainted look alike.
THEME = TerminalTheme((20, 22, 27), (224, 226, 234), list(DEFAULT_TERMINAL_THEME.ansi_colors._colors))

INIT = f"""
vim.opt.runtimepath:prepend({str(PLUGIN)!r})
vim.g.dlm = {{ cmd = {{ {os.environ.get("DLM_LSP") or str(Path(sys.executable).with_name("dlm-lsp"))!r} }} }}
vim.o.termguicolors = true
vim.o.swapfile = false
vim.o.laststatus = 2
vim.o.signcolumn = "yes"
vim.o.shortmess = vim.o.shortmess .. "IWF"
vim.o.ruler = false
vim.o.showmode = false
vim.o.completeopt = "menuone,noselect"
vim.o.fillchars = "eob: "
vim.o.statusline = " %t%m %=%{{%v:lua.require'dlm'.statusline()%}} "
vim.diagnostic.config({{ virtual_text = true, signs = false }})
vim.api.nvim_create_autocmd("FileType", {{ pattern = "dlm", callback = function()
  vim.keymap.set("n", "K", vim.lsp.buf.hover, {{ buffer = true }})
  vim.keymap.set("n", "ga", vim.lsp.buf.code_action, {{ buffer = true }})
end }})
"""


class Terminal:
    """A terminal of its own, driven by keys and looked at by its screen."""

    def __init__(self, folder: Path, command: list[str], environment: dict[str, str]) -> None:
        self._socket = str(folder / "tmux")
        given = {**environment, "COLORTERM": "truecolor", "TERM": "xterm-256color"}
        line = shlex.join(["env", *(f"{name}={value}" for name, value in given.items()), *command])
        size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "-c", str(folder), line)
        self._tmux("set-option", "-g", "escape-time", "0")
        self._tmux("set-option", "-ga", "terminal-overrides", ",*:Tc")

    def keys(self, *keys: str) -> None:
        """Presses keys, as tmux names them (`Escape`, `Enter`, `C-x`)."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def until(self, seen: str | Callable[[str], bool]) -> None:
        """Returns when `seen` is on the screen; raises TimeoutError with the screen when it never is."""
        holds = (lambda screen: seen in screen) if isinstance(seen, str) else seen
        end = time.monotonic() + PATIENCE
        while not holds(screen := self.screen()):
            if time.monotonic() > end:
                raise TimeoutError(f"never seen: {seen!r}\n{screen}")
            time.sleep(LOOK)

    def picture(self, name: str, title: str) -> None:
        """Writes what is on the screen now, with its colours, to `docs/images/NAME.svg`."""
        shown = Text.from_ansi(self._tmux("capture-pane", "-e", "-p").rstrip("\n"))
        console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
        console.print(shown)
        IMAGES.mkdir(parents=True, exist_ok=True)
        # A fixed id: the same screen is the same file.
        (IMAGES / f"{name}.svg").write_text(
            console.export_svg(title=title, unique_id=name, theme=THEME), encoding="utf-8"
        )
        print(f"docs/images/{name}.svg")

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False, capture_output=True)

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(["tmux", "-S", self._socket, *arguments], check=True, capture_output=True, text=True)
        return done.stdout


def neovim(folder: Path, document: Path) -> Terminal:
    """Neovim with this project's plugin on `document`."""
    (folder / "init.lua").write_text(INIT, encoding="utf-8")
    program = os.environ.get("NVIM", "nvim")
    homes = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("CONFIG", "STATE", "DATA", "CACHE")}
    command = [program, "-u", str(folder / "init.lua"), document.name]
    return Terminal(folder, command, {**homes, "DLM_HOME": str(folder / "home")})


def missing() -> str | None:
    """What is not there to take pictures with, as a sentence."""
    if shutil.which("tmux") is None:
        return "tmux is not installed"
    if shutil.which(os.environ.get("NVIM", "nvim")) is None:
        return "Neovim is not installed (0.11 or newer; NVIM says which)"
    return None


def main() -> int:
    if why := missing():
        print(f"SKIP: no pictures of an editor were taken: {why}", file=sys.stderr)
        return 0
    from tour import SCENES

    wanted = sys.argv[1:]
    for scene in SCENES:
        if wanted and scene.__name__ not in wanted:
            continue
        with tempfile.TemporaryDirectory() as name:
            scene(Path(name))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
