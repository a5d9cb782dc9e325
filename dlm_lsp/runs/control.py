"""What a run is asked for, and the learner's end of it: stop, questions and newer texts in, phases and steps out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlm_lsp.document import Document
from dlm_lsp.runs import events
from dlm_lsp.runs.clock import Clock
from dlm_lsp.runs.curves import Trace, sections_of
from dlm_lsp.runs.hook_calls import Emit, NoHooks, RunHooks
from dlm_lsp.runs.settings import OnShapeChange
from dlm_lsp.runs.snapshot import Snapshot
from dlm_lsp.runs.steering import Steering
from dlm_lsp.runs.texts import Text, Texts
from dlm_lsp.store import Store
from dlm_lsp.training.protocol import LearnPlan, PhaseName, Question, Revision, RunKind

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the supervisor hands to the worker. `unfinished`: continue lessons that a cap ended, too.

    `named`: ids of sections that are trained, learned before or not; with `named_only` nothing else is.
    `margin`: from what loss on the forgetting guard speaks, in nats per token; 0 for no guard.
    `lost`: the version that this store held when it was last seen, if it holds none any more.
    """

    run: int
    kind: RunKind
    path: Path
    document: Document
    store: Store
    max_steps: int
    keep_versions: int
    unfinished: bool = False
    on_shape_change: OnShapeChange = "ask"
    retrain_on_config: bool = False
    named: frozenset[str] = frozenset()
    named_only: bool = False
    margin: float = 0.0
    lost: int | None = None


class RunControl:
    """The learner's end of a run: carries the stop flag and questions in, and phases and steps out."""

    def __init__(
        self,
        request: RunRequest,
        steering: Steering,
        emit: Emit,
        clock: Clock,
        question: Callable[[str], Question | None] = lambda key: None,
        hooks: RunHooks | None = None,
    ) -> None:
        """`question` gives the next question for a step boundary of a run that trains the session of that key.

        Events pass through `hooks`, which have an emitter of their own; without hooks they go to `emit`.
        """
        self._request = request
        self._steering = steering
        self._clock = clock
        self._question = question
        self.hooks: RunHooks = hooks or NoHooks(emit)
        self.texts: Texts | None = None  # while it trains
        self.trace: Trace | None = None

    def stop_requested(self) -> bool:
        return self._steering.stop.is_set()

    def phase(self, name: PhaseName, detail: str = "", fraction: float | None = None) -> None:
        if self.trace is not None:
            self.trace.phase(name, self._clock.now())
        self.tell(events.Phase, name=name, detail=detail, fraction=fraction)

    def step(self, step: int, total: int, loss: float, learning_rate: float, tokens: int) -> None:
        if self.trace is not None:
            self.trace.step(step, loss, tokens, self._clock.now())
        self.tell(events.Step, step=step, total=total, loss=loss, learning_rate=learning_rate, tokens=tokens)

    def question(self) -> Question | None:
        return self._question(self._request.store.dlm_id)

    def revision(self) -> Revision | None:
        document = self._steering.next_text() if self.texts is not None else None
        return self._revision(self.texts, document) if self.texts is not None and document is not None else None

    def finish_requested(self) -> bool:
        return self._steering.finish_requested()

    def _revision(self, texts: Texts, document: Document) -> Revision | None:
        """The plan for `document`; None when the learner has nothing to do with it."""
        try:
            text = texts.next(document)
        except Exception:  # whatever it is: a run of its own will tell it
            log.exception("a newer text of %s could not be taken in", self._request.path)
            self._steering.took(self._steering.learns)
            return None
        if text.means_the_same:
            self._took(texts, text)
            return None
        if not text.plan.fresh:
            texts.gone = "what it was learning has left the document"
            self._steering.stop.set()
            return None
        return _Revision(text.plan, lambda: self._took(texts, text))

    def _took(self, texts: Texts, text: Text) -> None:
        added, removed = texts.take(text)
        self._steering.took(text.snapshot.document)
        if self.trace is not None:
            self.trace.learns(sections_of(text.snapshot.sections, text.plan.fresh))
        if text.snapshot.frontmatter.training.sources:
            self.tell_sources(text.snapshot)
        self.tell(events.Absorbed, text=text.snapshot.document, added=added, removed=removed)

    def tell_sources(self, snapshot: Snapshot) -> None:
        self.tell(events.SourcesRead, problems=snapshot.source_problems, lessons=snapshot.sourced_lessons)

    def tell(self, event: type[events.Event], /, **fields: Any) -> None:
        told = event(document=self._request.path, run=self._request.run, at=self._clock.now(), **fields)
        self.hooks.on(told)


@dataclass(frozen=True, slots=True)
class _Revision:
    """See `protocol.Revision`."""

    plan: LearnPlan
    taken: Callable[[], None]
