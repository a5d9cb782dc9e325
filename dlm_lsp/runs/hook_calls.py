"""Calls the hooks of one document at the step boundaries of its runs, each in its time; nothing of it fails a run."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from dlm_lsp.document import Document, Lesson, Problem, Severity
from dlm_lsp.runs import events, hooks
from dlm_lsp.runs.hook_thread import Call, HookThread
from dlm_lsp.runs.hooks import HookOverrunError, Hooks, HooksBrokenError, HooksFile
from dlm_lsp.runs.reload import Change, difference
from dlm_lsp.training.protocol import GenerateRequest, Learned, Learner, SessionRequest, Unwatched

log = logging.getLogger(__name__)

# Seconds that a hook may take before it is stopped; a step waits for `on_step`, and the end of a run for the others.
BUDGETS: Mapping[str, float] = MappingProxyType({"on_step": 2.0, "on_absorb": 2.0})
BUDGET = 30.0
IMPORT_BUDGET = 10.0
# From how many seconds on a hook is named as slow.
SLOW = 0.1
MOST_TOKENS = 256

Emit = Callable[[events.Event], None]


@dataclass(frozen=True, slots=True)
class Offer:
    """A newer file, and the saved text of the document that it was read beside."""

    file: HooksFile
    beside: Document


@dataclass(frozen=True, slots=True)
class Measured:
    """What the run measured of one lesson. `loss` in nats per token; `learned` False as well where it was not to learn.

    `exact`: whether the answer is word for word; None where that was not looked at.
    """

    prompt: str
    loss: float | None
    learned: bool
    exact: bool | None


class RunHooks(Protocol):
    """What a run knows of hooks: it lets each event pass through them, and tells what was committed."""

    def on(self, event: events.Event) -> None: ...

    def committed(
        self, learner: Learner, session: SessionRequest, learned: Learned, lessons: tuple[Lesson, ...]
    ) -> None:
        """A version was committed, of which `session` is the continuation."""


class NoHooks:
    """Of a run without hooks."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def on(self, event: events.Event) -> None:
        self._emit(event)

    def committed(
        self, learner: Learner, session: SessionRequest, learned: Learned, lessons: tuple[Lesson, ...]
    ) -> None:
        """Nobody is told."""


class DocumentHooks:
    """The hooks of one document, and their `state`, from run to run. The loop offers files, the worker takes them."""

    def __init__(self, document: Path) -> None:
        self.path = hooks.hooks_path(document)
        self.loaded = Hooks(HooksFile(self.path))
        self.state: dict[str, Any] = {}
        self.thread = HookThread()
        self.forgotten = False
        self._lock = threading.Lock()
        self._offered: Offer | None = None

    def offer(self, offer: Offer | None) -> None:
        """The newest file, to be swapped in at the next step boundary; None takes an offer back."""
        with self._lock:
            self._offered = offer

    def take(self) -> Offer | None:
        if self._offered is None:  # without the lock: nearly always, and seen a step later otherwise
            return None
        with self._lock:
            offered, self._offered = self._offered, None
            return offered

    def forget(self) -> None:
        """Nobody needs it any more; a run that goes on calls no hook any more."""
        self.forgotten = True
        self.loaded.forget()
        self.thread.end()


class CalledHooks:
    """The hooks of a document during one run, on the worker's thread.

    `emit` tells what passed through them; `learns` says which text the run learns.
    """

    def __init__(
        self, document: DocumentHooks, emit: Emit, learns: Callable[[], Document], stopped: Callable[[], bool]
    ) -> None:
        self._of = document
        self._emit = emit
        self._learns = learns
        self._stopped = stopped
        self._begun = False
        self._slow: set[str] = set()
        self._problems: dict[str, Problem] = {}  # by hook
        self._committed: tuple[Learner, SessionRequest, Learned, tuple[Lesson, ...]] | None = None

    def on(self, event: events.Event) -> None:
        """Tells `event`, and calls the hook for it: before the end of a run is told, and after all else is."""
        ends = isinstance(event, events.TERMINAL)
        if not ends:
            self._emit(event)
        try:
            self._on(event)
        except Exception:  # whatever it is, a run does not fail of its hooks
            log.exception("the hooks of %s could not be called", event.document.name)
        if ends:
            self._emit(event)

    def committed(
        self, learner: Learner, session: SessionRequest, learned: Learned, lessons: tuple[Lesson, ...]
    ) -> None:
        self._committed = (learner, session, learned, lessons)

    def _on(self, event: events.Event) -> None:
        if self._of.forgotten:
            return
        if isinstance(event, events.Started):
            self._begun = True
            self._begin(event)
            self._call(event, "on_start", event.kind, event.fresh, event.known)
        elif not self._begun:
            return
        elif isinstance(event, events.Step):
            self._swap(event)
            if "on_step" in self._of.loaded.functions:
                self._call(event, "on_step", event.step, event.loss, event.learning_rate)
        elif isinstance(event, events.Absorbed):
            self._call(event, "on_absorb", event.added, event.removed)
        elif isinstance(event, events.Finished):
            self._checkpoint(event)
            self._call(event, "on_finish", event.version, event.message)
        elif isinstance(event, events.Failed):
            self._call(event, "on_fail", event.code, event.message)
        elif isinstance(event, events.Cancelled):
            self._call(event, "on_fail", "cancelled", event.detail or "the run was cancelled")

    # -- loading

    def _begin(self, event: events.Event) -> None:
        """What lies there now is what the run begins with."""
        self._of.offer(None)
        try:
            file = hooks.read(self._of.path)
        except HooksBrokenError as broken:
            self._broken(event, broken.problem)
            return
        if file.digest != self._of.loaded.file.digest and not self._install(file, event):
            return
        self._tell(event)

    def _swap(self, event: events.Event) -> None:
        """At a step boundary: the newest file takes over, if it can be loaded and is for what the run trains."""
        offer = self._of.take()
        if offer is None:
            return
        if offer.file.digest == self._of.loaded.file.digest:
            self._tell(event)  # something else was tried meanwhile
            return
        if difference(self._learns(), offer.beside, event.document).change in (Change.CONFIG, Change.SHAPE):
            log.info("hooks are not swapped: the configuration they were saved with begins with the next run")
            return
        self._emit(_event(events.Swapping, event, hooks=offer.file.short))
        if self._install(offer.file, event):
            self._emit(_event(events.Swapped, event, hooks=offer.file.short))
            self._tell(event)

    def _install(self, file: HooksFile, event: events.Event) -> bool:
        """Imports `file` first, and only then lets it take the place of the old one."""
        if self._of.thread.busy:
            self._broken(event, self._still_busy(file))
            return False
        call = self._of.thread.call(lambda _: hooks.load(file, self._of.state), IMPORT_BUDGET, self._stopped)
        if call is None or call.error is not None:
            error = call.error if call is not None else None
            if isinstance(error, HooksBrokenError):
                problem = error.problem
            else:
                line = hooks.problem_of(error or HookOverrunError(), file).range
                problem = Problem(hooks.IMPORT, Severity.ERROR, f"importing took more than {IMPORT_BUDGET:g} s", line)
            self._broken(event, problem)
            return False
        assert isinstance(call.value, Hooks)
        before, self._of.loaded = self._of.loaded, call.value
        before.forget()
        self._problems.clear()
        self._slow.clear()
        return True

    def _broken(self, event: events.Event, problem: Problem) -> None:
        """The old hooks go on."""
        log.info("%s was not loaded: line %d: %s", self._of.path, problem.range.start.line + 1, problem.message)
        self._emit(_event(events.HooksTold, event, problems=(problem,)))

    def _still_busy(self, file: HooksFile) -> Problem:
        text = (
            "a hook of before does not come to its end, so no other can be called; restart the server to be rid of it"
        )
        return Problem(hooks.SLOW, Severity.WARNING, text, hooks.problem_of(HookOverrunError(), file).range)

    # -- calling

    def _call(self, event: events.Event, name: str, *values: object) -> None:
        function = self._of.loaded.functions.get(name)
        if function is not None:
            self._called(event, name, lambda _: function(*values))

    def _called(self, event: events.Event, name: str, job: Callable[[Call], object]) -> None:
        file, function = self._of.loaded.file, self._of.loaded.functions[name]
        if self._of.thread.busy:
            return  # told when it began to be
        budget = BUDGETS.get(name, BUDGET)
        began = time.monotonic()
        call = self._of.thread.call(job, budget, self._stopped)
        took = time.monotonic() - began
        if call is None or isinstance(call.error, HookOverrunError):
            line = hooks.problem_of(call.error, file).range if call and call.error else hooks.place_of(function, file)
            ended = "it was stopped" if call is not None else "training goes on without hooks until it returns"
            text = f"{name} took more than {took:.1f} s: {ended}"
            self._trouble(event, name, Problem(hooks.SLOW, Severity.WARNING, text, line))
            self._name_slow(event, name, f"hook {name} took more than {took:.1f} s")
            return
        if call.error is not None:
            problem = hooks.problem_of(call.error, file, hooks.ERROR, hook=name)
            if self._problems.get(name) != problem:
                log.warning(
                    "a hook failed: %s line %d: %s", file.path.name, problem.range.start.line + 1, problem.message
                )
            self._trouble(event, name, problem)
        if took > SLOW:
            self._name_slow(event, name, f"hook {name} takes {took:.1f} s")

    def _trouble(self, event: events.Event, name: str, problem: Problem) -> None:
        if self._problems.get(name) != problem:
            self._problems[name] = problem
            self._tell(event)

    def _name_slow(self, event: events.Event, name: str, text: str) -> None:
        if name not in self._slow:
            self._slow.add(name)
            log.info("%s of %s", text, self._of.path.name)
            self._emit(_event(events.HooksSaid, event, detail=text))

    def _tell(self, event: events.Event) -> None:
        """All that is wrong with the hooks that are loaded."""
        self._emit(_event(events.HooksTold, event, problems=(*self._of.loaded.doubts, *self._problems.values())))

    # -- a committed version

    def _checkpoint(self, event: events.Finished) -> None:
        function = self._of.loaded.functions.get("on_checkpoint")
        if function is None or self._committed is None:
            return
        learner, session, learned, lessons = self._committed

        def evaluate() -> tuple[Measured, ...]:
            return _measured(learned, lessons)

        def job(call: Call) -> object:
            def ask(prompt: str, max_new_tokens: int = 64) -> str:
                if not isinstance(prompt, str) or not prompt.strip():
                    raise ValueError("ask something: prompt is a text")
                tokens = max(1, min(int(max_new_tokens), MOST_TOKENS))
                request = GenerateRequest(session, prompt, max_new_tokens=tokens)
                said: str = call.on_worker(lambda: "".join(learner.generate(request, _While(call, self._stopped))))
                return said

            return function(event.version, evaluate, ask)

        self._called(event, "on_checkpoint", job)


class _While(Unwatched):
    """An answer for a hook: it ends with the run's stop."""

    def __init__(self, call: Call, stopped: Callable[[], bool]) -> None:
        super().__init__()
        self._call, self._stopped = call, stopped

    def stop_requested(self) -> bool:
        return self._call.late or self._stopped()


def _measured(learned: Learned, lessons: tuple[Lesson, ...]) -> tuple[Measured, ...]:
    """Of every lesson of the document that the run trained or looked at, in the document's order."""
    results = {each.identity: each for each in (*learned.rehearsed, *learned.lessons)}
    scores = {each.identity: each for each in learned.scores}
    found = []
    for lesson in lessons:
        result, score = results.get(lesson.identity), scores.get(lesson.identity)
        if result is None and score is None:
            continue
        loss = score.loss if score is not None else result.loss_after if result is not None else None
        exact = score.exact if score is not None else None
        found.append(Measured(lesson.prompt or lesson.answer, loss, result is not None and result.learned, exact))
    return tuple(found)


def _event(kind: type[events.Event], event: events.Event, **fields: Any) -> events.Event:
    """Of the same run and moment."""
    return kind(document=event.document, run=event.run, at=event.at, **fields)
