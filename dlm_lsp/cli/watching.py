"""Saves of a document as they happen on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from watchfiles import Change, awatch

from dlm_lsp.store import Signature, signature

# How soon the watch looks for a save that came before it stood, in milliseconds.
_LOOK_AGAIN = 200


async def saves(path: Path, since: Signature | None, stop: asyncio.Event) -> AsyncIterator[None]:
    """One item for each group of writes to `path`, until `stop`; also for one since `since` was taken.

    The directory is watched, not the file: editors that save by renaming a new file over the old one, and
    writers that create it anew, would otherwise be seen once and never again.
    """

    def is_save(change: Change, changed: str) -> bool:
        return change is not Change.deleted and Path(changed).name == path.name

    changes = awatch(
        path.parent,
        watch_filter=is_save,
        recursive=False,
        debounce=50,
        step=10,
        rust_timeout=_LOOK_AGAIN,
        yield_on_timeout=True,
        stop_event=stop,
    )
    watching = False
    async for group in changes:
        # What was written before the watch stood raises no event, so the first quiet moment looks for it.
        if group or (not watching and signature(path) != since):
            yield
        watching = True


async def until(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """Waits for `work` or `stop`, whichever comes first; raises what `work` raises."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())]
    finished, unfinished = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in unfinished:
        task.cancel()
    for task in finished:
        task.result()
