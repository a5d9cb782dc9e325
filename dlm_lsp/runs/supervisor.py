"""Owns, per document, at most one running and one waiting run; the newest saved text wins.

Lives on the event-loop thread. The worker gets frozen requests and answers with events, which come back through
`call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dlm_lsp.document import Document
from dlm_lsp.runs import events
from dlm_lsp.runs.clock import Clock, SystemClock
from dlm_lsp.runs.reasons import NOT_TRUSTED, SaveReason, why_not
from dlm_lsp.runs.records import Listener, Pending, Record, Records, Running
from dlm_lsp.runs.reverting import revert
from dlm_lsp.runs.run import RunControl, RunRequest, execute
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.warmth import Learners, Warmth
from dlm_lsp.runs.worker import Worker
from dlm_lsp.store import StoreError, version_name
from dlm_lsp.training.protocol import RunKind, SessionInfo

log = logging.getLogger(__name__)

# How often a run that waits for another process' lock looks again, in seconds.
_LOCK_POLL = 0.5
# What the worker gets at the end to put its run away, once the learner that kept it is gone, in seconds.
_AFTER_ABANDONING = 0.3


class Supervisor:
    """Decides when to train. `learner` is called on the worker thread, when first something must be trained."""

    def __init__(self, *, learner: Learners, settings: RunSettings, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._settings = settings
        self._worker = Worker()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._records = Records(self._clock, settings.home, self._quiet)
        self._ready: deque[Record] = deque()
        self._active: Record | None = None
        self._runs = itertools.count(1)
        self._closing = False
        self._warmth = Warmth(learner, settings, self._worker, self._clock, self._warmed)

    # -- life

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts the worker thread; `loop` is the running loop, which owns this supervisor from now on."""
        self._loop = loop
        self._warmth.loop = loop
        self._worker.start()

    def configure(self, settings: RunSettings) -> None:
        """New settings hold from the next save on; a changed home is another store for every document.

        Switching training off takes back what was said of earlier saves, and calls off what only they asked for.
        """
        before, self._settings = self._settings, settings
        self._warmth.settings = settings
        self._records.move(settings.home)
        if settings.on_save == "off" and before.on_save != "off":
            for record in self._records:
                if record.pending is not None and not record.pending.unfinished:
                    self._drop_pending(record)
                last = record.status.last
                settled = last is not None and last.outcome in ("skipped", "failed")
                record.status = replace(record.status, last=None if settled else last)
                self._records.note(record, "")

    @property
    def trusted(self) -> bool:
        """Whether anything may be trained, loaded, written, or read beside the documents themselves."""
        return self._records.trusted

    def trust(self, trusted: bool) -> None:
        """The editor's user trusts the workspace, or not any more; what goes on is stopped then."""
        self._records.trusted = trusted
        if not trusted:
            self._warmth.make_way()
            self.cancel()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """`listener` is called after every change of a status; the event is None when no run caused it."""
        return self._records.subscribe(listener)

    async def shutdown(self, deadline: float = 2.0) -> bool:
        """Stops everything: waiting runs are cancelled, the running one ends at its next step. May be repeated.

        True if the worker was done within `deadline` seconds; it is a daemon and dies with the process if not.
        """
        self._closing = True
        self._warmth.make_way()
        self.cancel()
        self._worker.stop()
        done = await asyncio.to_thread(self._worker.join, deadline)
        if self._warmth.abandon() and not done:
            done = await asyncio.to_thread(self._worker.join, _AFTER_ABANDONING)
        await asyncio.sleep(0)  # the worker's last events
        return done

    @property
    def busy(self) -> bool:
        return any(record.busy for record in self._records)

    # -- what the editor tells

    def opened(self, path: Path, text: str) -> DocumentStatus:
        """Reads the document; writes nothing and trains nothing. Its session may be warmed in a while."""
        record = self._seen(path, text)
        record.open = True
        record.status = replace(record.status, warm=self._warmth.keeps(record.status.dlm_id))
        if self.trusted and self._settings.warm_on_open and self._settings.on_save == "train" and record.document:
            store, learned = self._records.store(record), record.view.version is not None
            self._warmth.consider(path, record.document, store, learned=learned)
        return record.status

    def looked_at(self, path: Path) -> DocumentStatus:
        """The record of the file as it is on disk; nothing is warmed, so no loop and no worker are needed."""
        return self._seen(path, None).status

    def changed(self, path: Path, text: str) -> DocumentStatus:
        """The text that is being written: new problems and section states; a notice about the last save goes."""
        record = self._records.of(path)
        self._records.read(record, text)
        last = record.status.last
        skipped = last is not None and last.outcome == "skipped" and not last.notes
        record.status = replace(record.status, last=None if skipped else last)
        self._records.note(record, "")
        return record.status

    def saved(self, path: Path, text: str | None, *, reason: SaveReason = SaveReason.MANUAL) -> None:
        """A save: asks for a cycle after the debounce, unless the settings or the document stand against it."""
        record = self._records.of(path)
        document = self._records.read(record, text)
        if document is None or self._closing:
            return
        self._records.look(record)
        if note := why_not(self._settings, document, reason, trusted=self.trusted):
            self._records.note(record, note)
            return
        self._queue(record, "cycle", document)
        record.debouncer.touch(self._settings.debounce_ms / 1000, self._settings.max_wait_ms / 1000)

    def closed(self, path: Path) -> None:
        """The editor closed the document; a run for its saved text goes on, and then it is forgotten."""
        self._warmth.closed(path)
        if (record := self._records.get(path)) is not None:
            record.open = False
            self._records.tidy(record)

    def on_disk(self, path: Path, note: str) -> None:
        """What became of the file without a save, as a sentence; empty when it is what was opened or saved."""
        record = self._records.get(path)
        if record is not None and record.status.disk != note:
            record.status = replace(record.status, disk=note)
            self._records.refresh(record)

    # -- what the author commands

    def train_now(self, path: Path) -> str:
        """A cycle over the saved text at once, whatever the settings say; a sentence that says what happens."""
        return self._command(path, "cycle")

    def full_retrain(self, path: Path) -> str:
        """A run from the base's weights over the whole saved text; a sentence that says what happens."""
        return self._command(path, "full")

    def would_discard(self, path: Path) -> str | None:
        """What a full retrain would start over from, as a sentence; None when there is nothing yet."""
        record = self._records.of(path, open=False)
        self._records.look(record)
        version = record.view.version
        self._records.tidy(record)
        if version is None:
            return None
        return (
            f"{path.name} has learned up to {version_name(version)}. A full retrain starts from the base "
            "model and learns the whole document anew; older versions are kept until they are pruned."
        )

    def cancel(self, path: Path | None = None) -> str:
        """Calls off the waiting run and stops the running one at its next step; of all documents without `path`."""
        if path is None:
            return " ".join(self.cancel(record.path) for record in self._records if record.busy) or "nothing is running"
        record = self._records.get(path)
        if record is None or not record.busy:
            return "nothing is running"
        if record.pending is not None:
            self._drop_pending(record)
        running = record.running
        if running is None:
            return "cancelled"
        if not running.stop.is_set():
            running.stop.set()
            self._records.tell(record, events.Stopping, run=running.request.run)
        return "stopping after this step"

    def unlock(self, path: Path) -> str:
        """Removes the store's lock if its holder is dead; a sentence that says what was done or why not."""
        if not self.trusted:
            return NOT_TRUSTED
        record = self._records.of(path, open=False)
        store = self._records.store(record)
        self._records.tidy(record)
        if store is None:
            return "the document has no valid dlm_id, so it has no store"
        try:
            return store.unlock()
        except StoreError as error:
            return str(error)

    async def revert(self, path: Path, version: int | None = None) -> str:
        """Makes an earlier version current (None: the one before); says so. Raises StoreError: why not.

        The worker does it between two runs; a save that comes meanwhile is learned after it.
        """
        record = self._records.of(path)
        if record.document is None:
            self._records.read(record, None)
        store = self._records.store(record)
        if store is None:
            raise StoreError("the document has no valid dlm_id, so it has no store", "bad-id")
        if record.busy:
            raise StoreError("a run waits or goes on: cancel it or let it end, then revert", "store-busy")
        said = await self._worker.call(lambda: revert(store, version))
        record.status = replace(record.status, last=None)  # what it tells of is not current any more
        self._records.look(record)
        self._records.refresh(record)
        return said

    # -- what anybody may ask

    def status(self, path: Path) -> DocumentStatus | None:
        record = self._records.get(path)
        return record.status if record else None

    def statuses(self) -> list[DocumentStatus]:
        """Those of all documents."""
        return [record.status for record in self._records]

    def document(self, path: Path) -> Document | None:
        """The newest text, saved or not, with everything that is wrong with it."""
        record = self._records.get(path)
        return record.document if record else None

    async def wait_for_idle(self, path: Path | None = None) -> None:
        """Returns once no run is waiting or going on, for `path` or for every document."""
        for record in self._records:
            while record.busy and path in (None, record.path):
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                record.idle.append(future)
                await future

    # -- deciding

    def _seen(self, path: Path, text: str | None) -> Record:
        record = self._records.of(path)
        self._records.read(record, text)
        self._records.look(record)
        self._records.refresh(record)
        return record

    def _command(self, path: Path, kind: RunKind) -> str:
        if not self.trusted:
            return NOT_TRUSTED
        record = self._records.of(path, open=False)
        document = self._records.read(record, None)
        if document is None:
            self._records.tidy(record)
            return record.status.note
        self._records.look(record)
        if not document.trainable:
            self._records.refresh(record)
            self._records.tidy(record)
            return f"{path.name} has errors; nothing was trained"
        self._queue(record, kind, document, unfinished=True)
        record.debouncer.cancel()
        self._make_ready(record)
        return "full retrain is queued" if kind == "full" else "training is queued"

    # -- the queue

    def _queue(self, record: Record, kind: RunKind, document: Document, *, unfinished: bool = False) -> None:
        """Makes `document` the waiting run; a stronger wish that was already waiting (full, unfinished) stays."""
        waiting = record.pending
        if waiting is not None:
            waiting.document = document
            waiting.kind = "full" if "full" in (kind, waiting.kind) else "cycle"
            waiting.unfinished |= unfinished
            self._records.refresh(record)
            return
        record.pending = Pending(next(self._runs), kind, document, unfinished)
        if record.running is None:
            self._records.tell(record, events.Queued, run=record.pending.run, kind=kind)
        else:
            self._records.refresh(record)

    def _quiet(self, record: Record) -> None:
        """The debounce is over: the waiting run may begin, unless the machine is to rest first."""
        pending, rest = record.pending, record.rest_until - self._clock.monotonic()
        # What the author asked for by command (`unfinished`) does not wait.
        if pending is None or pending.unfinished or record.running is not None or rest <= 0:
            self._make_ready(record)
            return
        detail = f"{self._settings.min_interval_seconds:g} s of rest between runs (dlm.minIntervalSeconds)"
        if record.status.run is None or record.status.run.detail != detail:
            self._records.tell(record, events.Queued, run=pending.run, kind=pending.kind, detail=detail)
        record.debouncer.touch(rest, rest)

    def _make_ready(self, record: Record) -> None:
        """The waiting run may begin as soon as the worker is free."""
        record.forget_lock_timer()
        if record.pending is not None and not record.pending.ready:
            record.pending.ready = True
            self._ready.append(record)
        self._dispatch()

    def _dispatch(self) -> None:
        """Hands the worker the next run, if it has none."""
        if self._active is not None or not self._ready:
            return
        record = self._ready.popleft()
        pending, record.pending = record.pending, None
        assert pending is not None
        store = self._records.store(record, pending.document)
        assert store is not None, "a document without errors has an id"
        self._warmth.make_way(record.path)
        request = RunRequest(
            run=pending.run,
            kind=pending.kind,
            path=record.path,
            document=pending.document,
            store=store,
            max_steps=self._settings.max_steps,
            keep_versions=self._settings.keep_versions,
            unfinished=pending.unfinished,
            lost=record.view.lost,
        )
        self._active = record
        record.running = Running(request, threading.Event())
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
        record, running = self._active, self._active.running if self._active else None
        if record is None or running is None or running.request.run != event.run:
            log.error("an event of run %d arrived after its end: %s", event.run, type(event).__name__)
            return
        if isinstance(event, events.TERMINAL):
            self._active = record.running = None
            self._records.change(record, event)
            self._after_run(record, running.request, event)
            self._dispatch()
        elif isinstance(event, events.Waiting):
            self._active = record.running = None
            self._wait_for_lock(record, running, event)
            self._dispatch()
        elif isinstance(event, events.SourcesRead):
            self._sources_read(record, running, event)
        else:
            self._records.change(record, event)

    def _sources_read(self, record: Record, running: Running, event: events.SourcesRead) -> None:
        """Their problems join those of the text they were read for; a newer text waits for its own."""
        record.sourced = event.lessons
        document = record.document
        if document is not None and document is running.request.document:
            record.document = replace(document, problems=(*document.problems, *event.problems))
        self._records.change(record, event)

    def _wait_for_lock(self, record: Record, running: Running, event: events.Waiting) -> None:
        """The run goes back to waiting, keeps its number, and looks again in a moment."""
        request = running.request
        if running.stop.is_set() or self._closing:
            self._records.tell(record, events.Cancelled, run=request.run, version=record.status.version)
            self._became_idle(record)
            return
        newer = record.pending
        record.pending = Pending(request.run, request.kind, request.document, request.unfinished)
        if newer is not None:
            if newer.ready:
                self._ready.remove(record)
            record.pending.document = newer.document
            record.pending.unfinished |= newer.unfinished
            record.pending.kind = "full" if "full" in (newer.kind, request.kind) else "cycle"
        lock = record.status.lock
        if lock is None or (lock.pid, lock.since, lock.detail) != (event.pid, event.since, event.detail):
            self._records.change(record, event)
        record.lock_timer = self._clock.call_later(_LOCK_POLL, lambda: self._make_ready(record))

    def _after_run(self, record: Record, request: RunRequest, event: events.Event) -> None:
        """The session cools down from now on; a newer save that came meanwhile is queued visibly."""
        if isinstance(event, events.Finished):
            record.status = replace(record.status, warm=True)
        if not isinstance(event, events.Skipped):  # whatever its end was, the learner may have loaded something
            self._warmth.used(record.path, request.store.dlm_id)
            record.rest_until = self._clock.monotonic() + self._settings.min_interval_seconds
        if (pending := record.pending) is not None:
            self._records.tell(record, events.Queued, run=pending.run, kind=pending.kind)
            if pending.ready and not pending.unfinished and self._settings.min_interval_seconds:
                pending.ready = False
                self._ready.remove(record)
                self._quiet(record)
        self._became_idle(record)

    def _drop_pending(self, record: Record) -> None:
        pending, record.pending = record.pending, None
        assert pending is not None
        record.debouncer.cancel()
        record.forget_lock_timer()
        if record in self._ready:
            self._ready.remove(record)
        if record.running is None:
            self._records.tell(record, events.Cancelled, run=pending.run, version=record.status.version)
        self._became_idle(record)

    def _became_idle(self, record: Record) -> None:
        if not record.busy:
            for future in record.idle:
                if not future.done():
                    future.set_result(None)
            record.idle.clear()
            self._records.tidy(record)

    def _warmed(self, path: Path, info: SessionInfo | None) -> None:
        record = self._records.get(path)
        if record is None:
            return
        device = info.device if info else record.status.device
        record.status = replace(record.status, warm=info is not None, device=device)
        self._records.announce(record, None)
