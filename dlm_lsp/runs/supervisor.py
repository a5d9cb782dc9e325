"""Owns, per document, at most one running and one waiting run; the newest saved text wins.

Lives on the event-loop thread: the records here are touched by no other. The worker gets frozen requests and
answers with events, which come back through `call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from dlm_lsp.document import Document
from dlm_lsp.runs import events, views
from dlm_lsp.runs.clock import Clock, SystemClock, Timer
from dlm_lsp.runs.debounce import Debouncer
from dlm_lsp.runs.narrate import after
from dlm_lsp.runs.run import RunControl, RunRequest, execute
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.snapshot import read
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.warmth import Warmth
from dlm_lsp.runs.worker import Worker
from dlm_lsp.store import Store, StoreError, dlm_home
from dlm_lsp.training.protocol import Learner, RunKind, SessionInfo

log = logging.getLogger(__name__)

Listener = Callable[[events.Event | None, DocumentStatus], None]

# How often a run that waits for another process' lock looks again, in seconds.
_LOCK_POLL = 0.5


class SaveReason(StrEnum):
    """Why the editor saved: its author asked, or it did so by itself."""

    MANUAL = "manual"
    AFTER_DELAY = "after-delay"
    FOCUS_OUT = "focus-out"


@dataclass(slots=True)
class _Pending:
    """The one waiting run of a document, always for the newest saved text."""

    run: int
    kind: RunKind
    document: Document
    unfinished: bool = False
    ready: bool = False  # the debounce is over


@dataclass(slots=True)
class _Running:
    request: RunRequest
    stop: threading.Event


@dataclass(slots=True)
class _Record:
    status: DocumentStatus
    debouncer: Debouncer
    document: Document | None = None
    store: Store | None = None
    pending: _Pending | None = None
    running: _Running | None = None
    lock_timer: Timer | None = None
    view: views.StoreView = field(default_factory=views.StoreView)
    idle: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        return self.pending is not None or self.running is not None


class Supervisor:
    """Decides when to train. `learner` is called on the worker thread, when first something must be trained."""

    def __init__(self, *, learner: Callable[[], Learner], settings: RunSettings, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._settings = settings
        self._worker = Worker()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._records: dict[Path, _Record] = {}
        self._ready: deque[Path] = deque()
        self._active: Path | None = None
        self._listeners: list[Listener] = []
        self._runs = itertools.count(1)
        self._closing = False
        self._warmth = Warmth(learner, self._worker, self._clock, self._warmed)

    # -- life ---------------------------------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._warmth.loop = loop
        self._worker.start()

    def configure(self, settings: RunSettings) -> None:
        """New settings hold from the next save on; a changed home is another store for every document."""
        moved = settings.home != self._settings.home
        self._settings = settings
        if moved:
            for record in self._records.values():
                record.store = None
                self._look(record)
                self._refresh(record)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """`listener` is called after every change of a status; the event is None when no run caused it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def shutdown(self, deadline: float = 2.0) -> bool:
        """Stops everything: waiting runs are cancelled, the running one ends at its next step.

        True if the worker was done within `deadline` seconds; it is a daemon and dies with the process if not.
        """
        self._closing = True
        self._warmth.make_way()
        for path in list(self._records):
            self.cancel(path)
        self._worker.stop()
        done = await asyncio.to_thread(self._worker.join, deadline)
        await asyncio.sleep(0)  # the worker's last events
        return done

    @property
    def busy(self) -> bool:
        return any(record.busy for record in self._records.values())

    # -- what the editor tells -----------------------------------------------------------------------------

    def opened(self, path: Path, text: str) -> DocumentStatus:
        """Reads the document; writes nothing and trains nothing. A learned one may be warmed in a while."""
        record = self._record(path)
        self._read(record, text)
        self._look(record)
        self._refresh(record)
        if self._settings.warm_on_open and self._settings.on_save == "train" and record.document:
            self._warmth.consider(path, record.document, self._store(record))
        return record.status

    def looked_at(self, path: Path) -> DocumentStatus:
        """The record of the file as it is on disk; nothing is warmed, so no loop and no worker are needed."""
        record = self._record(path)
        self._read(record, None)
        self._look(record)
        self._refresh(record)
        return record.status

    def changed(self, path: Path, text: str) -> DocumentStatus:
        """The text that is being written: new problems and section states; a notice about the last save goes."""
        record = self._record(path)
        self._read(record, text)
        last = record.status.last
        if last is not None and last.outcome == "skipped":
            record.status = replace(record.status, last=None)
        record.status = replace(record.status, note="")
        self._refresh(record)
        return record.status

    def saved(self, path: Path, text: str | None, *, reason: SaveReason = SaveReason.MANUAL) -> None:
        """A save: asks for a cycle after the debounce, unless the settings or the document stand against it."""
        record = self._record(path)
        document = self._read(record, text)
        if document is None:
            return
        self._look(record)
        settings = self._settings
        note = ""
        if settings.on_save == "off":
            note = "saved; training on save is off (dlm.onSave)"
        elif settings.on_save == "mark":
            note = "saved and marked; Train Now learns it (dlm.onSave is `mark`)"
        elif reason is not SaveReason.MANUAL and not settings.train_on_auto_save:
            note = "saved by auto-save and marked; Train Now learns it (dlm.trainOnAutoSave is off)"
        elif not document.trainable:
            note = "saved, not trained: the document has errors"
        if note or self._closing:
            record.status = replace(record.status, note=note)
            self._refresh(record)
            return
        self._queue(record, "cycle", document)
        record.debouncer.touch(settings.debounce_ms / 1000, settings.max_wait_ms / 1000)

    def closed(self, path: Path) -> None:
        """The editor closed the document; a run for its saved text goes on."""
        self._warmth.closed(path)

    # -- what the author commands ---------------------------------------------------------------------------

    def train_now(self, path: Path) -> str:
        """A cycle over the saved text at once, whatever the settings say; a sentence that says what happens."""
        return self._command(path, "cycle")

    def full_retrain(self, path: Path) -> str:
        """A run from the base's weights over the whole saved text; a sentence that says what happens."""
        return self._command(path, "full")

    def would_discard(self, path: Path) -> str | None:
        """What a full retrain would start over from, as a sentence; None when there is nothing yet."""
        record = self._record(path)
        self._look(record)
        if record.view.version is None:
            return None
        return (
            f"{path.name} has learned up to v{record.view.version:04d}. A full retrain starts from the base model "
            "and learns the whole document anew; older versions are kept until they are pruned."
        )

    def cancel(self, path: Path | None = None) -> str:
        """Calls off the waiting run and stops the running one at its next step; of all documents without `path`."""
        if path is None:
            busy = [each for each, record in self._records.items() if record.busy]
            return " ".join(self.cancel(each) for each in busy) or "nothing is running"
        record = self._records.get(path)
        if record is None or not record.busy:
            return "nothing is running"
        if record.pending is not None:
            self._drop_pending(record)
        if record.running is not None and not record.running.stop.is_set():
            record.running.stop.set()
            self._tell(record, events.Stopping, run=record.running.request.run)
            return "stopping after this step"
        return "cancelled"

    def unlock(self, path: Path) -> str:
        """Removes the store's lock if its holder is dead; a sentence that says what was done or why not."""
        store = self._store(self._record(path))
        if store is None:
            return "the document has no valid dlm_id, so it has no store"
        try:
            return store.unlock()
        except StoreError as error:
            return str(error)

    # -- what anybody may ask -------------------------------------------------------------------------------

    def status(self, path: Path) -> DocumentStatus | None:
        record = self._records.get(path)
        return record.status if record else None

    def document(self, path: Path) -> Document | None:
        record = self._records.get(path)
        return record.document if record else None

    async def wait_for_idle(self, path: Path | None = None) -> None:
        """Returns once no run is waiting or going on, for `path` or for every document."""
        for record in [self._records[path]] if path in self._records else list(self._records.values()):
            while record.busy:
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                record.idle.append(future)
                await future

    # -- the queue --------------------------------------------------------------------------------------------

    def _command(self, path: Path, kind: RunKind) -> str:
        record = self._record(path)
        document = self._read(record, None)
        if document is None:
            return record.status.note
        self._look(record)
        if not document.trainable:
            self._refresh(record)
            return f"{path.name} has errors; nothing was trained"
        self._queue(record, kind, document, unfinished=True)
        record.debouncer.cancel()
        self._make_ready(record)
        return "full retrain is queued" if kind == "full" else "training is queued"

    def _queue(self, record: _Record, kind: RunKind, document: Document, *, unfinished: bool = False) -> None:
        """Makes `document` the waiting run; a stronger wish that was already waiting (full, unfinished) stays."""
        waiting = record.pending
        if waiting is None:
            record.pending = _Pending(next(self._runs), kind, document, unfinished)
        else:
            waiting.document = document
            waiting.kind = "full" if "full" in (kind, waiting.kind) else "cycle"
            waiting.unfinished |= unfinished
        if record.running is None:
            pending = record.pending
            assert pending is not None
            self._tell(record, events.Queued, run=pending.run, kind=pending.kind)

    def _make_ready(self, record: _Record) -> None:
        """The debounce is over: the waiting run may begin as soon as the worker is free."""
        if record.lock_timer is not None:
            record.lock_timer.cancel()
            record.lock_timer = None
        if record.pending is not None and not record.pending.ready:
            record.pending.ready = True
            self._ready.append(record.status.document)
        self._dispatch()

    def _dispatch(self) -> None:
        if self._active is not None or not self._ready:
            return
        path = self._ready.popleft()
        record = self._records[path]
        pending, record.pending = record.pending, None
        store = self._store(record, pending.document) if pending else None
        if pending is None or store is None:
            self._became_idle(record)
            self._dispatch()
            return
        self._warmth.make_way(path)
        request = RunRequest(
            run=pending.run,
            kind=pending.kind,
            path=path,
            document=pending.document,
            store=store,
            max_steps=self._settings.max_steps,
            keep_versions=self._settings.keep_versions,
            unfinished=pending.unfinished,
        )
        self._active = path
        record.running = _Running(request, threading.Event())
        control = RunControl(request, record.running.stop, self._post, self._clock)
        self._worker.submit(lambda: execute(request, self._warmth.learner, control, self._clock))

    def _post(self, event: events.Event) -> None:
        """On the worker's thread: hands an event to the loop. A loop that is gone wants no more events."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._arrived, event)
        except RuntimeError:
            log.debug("the loop is closed; dropped %s", type(event).__name__)

    def _arrived(self, event: events.Event) -> None:
        record = self._records[event.document]
        running = record.running
        if running is None or running.request.run != event.run:
            log.error("an event of run %d arrived after its end: %s", event.run, type(event).__name__)
            return
        ended = isinstance(event, events.TERMINAL)
        if ended or isinstance(event, events.Waiting):
            record.running = None
            self._active = None
        if isinstance(event, events.Waiting):
            self._wait_for_lock(record, running, event)
        elif isinstance(event, events.SourcesRead):
            self._sources_read(record, running, event)
        else:
            self._change(record, event)
        if ended:
            self._keep_warm(record, event)
            self._after_run(record)
        self._dispatch()

    def _sources_read(self, record: _Record, running: _Running, event: events.SourcesRead) -> None:
        """Their problems join those of the text they were read for; a newer text waits for its own."""
        document = record.document
        if document is not None and document is running.request.document:
            record.document = replace(document, problems=(*document.problems, *event.problems))
            self._announce(record, event)

    def _wait_for_lock(self, record: _Record, running: _Running, event: events.Waiting) -> None:
        """The run goes back to waiting, keeps its number, and looks again in a moment."""
        request = running.request
        if running.stop.is_set() or self._closing:
            self._change(
                record,
                events.Cancelled(
                    document=event.document,
                    run=event.run,
                    sequence=event.sequence,
                    at=event.at,
                    version=record.status.version,
                ),
            )
            self._after_run(record)
            return
        newer = record.pending
        record.pending = _Pending(
            request.run,
            "full" if newer is not None and newer.kind == "full" else request.kind,
            newer.document if newer else request.document,
            request.unfinished or (newer is not None and newer.unfinished),
        )
        if newer is not None and newer.ready:
            self._ready.remove(event.document)
        lock = record.status.lock
        if lock is None or (lock.pid, lock.since) != (event.pid, event.since):
            self._change(record, event)
        record.lock_timer = self._clock.call_later(_LOCK_POLL, lambda: self._make_ready(record))

    def _keep_warm(self, record: _Record, event: events.Event) -> None:
        dlm_id = record.status.dlm_id
        if dlm_id is not None and not isinstance(event, events.Skipped):
            record.status = replace(record.status, warm=True)
            self._warmth.used(record.status.document, dlm_id, self._settings.keep_warm_minutes)

    def _after_run(self, record: _Record) -> None:
        """A newer save that came while the run went on is queued visibly now, or the document is idle."""
        if record.pending is not None:
            self._tell(record, events.Queued, run=record.pending.run, kind=record.pending.kind)
        self._became_idle(record)

    def _drop_pending(self, record: _Record) -> None:
        pending, record.pending = record.pending, None
        assert pending is not None
        record.debouncer.cancel()
        if record.lock_timer is not None:
            record.lock_timer.cancel()
            record.lock_timer = None
        if pending.ready and record.status.document in self._ready:
            self._ready.remove(record.status.document)
        if record.running is None:
            self._tell(record, events.Cancelled, run=pending.run, version=record.status.version)
        self._became_idle(record)

    def _became_idle(self, record: _Record) -> None:
        if not record.busy:
            for future in record.idle:
                if not future.done():
                    future.set_result(None)
            record.idle.clear()

    # -- records ------------------------------------------------------------------------------------------------

    def _record(self, path: Path) -> _Record:
        if path not in self._records:
            record = _Record(DocumentStatus(document=path), Debouncer(self._clock, lambda: None))
            record.debouncer = Debouncer(self._clock, lambda: self._make_ready(record))
            self._records[path] = record
        return self._records[path]

    def _read(self, record: _Record, text: str | None) -> Document | None:
        """Parses `text` (None: the file's content) as the record's newest document; None if it can't be read."""
        path = record.status.document
        content: str | bytes
        try:
            content = path.read_bytes() if text is None else text
        except OSError as error:
            record.status = replace(record.status, note=f"{path.name} cannot be read: {error.strerror or error}")
            self._refresh(record)
            return None
        record.document = read(content)
        return record.document

    def _store(self, record: _Record, document: Document | None = None) -> Store | None:
        """The store of the document's id; the last one known while its frontmatter is broken."""
        document = document or record.document
        if document is not None and document.frontmatter is not None:
            dlm_id = document.frontmatter.dlm_id
            if record.store is None or record.status.dlm_id != dlm_id:
                record.store = Store(dlm_home(self._settings.home), dlm_id)
                record.status = replace(record.status, dlm_id=dlm_id)
        return record.store

    def _look(self, record: _Record) -> None:
        """Reads again what the store says: after opening, saving and the end of a run."""
        record.view = views.look(self._store(record))

    def _refresh(self, record: _Record, event: events.Event | None = None) -> None:
        """Recomputes what follows from the newest text, the store and the runs, and tells everybody."""
        running, pending = record.running, record.pending
        record.status = views.with_facts(
            record.status,
            record.document,
            record.view,
            learning=views.RunOf(running.request.kind, running.request.document) if running else None,
            queued=views.RunOf(pending.kind, pending.document) if pending else None,
        )
        self._announce(record, event)

    def _change(self, record: _Record, event: events.Event) -> None:
        record.status = after(record.status, event)
        if isinstance(event, events.Step | events.Phase):
            self._announce(record, event)
        else:
            if isinstance(event, events.TERMINAL):
                self._look(record)
            self._refresh(record, event)

    def _tell(self, record: _Record, event: type[events.Event], /, *, run: int, **fields: Any) -> None:
        """An event of the loop's own, about a run that the worker does not have or does not know of."""
        self._change(
            record,
            event(
                document=record.status.document,
                run=run,
                sequence=0,
                at=self._clock.now(),
                **fields,
            ),
        )

    def _announce(self, record: _Record, event: events.Event | None) -> None:
        record.status = replace(record.status, generation=record.status.generation + 1)
        for listener in tuple(self._listeners):
            try:
                listener(event, record.status)
            except Exception:
                log.exception("a listener failed on %s", type(event).__name__)

    def _warmed(self, path: Path, info: SessionInfo | None) -> None:
        record = self._records.get(path)
        if record is not None:
            record.status = replace(
                record.status, warm=info is not None, device=info.device if info else record.status.device
            )
            self._announce(record, None)
