"""A supervisor with the real learner and a document that grows: what every measure of a save in one process needs."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.documents import document, exchange
from dlm_lsp.runs.events import Event, Failed, Finished
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.training import learner as learning
from dlm_lsp.training.rows import Row
from dlm_lsp.training.session import Session

SLOW = "training:\n  learning_rate: 1.0e-7\n  precision: fp32\n"
"""A rate at which nothing is ever learned, so that a run takes its cap of steps, in one precision everywhere."""


class Took(NamedTuple):
    """Seconds on the clock, and of processor time."""

    clock: float
    processor: float

    @classmethod
    def since(cls, began: Took) -> Took:
        return cls(time.perf_counter() - began.clock, time.process_time() - began.processor)

    @classmethod
    def now(cls) -> Took:
        return cls(time.perf_counter(), time.process_time())


@dataclass(frozen=True, slots=True)
class Save:
    """What it took from a save to its committed version, and how many seconds of it were spent in optimizer steps."""

    took: Took
    steps: float

    @property
    def seconds(self) -> float:
        return self.took.clock


class Desk:
    """One document of `size` exchanges under `folder`; each save adds one section to it.

    Once they are recorded, `rows` are those of each step of the last save, `threads` those that it computed with.
    """

    def __init__(self, folder: Path, size: int = 20, base: str = "builtin:tiny") -> None:
        self.path = folder / "notes.dlm"
        self._home = folder / "home"
        self._text = document(size, seed=1, settings=SLOW, base=base)
        self._chance = random.Random(2)
        self._last: Event | None = None
        self._in_steps = 0.0
        self.rows: list[list[Row]] = []
        self.threads = 1
        self.learner = learning.create()
        self.supervisor = Supervisor(learner=lambda: self.learner, settings=self._settings(1))
        self.supervisor.subscribe(self._hear)

    async def save(self, steps: int) -> Save:
        """Saves one more section, and trains `steps` steps; the debounce is not waited for."""
        self._text += exchange(self._chance)
        self.path.write_text(self._text, encoding="utf-8")
        self.supervisor.configure(self._settings(steps))
        self._in_steps = 0.0
        self.rows.clear()
        began = Took.now()
        self.supervisor.saved(self.path, self._text)
        await self.supervisor.wait_for_idle(self.path)
        took = Took.since(began)
        if isinstance(self._last, Failed):
            raise SystemExit(self._last.message)
        assert isinstance(self._last, Finished)
        assert self._last.learned.steps == steps
        return Save(took, self._in_steps)

    def time_steps(self) -> None:
        """From here on the learner's time in optimizer steps is taken; it must have been at work once."""
        from dlm_lsp.training.stepping import Stepper

        step = Stepper.step

        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return step(*arguments, **named)
            finally:
                self._in_steps += time.perf_counter() - began

        Stepper.step = timed  # type: ignore[method-assign]

    def record_rows(self) -> None:
        """From here on the rows of every step are kept."""
        take = Session.step

        def step(session: Session, rows: Sequence[Row], *arguments: Any) -> Any:
            self.rows.append(list(rows))
            self.threads = session.threads
            return take(session, rows, *arguments)

        Session.step = step  # type: ignore[method-assign, assignment]

    def _settings(self, steps: int) -> RunSettings:
        return RunSettings(home=self._home, debounce_ms=0, max_steps=steps, warm_on_open=False)

    def _hear(self, event: Event | None, status: DocumentStatus) -> None:
        self._last = event or self._last
