"""A small world for the model check: the real supervisor, queue, records and run, in lockstep and without a disk.

Three things are stand-ins: the learner (two steps), the store (a ledger in memory, which somebody else may hold) and
the worker's thread, which goes on only when the world lets it, from one boundary to the next. Its events wait until
the world delivers them, as they would in a busy loop.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import pytest

from dlm_lsp.document import Document
from dlm_lsp.runs import events, queue, records, run, snapshot, texts
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.succession import HELD
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.store import Commit, Holder, Ledger, StoreError, Version
from dlm_lsp.store.store import Inspection
from dlm_lsp.training.protocol import (
    Control,
    Learned,
    LearnEnd,
    LearnerError,
    LearningCancelled,
    LearnPlan,
    LessonResult,
)
from tests.fakes import BASE_ID, DEVICE, FakeLearner
from tests.runs.conftest import HandClock, exchange, frontmatter

PATH = Path("/documents/notes.dlm")
STEPS = 2
FERRY = exchange("When does the ferry leave?", "At seven.")
BODIES = (
    FERRY,
    FERRY + exchange("Who bakes the bread?", "Ulla bakes it."),
    FERRY + exchange("What does the hare eat?", "Clover."),
)
Text = tuple[int, int, int]  # which body, which seed, which rank


class AbandonedError(BaseException):
    """The world ends in the middle of a run."""


class Puppet:
    """One thread for all worlds. It runs only while the test waits for it, so nothing here is left to chance."""

    def __init__(self) -> None:
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._job: Callable[[], None] | None = None
        self._error: BaseException | None = None
        self.at = ""  # the boundary at which the job stands; empty without a job
        threading.Thread(target=self._main, daemon=True).start()

    def run(self, job: Callable[[], None]) -> None:
        """Runs `job` up to its first boundary, or its end."""
        self._job = job
        self._turn()

    def resume(self, error: BaseException | None = None) -> None:
        """Up to the next boundary; with `error`, that is what happens at this one."""
        self._error = error
        self._turn()

    def pause(self, at: str) -> None:
        """In the job: a boundary."""
        self.at = at
        self._back.release()
        self._go.acquire()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _turn(self) -> None:
        self._go.release()
        self._back.acquire()

    def _main(self) -> None:
        while True:
            self._go.acquire()
            if self._job is not None:
                self._job()
            self._job, self.at = None, ""
            self._back.release()


class LockstepWorker:
    """In place of `Worker`: jobs wait until the world takes them up."""

    def __init__(self, name: str = "") -> None:
        self.jobs: deque[Callable[[], None]] = deque()
        self.stopped = False

    def start(self) -> None: ...

    def submit(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)

    def stop(self) -> None:
        self.stopped = True

    def join(self, seconds: float) -> bool:
        return not self.jobs


class MemoryStore:
    """In place of `Store`: what a commit says is known is known."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.dlm_id = frontmatter().split("dlm_id: ")[1].split("\n")[0]
        self.root = Path("/store")
        self.known = Ledger()
        self.locked = False
        self.notes: tuple[str, ...] = ()

    def current(self) -> Version | None:
        return Version(self.known.version, self.root) if self.known.version else None

    def ledger(self) -> Ledger:
        return self.known

    def try_lock(self) -> Self | Holder:
        return Holder(7, "here", None, "alive", "process 7 learns") if self.locked else self

    def commit(self, held: object, what: Commit) -> Version:
        self._world.puppet.pause("commit")
        assert what.ledger is not None
        self.known = what.ledger.numbered(self.known.version + 1)
        return Version(self.known.version, self.root)

    def inspect(self) -> Inspection:
        return Inspection(None, (), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def exists(self) -> bool:
        return True

    def replay(self) -> Self:
        return self

    def _empty(self, *_: object) -> frozenset[str]:
        return frozenset()

    def _nothing(self, *_: object) -> None:
        return None

    versions = recover = ids = ever_learned = _empty
    manifest = failed = record = note = note_failure = keep_curve = _nothing


class SteppingLearner(FakeLearner):
    """Learns everything in two steps; each boundary is the world's to choose."""

    def __init__(self, world: World) -> None:
        super().__init__(diary=False)
        self._world = world

    def learn(self, plan: LearnPlan, control: Control) -> Learned:
        control.phase("train")
        step, total, end = 0, STEPS, "learned"
        begun = {lesson.identity: 0 for lesson in plan.fresh}
        while True:
            self._world.puppet.pause(f"step {total - step}")
            if control.stop_requested():
                raise LearningCancelled
            if (revision := control.revision()) is not None:
                plan, total = revision.plan, step + STEPS
                begun.update({each.identity: step for each in plan.fresh if each.identity not in begun})
                revision.taken()
            if control.stop_requested():
                raise LearningCancelled
            if step == total:
                break
            if step and control.finish_requested():
                end = "stopped"
                break
            step += 1
            control.step(step, total, 1.0, 0.1, 1)
        results = (
            LessonResult(key, step - at, step > at, end == "learned" and step > at, 3.0, 1.0)
            for key, at in begun.items()
        )
        return _learned(end, step, tuple(results))


def _learned(end: LearnEnd, steps: int, lessons: tuple[LessonResult, ...]) -> Learned:
    return Learned(
        files={},
        end=end,
        steps=steps,
        tokens=steps,
        final_loss=1.0,
        lessons=lessons,
        base_id=BASE_ID,
        base_revision=None,
        device=DEVICE,
        seed=1,
        torch_version="0",
    )


class World:
    """What an author and the machine may do, one method each, and what must never be seen to happen."""

    puppet = Puppet()

    def __init__(self) -> None:
        self.clock = HandClock()
        self.mail: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.store = MemoryStore(self)
        self.told: list[events.Event] = []
        self.stuck = 0
        self.own = False
        self.wrong: list[str] = []
        self.text: Text | None = None  # of the newest good save
        self.cancelled = self.ended_badly = self.closing = False
        self.may_commit = True
        self.late_mail = False
        self.supervisor = Supervisor(learner=lambda: SteppingLearner(self), settings=SETTINGS, clock=self.clock)
        self.queue = self.supervisor._queue
        self.worker: LockstepWorker = self.queue.worker  # type: ignore[assignment]
        self.supervisor.subscribe(self._hear)
        self.supervisor.start(self)  # type: ignore[arg-type]  # all it needs of a loop is the next method
        self.record = self.queue.records.of(PATH)
        self.record.store = self.store  # type: ignore[assignment]
        self.record.status = DocumentStatus(PATH, dlm_id=self.store.dlm_id)

    def call_soon_threadsafe(self, callback: Callable[..., None], *arguments: object) -> None:
        self.mail.append((callback, arguments))

    def close(self) -> None:
        self.call_soon_threadsafe = lambda *_: None  # type: ignore[method-assign]  # nobody hears the end of it
        while self.puppet.at:
            self.puppet.resume(AbandonedError())

    # -- what may happen

    def do(self, action: str) -> None:
        getattr(self, action)()
        if self.late_mail and action != "race":
            self.late_mail = False
            self.deliver()

    def new(self) -> None:
        body, seed, rank = self.text or (0, 0, 0)
        self._save((2 if body == 1 else 1, seed, rank))

    def config(self) -> None:
        body, seed, rank = self.text or (0, 0, 0)
        self._save((body, 1 - seed, rank))

    def shape(self) -> None:
        body, seed, rank = self.text or (0, 0, 0)
        self._save((body, seed, 1 - rank))

    def revert(self) -> None:
        self._save((0, 0, 0))

    def quick(self) -> None:
        """A save whose debounce does not pass yet."""
        body, seed, rank = self.text or (0, 0, 0)
        self._save((2 if body == 1 else 1, seed, rank), debounce=0)

    def broken(self) -> None:
        self.supervisor.saved(PATH, BROKEN)
        self.clock.advance(0.4)

    def time(self) -> None:
        self.clock.advance(0.6)

    def late(self) -> None:
        self.clock.advance(301)

    def cancel(self) -> None:
        before = self._commits()
        self.supervisor.cancel(PATH)
        self.cancelled, self.may_commit = True, before

    def lock(self) -> None:
        """Another process takes the store, or lets go of it."""
        if not self.puppet.at:
            self.store.locked = not self.store.locked

    def fail(self) -> None:
        """The run that goes on ends badly at its next boundary; its commit, because the lock was lost."""
        if self.puppet.at:
            lost = (
                StoreError("the lock was lost", "lock-lost")
                if self.puppet.at == "commit"
                else LearnerError("no", code="no")
            )
            self.puppet.resume(lost)
            self.deliver()

    def step(self) -> None:
        self._go_on()
        self.deliver()

    def race(self) -> None:
        """The worker goes on, and its events are still on their way when the next thing happens."""
        self._go_on()
        self.late_mail = True

    def shutdown(self) -> None:
        before = self._commits()
        closing = self.supervisor.shutdown(0)
        try:
            while True:
                closing.send(None)  # nothing in it waits for anything but the worker, which is asked at once
        except StopIteration:
            pass
        self.closing, self.may_commit = True, self.may_commit and before

    # -- how

    def deliver(self) -> None:
        while self.mail:
            callback, arguments = self.mail.popleft()
            callback(*arguments)

    def drain(self) -> None:
        """Whatever waits happens: the store is free, time passes, the worker works. Ends, or it is a loop."""
        self.store.locked = False
        self.deliver()
        for _ in range(40):
            if not (self.puppet.at or self.mail or self.worker.jobs or self.record.busy):
                return
            self._go_on()
            self.deliver()
            self.clock.advance(0.6)
        raise AssertionError(f"it does not come to rest: {self.key()}")

    def _save(self, text: Text, debounce: float = 0.4) -> None:
        self.text = text
        # After a cancel a save asks for a run of its own, whatever becomes of the one that is being stopped.
        self.own = self.record.running is not None and (self.cancelled or self.own)
        if not self.closing:
            self.cancelled, self.ended_badly, self.may_commit = False, False, True
        self.supervisor.saved(PATH, written(text))
        self.clock.advance(debounce)

    def _go_on(self) -> None:
        if self.puppet.at:
            self.puppet.resume()
        elif self.worker.jobs:
            self.puppet.run(self.worker.jobs.popleft())

    def _commits(self) -> bool:
        """Whether a commit has begun, or its news are on their way: then a cancel comes too late."""
        news = (each for _, arguments in self.mail for each in arguments)
        return self.puppet.at == "commit" or any(isinstance(each, events.Finished) for each in news)

    def _hear(self, event: events.Event | None, status: DocumentStatus) -> None:
        if event is None:
            return
        self.told.append(event)
        if isinstance(event, events.Started):
            going_on = {each.run for each in self.told if isinstance(each, events.Started)}
            going_on -= {each.run for each in self.told if isinstance(each, events.TERMINAL)}
            self._must(going_on == {event.run}, f"two runs at once: {going_on}")
            # A run that the worker had when the author cancelled may still say that it begins.
            running = self.record.running
            stopped = running is not None and running.steering.stop.is_set()
            self._must(stopped or not (self.cancelled or self.closing), "a run began after the author's cancel")
            self._must(event.run == self.stuck or not self.ended_badly, "a run began by itself after an abnormal end")
        if isinstance(event, events.Finished):
            self._must(self.may_commit, "a run was committed after the author's cancel")
            self.may_commit = not self.cancelled
        if isinstance(event, events.Failed):
            self._must(
                event.code in ("lock-lost", "shape-changed", "no"), f"a failure that nobody made: {event.message}"
            )
        if isinstance(event, events.Stuck):
            self.stuck = event.run
        if isinstance(event, events.Failed | events.Stuck) and not self.record.debouncer.pending and not self.own:
            self.ended_badly = True

    def _must(self, holds: bool, what: str) -> None:
        """A listener's exception goes to the log alone, so what it finds is kept."""
        if not holds:
            self.wrong.append(what)

    # -- what must hold

    def check_rest(self) -> None:
        """After everything came to rest: each run has one end, and the author knows what became of the text."""
        assert not self.wrong, self.wrong[0]
        ends: dict[int, int] = {}
        for event in self.told:
            assert not ends.get(event.run) or isinstance(event, events.TERMINAL), (
                f"run {event.run} went on after its end"
            )
            ends[event.run] = ends.get(event.run, 0) + isinstance(event, events.TERMINAL)
        held = self.record.status.run
        waits = {held.run} if held is not None and held.detail == HELD else set()
        assert all(count == 1 for run, count in ends.items() if run not in waits), f"ends of runs: {ends}"
        if self.text is None or self._learned():
            return
        assert self.cancelled or self.closing or waits or self._told_why(), "the last good text was dropped in silence"

    def _learned(self) -> bool:
        taken = snapshot_of(parsed(written(self.text or (0, 0, 0))))
        known, prints = self.store.known, taken.fingerprints
        entries = [known.lessons.get(each.identity) for each in taken.lessons]
        lessons = all(entry is not None and entry.learned for entry in entries)
        return lessons and (known.shape, known.config) == (prints.shape, prints.config)

    def _told_why(self) -> bool:
        last, note = self.record.status.last, self.record.status.note
        if last is not None and last.outcome == "failed":
            return True
        skipped = last.message if last is not None else ""
        return "not trained" in note or "from the next cycle" in skipped or "only partly learned" in skipped

    def key(self) -> tuple[Any, ...]:
        """All that decides what can still happen; numbers of runs and versions do not."""
        record, now = self.record, self.clock.seconds
        pending, running, status = record.pending, record.running, record.status
        timers = sorted(
            round(at - now, 3) for at, _, timer in self.clock._timers if not timer.cancelled and at < now + 400
        )
        known = self.store.known
        return (
            self.text,
            (self.cancelled, self.ended_badly, self.closing, self.may_commit, self.late_mail, self.own),
            pending
            and (
                (pending.kind, pending.document.text, pending.unfinished, pending.ready),
                (pending.offered, pending.restart, pending.held, len(record.idle)),
            ),
            running and _steered(running),
            (self.puppet.at, len(self.worker.jobs), self.worker.stopped),
            tuple((type(each).__name__, getattr(each, "name", "")) for _, args in self.mail for each in args),
            (record.broken, record.restarts, record.debouncer.pending, record.lock_timer is not None),
            (status.stage, status.note, status.run and status.run.detail, status.last and status.last.code),
            status.last and status.last.outcome,
            (sorted(known.lessons), [each.learned for each in known.lessons.values()].count(True)).__repr__(),
            (known.shape, known.config, self.store.locked, record.document and record.document.trainable),
            tuple(timers),
        )


def _steered(running: records.Running) -> tuple[Any, ...]:
    steering, early = running.steering, running.early
    texts_of = (steering._learns, steering._offered, steering._handed)
    return (
        *(each and each.text for each in texts_of),
        (steering._finish, steering._finishing, steering.stop.is_set()),
        (early.asked, early.settled, early.stuck, running.request.unfinished, running.request.document.text),
    )


SETTINGS = RunSettings(warm_on_open=False)
BROKEN = frontmatter("training:\n  lora_r: [\n") + FERRY


@lru_cache
def written(text: Text) -> str:
    body, seed, rank = text
    return frontmatter(f"training:\n  seed: {(42, 7)[seed]}\n  lora_r: {(8, 16)[rank]}\n") + BODIES[body]


@lru_cache
def parsed(content: str) -> Document:
    return snapshot.read(content, PATH)


_taken: dict[int, snapshot.Snapshot] = {}


def snapshot_of(document: Document) -> snapshot.Snapshot:
    """Documents are the cached ones, so that each has one snapshot."""
    if id(document) not in _taken:
        _taken[id(document)] = snapshot.take(PATH, document)
    return _taken[id(document)]


def without_a_disk(patch: pytest.MonkeyPatch) -> None:
    """The stand-ins take their places, and a text is read once for all worlds."""

    async def at_once(job: Callable[..., Any], *arguments: Any) -> Any:
        return job(*arguments)

    logging.disable(logging.CRITICAL)
    patch.setattr(queue, "Worker", LockstepWorker)
    patch.setattr(queue.asyncio, "to_thread", at_once)
    patch.setattr(records, "read", lambda content, path, before: parsed(content))
    patch.setattr(run, "take", lambda path, document: snapshot_of(document))
    patch.setattr(texts, "take", lambda path, document: snapshot_of(document))
