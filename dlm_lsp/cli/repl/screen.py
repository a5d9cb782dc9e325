"""Where the talk happens: what a session says goes here, and the author's lines come from here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from rich.console import Console


class Screen(Protocol):
    """One of a terminal with a prompt line, or plain streams.

    `console` is for everything but questions and answers. `leaves_at_once`: the end of the author's lines ends a run
    that goes on, rather than waiting for it.
    """

    console: Console
    leaves_at_once: bool

    def lines(self) -> AsyncIterator[str]:
        """The author's lines, until there are no more."""

    def stop(self) -> bool:
        """Ctrl-C: ends the answer that comes, clears what is typed, or leaves; False where the process is to end."""

    def question(self, text: str) -> None:
        """It is the turn of this question, or command."""

    def piece(self, text: str) -> None:
        """The next piece of the answer."""

    def answered(self, remark: str) -> None:
        """The answer is over; `remark` says whose it was."""

    def refresh(self) -> None:
        """What the session knows has changed."""
