"""`dlm-lsp train`: one run, or with `--watch` one for every save, until the author interrupts."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console
from watchfiles import Change, awatch

from dlm_lsp.cli.printer import Printer
from dlm_lsp.runs.events import Cancelled, Event, Failed
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.training.choice import LEARNERS

# A first interrupt lets the step in flight end; this is how long it may take, in seconds.
_STOP_DEADLINE = 300.0

# How soon the watch looks for a save that came before it stood, in milliseconds.
_LOOK_AGAIN = 200

Signature = tuple[int, int, int]

EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 128 + signal.SIGINT


async def train(path: Path, settings: RunSettings, *, watch: bool, full: bool) -> int:
    """Runs until the document is learned (or, watching, until interrupted); an exit code.

    The first interrupt ends at once between runs, and after the step in flight during one, whose run is then
    rolled back. A second one leaves at once; the store is intact either way.
    """
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(learner=LEARNERS, settings=settings)
    console = Console()
    last: list[Event] = []
    interrupted = asyncio.Event()

    def keep(event: Event | None, status: DocumentStatus) -> None:
        if event is not None:
            last[:] = [event]

    def interrupt() -> None:
        if interrupted.is_set():
            os._exit(EXIT_INTERRUPTED)
        interrupted.set()

    _on_interrupt(loop, interrupt)
    with Printer(console, path) as printer:
        supervisor.subscribe(printer)
        supervisor.subscribe(keep)
        supervisor.start(loop)
        try:
            since = signature(path)
            supervisor.looked_at(path)
            printer.problems(supervisor.document(path))
            message = supervisor.full_retrain(path) if full else supervisor.train_now(path)
            if not supervisor.busy:
                printer.say(message)
                if not watch:
                    return EXIT_FAILED
            await _until(supervisor.wait_for_idle(path), interrupted)
            if watch and not interrupted.is_set():
                printer.say(f"watching {path.name}; save it to train, Ctrl-C ends")
                async for _ in saves(path, since, interrupted):
                    supervisor.saved(path, None)
                    printer.problems(supervisor.document(path))
        finally:
            if interrupted.is_set() and supervisor.busy:
                printer.say("stopping after this step; Ctrl-C again leaves at once")
            await supervisor.shutdown(_STOP_DEADLINE)
    if interrupted.is_set():
        return EXIT_INTERRUPTED
    return EXIT_FAILED if last and isinstance(last[0], Failed | Cancelled) else EXIT_OK


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


def signature(path: Path) -> Signature | None:
    """Tells one state of a file from another; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


async def _until(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """Waits for `work` or `stop`, whichever comes first."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())]
    _, unfinished = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in unfinished:
        task.cancel()


def _on_interrupt(loop: asyncio.AbstractEventLoop, interrupt: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, interrupt)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(interrupt))
