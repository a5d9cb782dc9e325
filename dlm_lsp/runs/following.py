"""Listens to all servers that have a document, as they come and go: the other end of `broadcast`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dlm_lsp.store import Store, StoreError, plain_json

# How often new servers are looked for, in seconds.
LOOK = 0.25
_LONGEST = 64 * 2**20  # bytes of one line
_PENDING = 64  # lines that wait to be taken; a server that is not read keeps what it has to say


@dataclass(frozen=True, slots=True)
class Heard:
    """One line of the server `source`: as it came, and what it says. Both empty: that server is there no more."""

    source: str
    text: str = ""
    told: dict[str, Any] | None = None


async def follow(store: Store, nobody: Callable[[], None] = lambda: None) -> AsyncGenerator[Heard]:
    """What all servers of the document tell, without end. `nobody` is called when a look finds none, once each time."""
    lines: asyncio.Queue[Heard] = asyncio.Queue(_PENDING)
    listening: dict[str, asyncio.Task[None]] = {}
    looking = asyncio.ensure_future(_look(store, listening, lines, nobody))
    try:
        while True:
            yield await lines.get()
    finally:
        looking.cancel()
        for task in listening.values():
            task.cancel()
        await asyncio.gather(looking, *listening.values(), return_exceptions=True)


async def _look(
    store: Store, listening: dict[str, asyncio.Task[None]], lines: asyncio.Queue[Heard], nobody: Callable[[], None]
) -> None:
    dead: set[tuple[str, Path]] = set()
    told = False
    while True:
        try:
            found = await asyncio.to_thread(store.doors)
        except StoreError:
            found = {}
        dead &= set(found.items())
        for name, path in found.items():
            if name not in listening and (name, path) not in dead:
                try:
                    reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST)
                except OSError:
                    dead.add((name, path))  # it has ended without a word
                    continue
                task = listening[name] = asyncio.ensure_future(_listen(name, reader, writer, lines))
                task.add_done_callback(partial(_done, listening, name))
        if not listening and not told:
            nobody()
        told = not listening
        await asyncio.sleep(LOOK)


def _done(listening: dict[str, asyncio.Task[None]], name: str, task: asyncio.Task[None]) -> None:
    listening.pop(name, None)


async def _listen(
    name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lines: asyncio.Queue[Heard]
) -> None:
    try:
        with suppress(OSError, ValueError):  # ValueError: longer than anything that is told
            while line := await reader.readline():
                if (told := _object(line)) is not None:
                    await lines.put(Heard(name, line.decode("utf-8", "replace").rstrip("\n"), told))
    finally:
        writer.close()
    await lines.put(Heard(name))


def _object(line: bytes) -> dict[str, Any] | None:
    with suppress(ValueError):
        told = plain_json.loads(line)
        if isinstance(told, dict) and isinstance(told.get("type"), str):
            return told
    return None
