"""`dlm-lsp train`: one run, or with `--watch` one for every save, until the author interrupts.

With `--repl` the author asks the adapter meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from rich.console import Console

from dlm_lsp.cli.printer import Printer
from dlm_lsp.cli.repl import Session, converse, talk
from dlm_lsp.cli.watching import Signature, on_interrupt, saves, signature, until
from dlm_lsp.runs.broadcast import broadcasting
from dlm_lsp.runs.events import Cancelled, Event, Failed
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.training.choice import LEARNERS

# A first interrupt lets the step in flight end; this is how long it may take, in seconds.
STOP_DEADLINE = 300.0

EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 128 + signal.SIGINT


async def train(path: Path, settings: RunSettings, *, watch: bool, full: bool, repl: bool = False) -> int:
    """Runs until the document is learned (or, watching, until interrupted); an exit code. `repl` watches, too.

    The first interrupt ends at once between runs, and after the step in flight during one, whose run is then
    rolled back. A second one leaves at once; the store is intact either way.
    """
    supervisor = Supervisor(learner=LEARNERS, settings=settings)
    if repl:
        with talk(supervisor, path, settings.home) as session, Printer(session.screen.console, path, bar=False) as say:
            return await _train(supervisor, path, say, watch=True, full=full, session=session)
    with Printer(Console(), path) as printer:
        return await _train(supervisor, path, printer, watch=watch, full=full)


async def _train(
    supervisor: Supervisor, path: Path, printer: Printer, *, watch: bool, full: bool, session: Session | None = None
) -> int:
    loop = asyncio.get_running_loop()
    last: list[Event] = []
    interrupted, left = asyncio.Event(), asyncio.Event()

    def keep(event: Event | None, status: DocumentStatus) -> None:
        if event is not None:
            last[:] = [event]

    def interrupt() -> None:
        if left.is_set():
            os._exit(EXIT_INTERRUPTED)
        interrupted.set()
        left.set()

    def ctrl_c() -> None:
        if left.is_set() or session is None or not session.screen.stop():
            interrupt()

    on_interrupt(loop, interrupt, ctrl_c)
    supervisor.subscribe(printer)
    supervisor.subscribe(keep)
    broadcast = broadcasting(supervisor)
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
        if session is not None:
            printer.say(f"watching {path.name}; ask it here while saves train it; /help lists the commands")
            watching = asyncio.ensure_future(learn_saves(supervisor, path, since, printer, left))
            await until(converse(session, supervisor, path), interrupted)
            left.set()
            await watching
        else:
            await until(supervisor.wait_for_idle(path), interrupted)
            if watch and not interrupted.is_set():
                printer.say(f"watching {path.name}; save it to train, Ctrl-C ends")
                await learn_saves(supervisor, path, since, printer, interrupted)
    finally:
        if left.is_set() and supervisor.busy:
            printer.say(f"stopping after this step; Ctrl-C{' again' if interrupted.is_set() else ''} leaves at once")
        await supervisor.shutdown(STOP_DEADLINE)
        await broadcast.end()
    if interrupted.is_set():
        return EXIT_INTERRUPTED
    if last and isinstance(last[0], Cancelled):
        return EXIT_FAILED if session is None else EXIT_OK  # the author left in the midst of it
    return EXIT_FAILED if last and isinstance(last[0], Failed) else EXIT_OK


async def learn_saves(
    supervisor: Supervisor, path: Path, since: Signature | None, printer: Printer, stop: asyncio.Event
) -> None:
    """Has every save learned, until `stop`; `since` is the state of the file that is known already."""
    async for _ in saves(path, since, stop):
        supervisor.saved(path, None)
        printer.problems(supervisor.document(path))
