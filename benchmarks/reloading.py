"""How soon a save joins or restarts the run that is going on, or swaps its hooks: the real learner and base.

Told by the events of the supervisor, as what is sent to an editor is held back to four messages a second. The rate is
written so low that nothing is ever learned: there is always a run to join. The debounce is not counted (it is 0 here);
a step's own time comes from the same run. Run it with `python -m benchmarks.reloading`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import statistics
import tempfile
import time
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.documents import document, exchange
from benchmarks.figures import spread
from dlm_lsp.document import parse
from dlm_lsp.runs import events
from dlm_lsp.runs.clock import SystemClock
from dlm_lsp.runs.hook_calls import CalledHooks, DocumentHooks
from dlm_lsp.runs.hooks import hooks_path
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.steering import Steering
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.watching import FileWatch, Watching
from dlm_lsp.training.choice import LEARNERS

_RATES = ("1.0e-7", "1.1e-7")  # either is learned as little as the other
_HOOKS = "def on_step(step, loss, lr):\n    pass\n\n\n"
E = TypeVar("E", bound=events.Event)


class Run:
    """One document, and a run of it that goes on. Times in seconds."""

    def __init__(self, supervisor: Supervisor, path: Path) -> None:
        self.supervisor, self.path = supervisor, path
        self.sections, self.rate = "", _RATES[0]
        self.heard: list[tuple[float, events.Event]] = []
        self._number = 0
        self._chance = random.Random(5)
        self._news = asyncio.Event()
        supervisor.subscribe(self._hear)

    async def begin(self) -> None:
        self._save()
        await self._after(events.Step, lambda event: event.step >= 20)

    async def absorbed(self) -> float:
        """From a save with one more section to the first step with it."""
        self.sections += exchange(self._chance)
        began = self._save()
        await self._after(events.Absorbed)
        return await self._after(events.Step) - began

    async def restarted(self) -> float:
        """From a save with another rate to the first step with it; the version in between is committed."""
        self.rate = _RATES[1] if self.rate == _RATES[0] else _RATES[0]
        began = self._save()
        await self._after(events.Finished)
        return await self._after(events.Step) - began

    async def swapped(self) -> float:
        """From a save of the hooks file, seen by the server's own watch, to its swap."""
        self._number += 1
        self._since = len(self.heard)
        began = time.perf_counter()
        hooks_path(self.path).write_text(f"{_HOOKS}# {self._number}\n", encoding="utf-8")
        return await self._after(events.Swapped) - began

    def watch(self) -> Watching:
        """As the server does it for an editor that does not."""
        watching = Watching(self.supervisor, SystemClock(), lambda path: None)
        watching.install = FileWatch(watching.told).install
        watching.look(self.path)
        return watching

    def steps(self) -> list[float]:
        """What single steps take, of those that came one right after the other."""
        times = [at if isinstance(event, events.Step) else None for at, event in self.heard]
        return [b - a for a, b in itertools.pairwise(times) if a is not None and b is not None]

    def _save(self) -> float:
        head = document(20, seed=1, settings=f"training:\n  learning_rate: {self.rate}\n")
        self.path.write_text(head + self.sections, encoding="utf-8")
        self._since = len(self.heard)
        began = time.perf_counter()
        self.supervisor.saved(self.path, head + self.sections)
        return began

    async def _after(self, kind: type[E], holds: Callable[[E], bool] = lambda event: True) -> float:
        """When the next such event came, after those that were waited for already."""
        while True:
            for place in range(self._since, len(self.heard)):
                at, event = self.heard[place]
                if isinstance(event, kind) and holds(event):
                    self._since = place + 1
                    return at
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 60)

    def _hear(self, event: events.Event | None, status: DocumentStatus) -> None:
        if event is not None:
            self.heard.append((time.perf_counter(), event))
            self._news.set()


def polling() -> float:
    """Seconds that a step spends on asking whether anything is wanted of the run."""
    steering = Steering(parse("---\n---\n"))
    times = 100_000
    return timeit.timeit(lambda: (steering.next_text(), steering.finish_requested()), number=times) / times


def calling() -> tuple[float, float]:
    """Seconds that a step spends on hooks: without a function for steps in the file, and with one that does nothing."""
    spent = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name).resolve() / "notes.dlm"
        for text in ("", _HOOKS):
            hooks_path(path).write_text(text, encoding="utf-8")
            of = DocumentHooks(path)
            called = CalledHooks(of, lambda told: None, lambda: parse("---\n---\n"), lambda: False)
            called.on(events.Started(document=path, run=1, at=0.0, kind="cycle", fresh=1, known=0))
            step = events.Step(document=path, run=1, at=0.0, step=1, total=9, loss=1.0, learning_rate=0.1, tokens=9)
            times = 20_000
            spent.append(timeit.timeit(partial(called.on, step), number=times) / times)
            of.forget()
    return spent[0], spent[1]


async def main(rounds: int) -> None:
    for mode, create in LEARNERS.items():
        with tempfile.TemporaryDirectory() as name:
            home = Path(name) / "home"
            settings = RunSettings(home=home, max_steps=2000, debounce_ms=0, warm_on_open=False, hooks=True)
            supervisor = Supervisor(learner=create, settings=settings)
            supervisor.start(asyncio.get_running_loop())
            run = Run(supervisor, Path(name).resolve() / "notes.dlm")
            await run.begin()
            watching = run.watch()
            await asyncio.sleep(1)  # the watch stands
            swaps = [await run.swapped() for _ in range(rounds)]
            joined = [await run.absorbed() for _ in range(rounds)]
            restarts = [await run.restarted() for _ in range(max(2, rounds // 4))]
            watching.stop()
            watching.install(())
            await supervisor.shutdown(10)
        step = statistics.median(run.steps())
        print(f"{mode}: a step {step * 1000:.1f} ms")
        print(f"  save → first step on an absorbed row  {spread(joined)}")
        print(f"  save → first step after a restart     {spread(restarts)}")
        print(f"  hooks file saved → swapped            {spread(swaps)}")
    print(f"asking what is wanted: {polling() * 1e6:.2f} µs a step")
    without, empty = calling()
    print(f"hooks: {without * 1e6:.2f} µs a step, {empty * 1e6:.1f} µs with a function for steps")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    asyncio.run(main(parser.parse_args().rounds))
