"""Asking the document's adapter in a terminal while saves retrain it underneath: `dlm-lsp train DOC --repl`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlm_lsp.cli.repl.commands import Command, Unclear, read
from dlm_lsp.cli.repl.plain import Plain
from dlm_lsp.cli.repl.session import Session
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.store import dlm_home

__all__ = ["Session", "converse", "talk"]

_QUESTIONS = "questions"  # the file of earlier questions, beside the stores


@contextmanager
def talk(supervisor: Supervisor, path: Path, home: Path | None) -> Iterator[Session]:
    """A session about `path`, in the terminal if there is one."""
    session = Session(supervisor, path, home)
    if not (sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"):
        session.screen = Plain()
        yield session
        return
    from dlm_lsp.cli.repl.terminal import Terminal

    with Terminal(
        dlm_home(home) / _QUESTIONS,
        toolbar=session.toolbar,
        waiting=session.waits_for,
        versions=session.version_names,
        interrupt=session.interrupt,
    ) as session.screen:
        yield session


async def converse(session: Session, supervisor: Supervisor, path: Path) -> None:
    """Until the author leaves. Lines are taken at once and answered one after the other.

    Leaving a terminal leaves at once; the end of a script's lines waits for what they ask, and for a run that goes on.
    """
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    stop_listening = supervisor.subscribe(session.heard)
    reading = asyncio.ensure_future(_read(session, lines))
    answering = asyncio.ensure_future(_answer(session, lines))
    try:
        finished, _ = await asyncio.wait([reading, answering], return_when=asyncio.FIRST_COMPLETED)
        if answering in finished:
            answering.result()
        if not session.screen.leaves_at_once:
            await answering
            if not reading.result():
                await supervisor.wait_for_idle(path)
    finally:
        stop_listening()
        session.interrupt()
        for task in (reading, answering):
            task.cancel()
        await asyncio.gather(reading, answering, return_exceptions=True)


async def _read(session: Session, lines: asyncio.Queue[str | None]) -> bool:
    """Hands the author's lines on; whether the author asked to leave."""
    async for line in session.screen.lines():
        if asked := _asks_to_leave(line):
            break
        session.waiting += 1
        lines.put_nowait(line)
    else:
        asked = False
    lines.put_nowait(None)
    return asked


async def _answer(session: Session, lines: asyncio.Queue[str | None]) -> None:
    while (line := await lines.get()) is not None:
        session.waiting -= 1
        await session.line(line)


def _asks_to_leave(line: str) -> bool:
    try:
        return read(line) == Command("quit")
    except Unclear:
        return False
