"""`dlm-lsp train`: one run, or with `--watch` one for every save, until the author interrupts.

With `--repl` the author asks the adapter meanwhile.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from dlm_lsp._teardown import Stage, Teardown
from dlm_lsp.cli.around import around
from dlm_lsp.cli.ending import ending
from dlm_lsp.cli.printer import Printer
from dlm_lsp.cli.repl import Session, converse, talk
from dlm_lsp.cli.watching import saves, until
from dlm_lsp.runs.broadcast import broadcasting
from dlm_lsp.runs.events import Cancelled, Event, Failed
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.store import Signature, signature
from dlm_lsp.training.choice import LEARNERS

# A first interrupt lets the step in flight end; this is how long it may take, in seconds.
STOP_DEADLINE = 300.0

EXIT_OK, EXIT_FAILED = 0, 1


async def train(path: Path, settings: RunSettings, *, watch: bool, full: bool, repl: bool = False) -> int:
    """Runs until the document is learned (or, watching, until interrupted); an exit code. `repl` watches, too.

    The first signal ends at once between runs, and after the step in flight during one, whose run is then
    rolled back. A second one leaves at once; the store is intact either way.
    """
    supervisor = Supervisor(learner=LEARNERS, settings=settings)
    if repl:
        with (
            talk(supervisor, path, settings.home) as session,
            Printer(session.screen.console, path, bar=False, next_steps=not settings.continue_when_idle) as say,
        ):
            return await _train(supervisor, path, say, watch=True, full=full, session=session)
    with Printer(Console(), path, next_steps=not settings.continue_when_idle) as printer:
        return await _train(supervisor, path, printer, watch=watch, full=full)


async def _train(
    supervisor: Supervisor, path: Path, printer: Printer, *, watch: bool, full: bool, session: Session | None = None
) -> int:
    last: list[Event] = []

    def keep(event: Event | None, status: DocumentStatus) -> None:
        if event is not None:
            last[:] = [event]

    def outcome() -> int:
        # Whoever leaves the prompt line in the midst of a run has not failed.
        failures = (Failed,) if session is not None else (Failed, Cancelled)
        return EXIT_FAILED if last and isinstance(last[0], failures) else EXIT_OK

    async with ending(session.screen.stop if session is not None else None) as teardown:
        ends_after_the_step(teardown, supervisor, printer)
        supervisor.subscribe(printer)
        supervisor.subscribe(keep)
        teardown.add(Stage.CLOSE, "the event socket", broadcasting(supervisor).end)
        supervisor.start(asyncio.get_running_loop())
        since = signature(path)
        supervisor.looked_at(path)
        beside = ExitStack()
        beside.enter_context(around(supervisor, path, printer, watch=watch))
        teardown.add(Stage.CLOSE, "what is watched", beside.close)
        printer.problems(supervisor.document(path))
        message = supervisor.full_retrain(path) if full else supervisor.train_now(path)
        if not supervisor.busy:
            printer.say(message)
            if not watch:
                return EXIT_FAILED
        if session is not None:
            printer.say(f"watching {path.name}; ask it here while saves train it; /help lists the commands")
            watching = asyncio.ensure_future(learn_saves(supervisor, path, since, printer, teardown.begun))
            await until(converse(session, supervisor, path), teardown.begun)
            teardown.begin(outcome(), "the author left")
            await watching
        else:
            await until(supervisor.wait_for_idle(path), teardown.begun)
            if watch and not teardown.begun.is_set():
                printer.say(f"watching {path.name}; save it to train, Ctrl-C ends")
                await learn_saves(supervisor, path, since, printer, teardown.begun)
    return outcome() if teardown.code is None else teardown.code


def ends_after_the_step(teardown: Teardown, supervisor: Supervisor, printer: Printer) -> None:
    """A run that goes on may end the step in flight, which is said, and is rolled back."""

    def tell() -> None:
        if supervisor.busy:
            printer.say("stopping after this step; Ctrl-C leaves at once")

    teardown.add(Stage.STOP, "what is said of it", tell)
    supervisor.ends_with(teardown, STOP_DEADLINE)


async def learn_saves(
    supervisor: Supervisor, path: Path, since: Signature | None, printer: Printer, stop: asyncio.Event
) -> None:
    """Has every save learned, until `stop`; `since` is the state of the file that is known already."""
    async for _ in saves(path, since, stop):
        supervisor.saved(path, None)
        printer.problems(supervisor.document(path))
