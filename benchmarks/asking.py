"""Asking while a run goes on: how soon the first word comes, and what changing the version costs.

A run that learns nothing (its rate is written too low) goes on underneath; questions are put to the supervisor one
after the other, each as soon as the one before is answered and two more steps are done.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.documents import document, exchange
from benchmarks.figures import percentile, table
from dlm_lsp.runs.events import Event, Step
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.training.choice import LEARNERS
from dlm_lsp.training.protocol import LearnerMode

_STEADY = "training:\n  learning_rate: 1.0e-7\n"
_SECTIONS = 20


class Desk:
    """A document with two versions, and the moments of the steps of its run."""

    def __init__(self, folder: Path, mode: LearnerMode) -> None:
        self.path = folder / "notes.dlm"
        self.settings = RunSettings(
            home=folder / "home", debounce_ms=0, max_steps=2, warm_on_open=False, learner=mode, keep_versions=50
        )
        self.supervisor = Supervisor(learner=LEARNERS, settings=self.settings)
        self.steps: list[float] = []
        self._step = asyncio.Event()
        self.supervisor.subscribe(self._hear)
        self.supervisor.start(asyncio.get_running_loop())

    def _hear(self, event: Event | None, status: DocumentStatus) -> None:
        if isinstance(event, Step):
            self.steps.append(time.perf_counter())
            self._step.set()

    def save(self, text: str, *, steps: int) -> None:
        settings = RunSettings(
            home=self.settings.home, debounce_ms=0, max_steps=steps, warm_on_open=False, learner=self.settings.learner
        )
        self.supervisor.configure(settings)
        self.path.write_text(text, encoding="utf-8")
        self.supervisor.saved(self.path, text)

    async def more(self, steps: int) -> None:
        """Waits until the run has taken so many more steps."""
        until = len(self.steps) + steps
        while len(self.steps) < until:
            self._step.clear()
            await self._step.wait()

    async def first_word(self, version: int | None) -> tuple[float, float]:
        """Seconds to the first piece, and to the end."""
        began = time.perf_counter()
        answer = self.supervisor.ask(self.path, "Who keeps the lighthouse?", version=version, max_new_tokens=16)
        await answer.started()
        first = time.perf_counter() - began
        await answer.text()
        return first, time.perf_counter() - began


async def measure(folder: Path, mode: LearnerMode, count: int) -> list[str]:
    """One row of the table."""
    desk, chance = Desk(folder, mode), random.Random(3)
    text = document(_SECTIONS, 1, _STEADY)
    for _ in range(2):
        desk.save(text, steps=2)
        await desk.supervisor.wait_for_idle()
        text += exchange(chance)
    idle = [(await desk.first_word(1 + number % 2))[0] for number in range(count)]

    desk.save(text, steps=100_000)
    await desk.more(3)
    before = len(desk.steps)
    await desk.more(20)
    pure = [later - sooner for sooner, later in zip(desk.steps[before:], desk.steps[before + 1 :], strict=False)]
    first = []
    for number in range(count):
        await desk.more(2)
        first.append((await desk.first_word(1 + number % 2))[0])
    desk.supervisor.cancel()
    await desk.supervisor.wait_for_idle()
    await desk.supervisor.shutdown(20)
    step = statistics.median(pure)
    beyond = [1000 * (each - step) for each in first]
    return [
        mode,
        f"{1000 * step:.0f} ms",
        f"{1000 * statistics.median(first):.0f} ms",
        f"{1000 * percentile(first, 0.95):.0f} ms",
        f"{percentile(beyond, 0.95):.0f} ms",
        f"{max(beyond):.0f} ms",
        f"{1000 * statistics.median(idle):.0f} ms",
    ]


def switches(folder: Path, count: int) -> list[str]:
    """How long it takes to give a warm model the weights of another version and its own ones back: a row."""
    from dlm_lsp.training.bases import resolve
    from dlm_lsp.training.learner import InProcessLearner
    from dlm_lsp.training.protocol import (
        AdapterShape,
        BaseRequest,
        LearnPlan,
        SessionRequest,
        TrainingSettings,
        Unwatched,
    )
    from dlm_lsp.training.speaking import Voices, speaking_as

    learner = InProcessLearner(resolve)
    base = BaseRequest("builtin:tiny", str(folder))
    session = SessionRequest("one", base, AdapterShape(), TrainingSettings(learning_rate=1e-3))
    from dlm_lsp.document import parse

    lessons = tuple(lesson for section in parse(document(3, 2)).sections for lesson in section.lessons)
    folders = []
    for number in range(2):
        learned = learner.learn(LearnPlan(session, "cycle", lessons, (), 2 + number), Unwatched())
        folders.append(folder / f"v000{number + 1}")
        folders[-1].mkdir()
        for name, data in learned.files.items():
            (folders[-1] / name).write_bytes(data)
    warm = learner._residents["one"].session
    voices = Voices()
    first: list[float] = []
    again: list[float] = []
    for number in range(count):
        began = time.perf_counter()
        with speaking_as(warm, voices.of(str(folders[number % 2]))):
            pass
        (first if number < 2 else again).append(1000 * (time.perf_counter() - began))
    learner.close()
    size = sum(each.numel() * each.element_size() for each in voices.of(str(folders[0])).tensors.values())
    return [
        f"{size >> 10} kB",
        f"{max(first):.1f} ms",
        f"{statistics.median(again):.2f} ms",
        f"{percentile(again, 0.99):.2f} ms",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=30)
    options = parser.parse_args()
    os.environ.setdefault("DLM_THREADS", "1")
    rows = []
    for mode in LEARNERS:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(asyncio.run(measure(Path(folder), mode, options.questions)))
    head = ("learner", "a step", "first word, p50", "p95", "beyond a step, p95", "beyond a step, most", "idle, p50")
    print(table(head, rows))
    with tempfile.TemporaryDirectory() as folder:
        kinds = ("adapter", "first change to a version", "again, p50", "again, p99")
        print("\n" + table(kinds, [switches(Path(folder), 400)]))
    print(f"\nload average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
