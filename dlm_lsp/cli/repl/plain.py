"""A talk without a terminal: lines in, answers out, for scripts; all else goes to standard error."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from rich.console import Console

from dlm_lsp.cli.lines import lines
from dlm_lsp.cli.printer import say
from dlm_lsp.runs.plain import escaped


class Plain:
    """Reads standard input line by line; one that ends with a backslash goes on in the next."""

    leaves_at_once = False

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self._shown = sys.stdout.isatty()

    async def lines(self) -> AsyncIterator[str]:
        begun = ""
        async for line in lines():
            line = begun + line
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
        say(self.console, f"({remark})", "dim")

    def refresh(self) -> None:
        """Nothing is shown all the time."""
