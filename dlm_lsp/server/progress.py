"""Work-done progress: one per run, with one `end` for every `begin` (LSP 3.17, "Work Done Progress")."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsprotocol import types

from dlm_lsp.runs import events
from dlm_lsp.runs.status import DocumentStatus, RunView
from dlm_lsp.runs.telling import progress_message
from dlm_lsp.server.outbox import Outbox
from dlm_lsp.server.protocol import Ask

log = logging.getLogger(__name__)


class _Run:
    """The progress of one run. Told in the order create, begin, reports, end; nothing follows `end`."""

    def __init__(self, path: Path, number: int, outbox: Outbox) -> None:
        self.path = path
        self.token = f"dlm-{number}-{uuid.uuid4().hex[:8]}"
        self.number = number
        self.view: RunView | None = None
        self._outbox = outbox
        self._begun = False
        self._ended = False

    def begin(self) -> None:
        """To be called when the client has accepted the token. A run that has ended by then shows nothing."""
        if self._ended or self.view is None or self._outbox.congested:
            return
        self._begun = True
        kind = "Full retrain" if self.view.kind == "full" else "Training"
        # Clients ignore later percentages unless `begin` has one.
        self._send(
            types.WorkDoneProgressBegin(
                title=f"{kind} {self.path.name}",
                cancellable=True,
                percentage=self.view.percentage,
                message=progress_message(self.view),
            )
        )

    def report(self, view: RunView) -> None:
        self.view = view
        if self._begun and not self._ended:
            self._outbox.offer(self.token, self._report)

    def end(self, message: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._outbox.forget(self.token)
        if self._begun:
            self._send(types.WorkDoneProgressEnd(message=message))

    def _report(self) -> None:
        if self.view is not None:
            self._send(
                types.WorkDoneProgressReport(
                    cancellable=True, percentage=self.view.percentage, message=progress_message(self.view)
                )
            )

    def _send(self, value: Any) -> None:
        self._outbox.send(types.PROGRESS, types.ProgressParams(token=self.token, value=value))


class ProgressReporter:
    """Follows the events of all runs. A run's record exists from its start to its terminal event only.

    `ask` sends a request to the client and awaits its answer; `supported`: whether it shows progress.
    """

    def __init__(self, outbox: Outbox, ask: Ask, supported: Callable[[], bool]) -> None:
        self._outbox = outbox
        self._ask = ask
        self._supported = supported
        self._runs: dict[int, _Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def on(self, event: events.Event, status: DocumentStatus) -> None:
        """Called with every event and the status after it."""
        if isinstance(event, events.TERMINAL):
            if (ended := self._runs.pop(event.run, None)) is not None:
                ended.end(status.last.message if status.last is not None else "")
        elif isinstance(event, events.Started) and self._supported() and not self._outbox.congested:
            self._start(event, status)
        elif (run := self._runs.get(event.run)) is not None and status.run is not None:
            run.report(status.run)

    def path_of(self, token: int | str) -> Path | None:
        """Which document's run has this token; None for a run that has ended, or a foreign token."""
        return next((run.path for run in self._runs.values() if run.token == token), None)

    def close(self) -> None:
        """Ends what is still shown, because no event can come any more."""
        for run in self._runs.values():
            run.end("the server is ending")
        self._runs.clear()

    def _start(self, event: events.Started, status: DocumentStatus) -> None:
        run = _Run(event.document, event.run, self._outbox)
        run.view = status.run
        self._runs[event.run] = run
        task = asyncio.get_running_loop().create_task(self._create(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _create(self, run: _Run) -> None:
        try:
            await self._ask(types.WINDOW_WORK_DONE_PROGRESS_CREATE, types.WorkDoneProgressCreateParams(token=run.token))
        except Exception as error:
            # Training goes on all the same; diagnostics and status tell the rest.
            log.info("the client refused the progress of run %d: %s", run.number, error)
            return
        run.begin()
