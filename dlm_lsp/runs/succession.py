"""What a newer text does to the run that goes on: taken in by it, ended for, or left for after it. For the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dlm_lsp.runs import events
from dlm_lsp.runs.clock import Clock
from dlm_lsp.runs.records import Pending, Record, Records, Running
from dlm_lsp.runs.reload import Change, Difference, difference
from dlm_lsp.runs.status import RunState
from dlm_lsp.runs.stopping import EarlyStop
from dlm_lsp.runs.telling import countdown

MAX_RESTARTS = 3
"""How many runs in a row may end early for a newer text; after them one goes on to its own end."""
RESTARTING = "restarting with the saved text"
HELD = "restart waits for a valid document"
CALLED_OFF = "the text saved meanwhile was not trained, because the run before it {}; save again, or Train Now"


class Succession:
    """Decides between a document's running run and its waiting one.

    `unready` takes a waiting run out of the row for the worker, `queued` tells of it, `idle` hears when a document may
    have nothing to do any more.
    """

    def __init__(
        self,
        records: Records,
        clock: Clock,
        unready: Callable[[Record], None],
        queued: Callable[[Record, Pending, str], None],
        idle: Callable[[Record], None],
    ) -> None:
        self._records = records
        self._clock = clock
        self._unready = unready
        self._queued = queued
        self._idle = idle

    def follows(self, record: Record, running: Running, pending: Pending) -> bool:
        """What a newer text does to the run that goes on; whether it needs a run of its own after that one."""
        steering = running.steering
        apart = running.request.named_only or pending.named or pending.kind == "full"  # each is a run of its own
        if steering.stop.is_set() or apart or running.request.store is not record.store:
            return True
        differs = difference(steering.learns, pending.document, record.path)
        if differs.change in (Change.CONFIG, Change.SHAPE):
            return self._restarts(record, running, pending, differs)
        if not self._goes_on(record, running):
            pending.restart = RESTARTING  # it finishes what the other one had to leave
            return True
        pending.restart = ""
        if pending.ready:
            pending.ready = False
            self._unready(record)
        run = running.request.run
        if differs.change is Change.NONE and steering.settled and not pending.unfinished:
            steering.withdraw()
            if record.status.state is RunState.ABSORBING:
                self._records.tell(record, events.GoingOn, run=run)
            self._not_needed(record)
        else:
            pending.offered = True
            steering.offer(pending.document)
            if record.status.state is RunState.TRAINING:
                self._records.tell(record, events.Absorbing, run=run)
        return False

    def _restarts(self, record: Record, running: Running, pending: Pending, differs: Difference) -> bool:
        """The run ends early for the text that waits, which has other settings; False where that one has to wait."""
        running.steering.withdraw()
        pending.offered = False
        if record.broken:
            pending.restart = f"restarting with {differs.told}"
            self._records.note(record, f"saved, not trained: the document has errors; {self.hold(record)}")
            return False
        if record.restarts >= MAX_RESTARTS and not running.early.asked:
            times = f"{MAX_RESTARTS} times in a row"
            told = f"runs were restarted {times}, so this one ends first; after it applies {differs.told}"
            self._records.note(record, told)
            return True
        pending.restart = f"restarting with {differs.told}"
        if not running.early.settled:
            running.steering.finish()
            running.early.ask(pending.restart)
        return True

    def hold(self, record: Record) -> str:
        """The newest saved text has errors: a restart waits for one without. Says so; empty when none is pending."""
        record.broken = True
        pending = record.pending
        if pending is None or not pending.restart:
            return ""
        if pending.ready:
            pending.ready = False
            self._unready(record)
        record.debouncer.cancel()
        if not pending.held:
            pending.held = True
            if record.running is None:
                self._queued(record, pending, HELD)
            elif record.running.early.asked:
                record.running.early.ask(HELD)
            self._idle(record)
        return HELD

    def _goes_on(self, record: Record, running: Running) -> bool:
        """Takes back that the run shall end early, if that was so; False if it is too late."""
        if not running.steering.go_on():
            return False
        if running.early.asked:
            running.early.release()
            self._records.tell(record, events.GoingOn, run=running.request.run)
        return True

    def _not_needed(self, record: Record) -> None:
        """The run that goes on learns all that the waiting one was for."""
        record.pending = None
        record.debouncer.cancel()
        self._records.refresh(record)

    def absorbed(self, record: Record, running: Running, event: events.Absorbed) -> None:
        running.request = replace(running.request, document=event.text)
        self._records.change(record, event)
        pending = record.pending
        if pending is None or not pending.offered or pending.unfinished:
            return
        newest = pending.document is event.text
        if newest or difference(event.text, pending.document, record.path).change is Change.NONE:
            running.steering.withdraw()
            self._not_needed(record)

    def early_stop(self, record: Record, run: int, deadline: float) -> EarlyStop:
        def tell(detail: str, left: float | None) -> None:
            self._records.tell(record, events.Stopping, run=run, detail=detail, seconds_left=left)

        return EarlyStop(self._clock, deadline, tell, lambda: self._overdue(record, run, deadline))

    def _overdue(self, record: Record, run: int, deadline: float) -> None:
        """The run did not stop in time. It keeps the worker while it lasts; nothing is to follow it by itself."""
        waited = countdown(deadline)
        off = self.call_off(record)
        detail = f"it was asked to stop {waited} minutes ago and came to no step boundary."
        self._records.tell(record, events.Stuck, run=run, detail=detail)
        if off:
            self._records.note(record, CALLED_OFF.format("did not stop in time"))

    def call_off(self, record: Record) -> bool:
        """Of what waits, a text that the run was to take in or to end for is no run of its own; whether it was one."""
        pending = record.pending
        if pending is None or pending.unfinished or not (pending.restart or pending.offered):
            return False
        record.pending = None
        record.debouncer.cancel()
        if pending.ready:
            self._unready(record)
        self._records.refresh(record)
        return True
