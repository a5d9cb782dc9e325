"""The queue: per document at most one running and one waiting run, one run at a time on the worker.

Lives on the event-loop thread. The worker gets frozen requests and answers with events, which come back through
`call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from dataclasses import replace
from pathlib import Path

from dlm_lsp.document import Document
from dlm_lsp.runs import events, views
from dlm_lsp.runs.asking import Asking
from dlm_lsp.runs.clock import Clock
from dlm_lsp.runs.continuing import AFTER, GIVEN_UP
from dlm_lsp.runs.control import RunControl, RunRequest
from dlm_lsp.runs.hooking import Hooking
from dlm_lsp.runs.records import Pending, Record, Records, Running
from dlm_lsp.runs.run import execute
from dlm_lsp.runs.sections import purpose
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import Failure
from dlm_lsp.runs.steering import Steering
from dlm_lsp.runs.succession import CALLED_OFF, HELD, RESTARTING, Succession
from dlm_lsp.runs.warmth import Learners, Warmth
from dlm_lsp.runs.worker import Worker, on_loop
from dlm_lsp.training.protocol import RunKind, SessionInfo

log = logging.getLogger(__name__)

# How often a run that waits for another process' lock looks again, in seconds.
_LOCK_POLL = 0.5
# What the worker gets at the end to put its run away, once the learner that kept it is gone, in seconds.
_AFTER_ABANDONING = 0.3


class RunQueue:
    """Owns the worker and what it is handed. `settings` hold for the next run that begins."""

    def __init__(self, learners: Learners, settings: RunSettings, clock: Clock) -> None:
        self.settings = settings
        self.worker = Worker()
        self.records = Records(clock, settings.home, self._quiet)
        self.warmth = Warmth(learners, settings, self.worker, clock, self._warmed)
        self.asking = Asking(self.warmth.learner, self.worker.submit, self._asked)
        self.reader = Worker("dlm-files")
        self.hooking = Hooking(self.records, clock, self.reader)
        self.hooking.enabled = settings.hooks
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: deque[Record] = deque()
        self._active: Record | None = None
        self._runs = itertools.count(1)
        self.succession = Succession(self.records, clock, self._unready, self._tell_queued, self._became_idle)
        self.closing = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts the worker; `loop` is the running loop, which owns this queue from now on."""
        self._loop = loop
        self.warmth.loop = self.asking.loop = loop
        self.worker.start()

    def configure(self, settings: RunSettings) -> None:
        self.settings = self.warmth.settings = settings
        self.hooking.allow(settings.hooks)

    async def shutdown(self, deadline: float) -> bool:
        """Cancels what waits, stops what runs at its next step, ends the worker; whether it was done in time."""
        self.stop()
        await self.settled(deadline)
        return await self.released()

    def stop(self) -> None:
        """Cancels what waits; what runs is to stop at its next step, and nothing begins any more. May be repeated."""
        self.closing = True
        self.asking.close()
        self.warmth.make_way()
        for record in self.records:
            self.cancel(record)
        self.worker.stop()
        self.reader.stop()

    async def settled(self, deadline: float) -> None:
        """Waits until what ran was rolled back or committed and gave its lock back, `deadline` seconds at most."""
        await asyncio.to_thread(self.worker.join, deadline)
        await asyncio.sleep(0)  # the worker's last events

    async def released(self) -> bool:
        """Ends the learner's process, if there is one, and a run that did not stop with it; whether all is settled."""
        await self.settled(_AFTER_ABANDONING if self.warmth.abandon() else 0.0)
        self.hooking.close()
        return self.worker.join(0.0)

    def add(
        self,
        record: Record,
        kind: RunKind,
        document: Document,
        *,
        unfinished: bool = False,
        only: frozenset[str] = frozenset(),
    ) -> None:
        """Makes `document` the waiting run: for all that is new, or for the sections `only` (ids).

        What was already waited for stays part of it: a full retrain, unfinished lessons, a save, other sections.
        """
        record.broken = False
        wish = Pending(0, kind, document, unfinished, named=only, named_only=bool(only))
        waiting, record.pending = record.pending, wish
        if waiting is None:
            wish.run = next(self._runs)
        else:
            wish.run, wish.ready = waiting.run, waiting.ready
            wish.joined(waiting)
            if waiting.restart:  # a run ends early for it, and leaves something to finish, whatever is saved now
                wish.restart = RESTARTING
        news = waiting is None or self._purpose(record, waiting) != self._purpose(record, wish)
        if news and record.running is None:
            self._tell_queued(record, wish)
        else:
            self.records.refresh(record)

    def _tell_queued(self, record: Record, pending: Pending, detail: str = "") -> None:
        purpose = self._purpose(record, pending)
        self.records.tell(
            record,
            events.Queued,
            run=pending.run,
            kind=pending.kind,
            detail=detail,
            purpose=purpose,
            restarts=bool(pending.restart),
        )

    def _purpose(self, record: Record, pending: Pending) -> str:
        if pending.kind == "full" or not pending.named_only:
            return ""
        return purpose(pending.document, record.view.ledger, pending.named)

    def _quiet(self, record: Record) -> None:
        """The debounce is over: the waiting run may begin, unless the machine is to rest first.

        While another run of the document goes on, that one may take the text in instead.
        """
        pending, rest = record.pending, record.rest_until - self._clock.monotonic()
        running = record.running
        if pending is not None and running is not None and not self.succession.follows(record, running, pending):
            return
        # What the author asked for by command (`unfinished`) does not wait.
        if pending is None or pending.unfinished or running is not None or rest <= 0:
            self.make_ready(record)
            return
        detail = f"{self.settings.min_interval_seconds:g} s of rest between runs (dlm.minIntervalSeconds)"
        if record.status.run is None or record.status.run.detail != detail:
            self._tell_queued(record, pending, detail)
        record.debouncer.touch(rest, rest)

    def make_ready(self, record: Record) -> None:
        """The waiting run may begin as soon as the worker is free."""
        record.forget_lock_timer()
        if record.pending is not None and not record.pending.ready:
            record.pending.ready = True
            self._ready.append(record)
        self._dispatch()

    def _unready(self, record: Record) -> None:
        """The waiting run is not to begin yet, if it was about to."""
        if record in self._ready:
            self._ready.remove(record)

    def _dispatch(self) -> None:
        """Hands the worker the next run, if it has none."""
        if self._active is not None or not self._ready:
            return
        record = self._ready.popleft()
        pending, record.pending = record.pending, None
        assert pending is not None
        store = self.records.store(record, pending.document)
        assert store is not None, "a document without errors has an id"
        self.warmth.make_way(record.path)
        request = RunRequest(
            run=pending.run,
            kind=pending.kind,
            path=record.path,
            document=pending.document,
            store=store,
            max_steps=self.settings.max_steps,
            keep_versions=self.settings.keep_versions,
            unfinished=pending.unfinished or bool(pending.restart),
            on_shape_change=self.settings.on_shape_change,
            retrain_on_config=self.settings.retrain_on_config,
            named=pending.named,
            named_only=pending.named_only,
            margin=self.settings.forgetting_margin,
            lost=record.view.lost,
        )
        self._active = record
        record.restarts = record.restarts + 1 if pending.restart else 0
        steering = Steering(request.document)
        early = self.succession.early_stop(record, pending.run, self.settings.stop_deadline_seconds)
        record.running = Running(request, steering, early)
        called = self.hooking.of_run(record, steering, self._post)
        control = RunControl(request, steering, self._post, self._clock, self.asking.during_run, called)
        self.worker.submit(lambda: execute(request, self.warmth.learner, control, self._clock))

    def _post(self, event: events.Event) -> None:
        """On the worker's thread: hands an event to the loop."""
        on_loop(self._loop, self._arrived, event)

    def _arrived(self, event: events.Event) -> None:
        record, running = self._active, self._active.running if self._active else None
        if record is None or running is None or running.request.run != event.run:
            log.error("an event of run %d arrived after its end: %s", event.run, type(event).__name__)
            return
        if isinstance(event, events.TERMINAL):
            record.failed = self._missed(record, running, event) or record.failed
            self._active = record.running = None
            running.early.settle()
            off = isinstance(event, events.Failed) and self.succession.call_off(record)
            self.records.change(record, event)
            if off:
                self.records.note(record, CALLED_OFF.format("failed"))
            self._after_run(record, running.request, event)
            self._dispatch()
        elif isinstance(event, events.Waiting):
            self._active = record.running = None
            running.early.settle()
            self._wait_for_lock(record, running, event)
            self._dispatch()
        elif isinstance(event, events.SourcesRead):
            self._sources_read(record, running, event)
        elif isinstance(event, events.Absorbed):
            self.succession.absorbed(record, running, event)
        else:
            if isinstance(event, events.Phase) and event.name == "write":
                running.early.settle()
            self.records.change(record, event)
            self.hooking.on(record, event)

    def _missed(self, record: Record, running: Running, event: events.Event) -> Failure | None:
        """What a failed run was to learn."""
        if not isinstance(event, events.Failed):
            return None
        run = views.RunOf(running.request.kind, running.request.document)
        lessons = views.wanted(run, record.view.ledger)
        return Failure(lessons, views.failed_sentence(event.at, event.message), event.at)

    def _sources_read(self, record: Record, running: Running, event: events.SourcesRead) -> None:
        """Their problems join those of the text they were read for; a newer text waits for its own."""
        record.sourced = event.lessons
        document = record.document
        if document is not None and document is running.request.document:
            record.document = replace(document, problems=(*document.problems, *event.problems))
        self.records.change(record, event)

    def _wait_for_lock(self, record: Record, running: Running, event: events.Waiting) -> None:
        """The run goes back to waiting, keeps its number, and looks again in a moment."""
        request = running.request
        if running.steering.stop.is_set() or self.closing:
            self.records.tell(record, events.Cancelled, run=request.run, version=record.status.version)
            self._became_idle(record)
            return
        newer = record.pending
        record.pending = Pending(
            request.run,
            request.kind,
            request.document,
            request.unfinished,
            named=request.named,
            named_only=request.named_only,
        )
        if newer is not None:
            if newer.ready:
                self._ready.remove(record)
            record.pending.document = newer.document
            record.pending.joined(newer)
        lock = record.status.lock
        if lock is None or (lock.pid, lock.since, lock.detail) != (event.pid, event.since, event.detail):
            self.records.change(record, event)
        record.lock_timer = self._clock.call_later(_LOCK_POLL, lambda: self.make_ready(record))

    def _after_run(self, record: Record, request: RunRequest, event: events.Event) -> None:
        """The session cools down from now on; a newer save that came meanwhile is queued visibly."""
        if isinstance(event, events.Finished):
            record.status = replace(record.status, warm=True)
        if not isinstance(event, events.Skipped):  # whatever its end was, the learner may have loaded something
            self.warmth.used(record.path, request.store.dlm_id)
            record.rest_until = self._clock.monotonic() + self.settings.min_interval_seconds
        if (pending := record.pending) is not None and pending.held:
            if record.open and not self.closing:
                self._tell_queued(record, pending, HELD)
            else:
                record.pending = None
        elif pending is not None:
            self._tell_queued(record, pending, pending.restart)
            if pending.offered:  # the run ended before it could take it in
                pending.offered = False
                self._quiet(record)
            elif pending.ready and not pending.unfinished and self.settings.min_interval_seconds:
                pending.ready = False
                self._ready.remove(record)
                self._quiet(record)
        self._go_on_when_idle(record, request, event)
        self._became_idle(record)

    def _go_on_when_idle(self, record: Record, request: RunRequest, event: events.Event) -> None:
        """What a cap has left is gone on with after a moment of rest, where that is wanted."""
        detail = record.continuing.after(event)
        wanted = self.settings.continue_when_idle and request.kind == "cycle" and not self.closing
        if wanted and record.continuing.given_up:
            self.records.note(record, GIVEN_UP)
        if not detail or not wanted or record.pending is not None or request.named_only:
            return
        record.pending = Pending(next(self._runs), "cycle", request.document, unfinished=True)
        self._tell_queued(record, record.pending, detail)
        rest = max(AFTER, self.settings.min_interval_seconds)
        record.debouncer.touch(rest, rest)

    # -- calling off

    def cancel(self, record: Record) -> str:
        """Calls off the waiting run and stops the running one at its next step; says what happens."""
        if not record.engaged:
            return "nothing is running"
        if record.pending is not None:
            self.drop(record)
        running = record.running
        if running is None:
            return "cancelled"
        running.steering.stop.set()
        running.early.ask()
        return "stopping after this step"

    def drop(self, record: Record) -> None:
        """Calls off the waiting run, and says so unless another one goes on."""
        pending, record.pending = record.pending, None
        assert pending is not None
        record.debouncer.cancel()
        record.forget_lock_timer()
        self._unready(record)
        if record.running is None:
            self.records.tell(record, events.Cancelled, run=pending.run, version=record.status.version)
        self._became_idle(record)

    def _became_idle(self, record: Record) -> None:
        if not record.busy:
            for future in record.idle:
                if not future.done():
                    future.set_result(None)
            record.idle.clear()
            if not record.open:
                self.hooking.forget(record.path)
            self.records.tidy(record)

    def _warmed(self, path: Path, info: SessionInfo | None) -> None:
        record = self.records.get(path)
        if record is None:
            return
        device = info.device if info else record.status.device
        record.status = replace(record.status, warm=info is not None, device=device)
        self.records.announce(record, None)

    def _asked(self, path: Path, key: str, warm: bool) -> None:
        """A question was answered between two runs (`warm`), or was not: its session cools down from now on."""
        if self.closing:
            return
        self.warmth.used(path, key)
        record = self.records.get(path)
        if warm and record is not None and not record.status.warm:
            record.status = replace(record.status, warm=True)
            self.records.announce(record, None)
