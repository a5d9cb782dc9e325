"""Hooks on the loop's side: which documents have them, what a saved file does, and what is wrong with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dlm_lsp.document import Problem
from dlm_lsp.runs import events, hooks
from dlm_lsp.runs.clock import Clock, Timer
from dlm_lsp.runs.hook_calls import CalledHooks, DocumentHooks, Emit, NoHooks, Offer, RunHooks
from dlm_lsp.runs.hooks import HooksBrokenError, HooksFile
from dlm_lsp.runs.narrate import HOOKS_SWAPPED
from dlm_lsp.runs.records import Record, Records
from dlm_lsp.runs.steering import Steering
from dlm_lsp.runs.worker import Worker

log = logging.getLogger(__name__)

# How long it is shown that hooks were swapped, in seconds.
SHOWN = 1.5


@dataclass(slots=True)
class _Known:
    """The hooks of one document. `newest`: the digest of the newest bytes; None before they were first read."""

    hooks: DocumentHooks
    newest: str | None = None
    problems: tuple[Problem, ...] = ()
    said: str = ""  # such as which hook is slow
    shown: Timer | None = None


class Hooking:
    """Lives on the event-loop thread; files are read on `reader`. `enabled`: by the settings.

    `told` is called with a document's path when what is wrong with its hooks file is something else now.
    """

    def __init__(self, records: Records, clock: Clock, reader: Worker) -> None:
        self.enabled = False
        self.told: Callable[[Path], None] = lambda document: None
        self._records = records
        self._clock = clock
        self._reader = reader
        self._known: dict[Path, _Known] = {}

    @property
    def allowed(self) -> bool:
        """Whether hooks are loaded at all: the setting is on, and the workspace trusted."""
        return self.enabled and self._records.trusted

    def problems(self, document: Path) -> tuple[Problem, ...]:
        """What is wrong with the hooks file of a document."""
        known = self._known.get(document)
        return known.problems if known is not None else ()

    def of_run(self, record: Record, steering: Steering, emit: Emit) -> RunHooks:
        """The hooks for a run that begins now, and tells its events through `emit`."""
        if not self.allowed:
            return NoHooks(emit)
        return CalledHooks(self._of(record).hooks, emit, lambda: steering.learns, steering.stop.is_set)

    def allow(self, enabled: bool) -> None:
        """The setting or the trust may have changed: what is not allowed any more is forgotten, what is now is read."""
        self.enabled = enabled
        if not self.allowed:
            for record in self._records:
                self.forget(record.path)
            return
        for record in self._records:
            if record.open:
                self.changed(record.path)

    def changed(self, document: Path) -> None:
        """The hooks file of a known document was saved, came or went, perhaps: looks at it."""
        record = self._records.get(document)
        if not self.allowed or record is None:
            return
        known = self._of(record)
        self._reader_started()
        read = self._reader.call(lambda: hooks.read(known.hooks.path))
        read.add_done_callback(lambda done: self._read(record, known, done))

    def on(self, record: Record, event: events.Event) -> None:
        """An event of a run that concerns its hooks; the status tells of it already."""
        known = self._known.get(record.path)
        if known is None:
            return
        if isinstance(event, events.HooksTold):
            self._show(record.path, known, event.problems)
        elif isinstance(event, events.HooksSaid):
            known.said = event.detail
        elif isinstance(event, events.Swapped):
            known.said = ""
            if known.shown is not None:
                known.shown.cancel()
            run = event.run
            known.shown = self._clock.call_later(SHOWN, lambda: self._shown(record, known, run))

    def forget(self, document: Path) -> None:
        """The document was closed, or its hooks are not allowed any more."""
        if (known := self._known.pop(document, None)) is None:
            return
        if known.shown is not None:
            known.shown.cancel()
        known.hooks.forget()
        if known.problems:
            known.problems = ()
            self.told(document)

    def close(self) -> None:
        """No run comes any more."""
        for document in list(self._known):
            self.forget(document)

    def _of(self, record: Record) -> _Known:
        if record.path not in self._known:
            self._known[record.path] = _Known(DocumentHooks(record.path))
        return self._known[record.path]

    def _reader_started(self) -> None:
        if not self._reader.started:
            self._reader.start()

    def _read(self, record: Record, known: _Known, done: asyncio.Future[HooksFile]) -> None:
        """Only the newest bytes count, and the same bytes are nothing new. Reads end in the order they began in."""
        if self._known.get(record.path) is not known or not self.allowed:
            return
        try:
            file = done.result()
            if file.digest == known.newest:
                return
            first, known.newest = known.newest is None, file.digest
            hooks.compiled(file)
        except HooksBrokenError as broken:
            known.hooks.offer(None)
            self._show(record.path, known, (broken.problem,))
            return
        except Exception:
            log.exception("%s could not be read", known.hooks.path.name)
            return
        if (running := record.running) is not None:
            saved = record.pending.document if record.pending is not None else running.request.document
            known.hooks.offer(Offer(file, saved))
        elif not first or file.digest != known.hooks.loaded.file.digest:
            self._show(record.path, known, ())  # whatever it was, it was wrong with other bytes

    def _show(self, document: Path, known: _Known, problems: tuple[Problem, ...]) -> None:
        if known.problems != problems:
            known.problems = problems
            self.told(document)

    def _shown(self, record: Record, known: _Known, run: int) -> None:
        known.shown = None
        view = record.status.run
        if view is not None and view.run == run and view.hooks == HOOKS_SWAPPED:
            self._records.tell(record, events.HooksSaid, run=run, detail=known.said)
