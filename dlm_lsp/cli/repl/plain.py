"""A talk without a terminal: lines in, answers out, for scripts; all else goes to standard error."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TextIO

from rich.console import Console

from dlm_lsp.runs.plain import escaped

_LONGEST = 2**20  # characters; a longer line is several


class Plain:
    """Reads standard input line by line; one that ends with a backslash goes on in the next."""

    leaves_at_once = False

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self._shown = sys.stdout.isatty()

    async def lines(self) -> AsyncIterator[str]:
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[str | None]()
        # A daemon: a read that never returns must not keep the process.
        threading.Thread(target=_read, args=(sys.stdin, loop, queue), name="dlm-lines", daemon=True).start()
        begun = ""
        while (line := await queue.get()) is not None:
            line = begun + line.rstrip("\r\n")
            begun = f"{line[:-1]}\n" if line.endswith("\\") else ""
            if not begun:
                yield line
        if begun.strip():
            yield begun.rstrip("\n")

    def stop(self) -> bool:
        return False

    def question(self, text: str) -> None:
        """It stands in the input."""

    def piece(self, text: str) -> None:
        sys.stdout.write(escaped(text, keep="\n\t") if self._shown else text)
        sys.stdout.flush()

    def answered(self, remark: str) -> None:
        sys.stdout.write("\n")
        sys.stdout.flush()
        self.console.print(f"({escaped(remark)})", style="dim", markup=False, highlight=False, soft_wrap=True)

    def refresh(self) -> None:
        """Nothing is shown all the time."""


def _read(lines: TextIO, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[str | None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody reads any more
        try:
            while line := lines.readline(_LONGEST):
                loop.call_soon_threadsafe(queue.put_nowait, line)
        except (OSError, ValueError):  # the input is gone, or no text
            pass
        loop.call_soon_threadsafe(queue.put_nowait, None)
