"""The two kinds of learner against each other: in the server's process, and in one of its own.

Both take turns, each time with a new server. A hover is asked for every ten milliseconds beside whatever goes on,
and belongs to the phase that the server's status named last. The rate is written so low that nothing is ever
"learned": a run takes exactly its cap of steps. Both compute with one thread, unless DLM_THREADS says otherwise:
what the measurement of a busy moment would choose is no difference between them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.client import Client
from benchmarks.documents import document, exchange
from benchmarks.figures import percentile, spread, table
from benchmarks.server_latency import hovers

_MODES = ("thread", "process")
_STEADY = "training:\n  learning_rate: 1.0e-7\n"
_PHASES = ("idle", "import", "load", "tokenise", "train", "write")
_STEPS = 100
_SHORT = 3  # saves of one step in each round


@dataclass
class Figures:
    """Of one kind of learner. Times in seconds, hovers in milliseconds, memory in megabytes: (server, learner)."""

    hovers: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    first_step: list[float] = field(default_factory=list)  # of the first save after the start
    first_save: list[float] = field(default_factory=list)
    save: list[float] = field(default_factory=list)  # of one step, warm
    long_save: list[float] = field(default_factory=list)  # of `_STEPS`, warm
    cpu_first: list[float] = field(default_factory=list)  # processor time, of both processes
    cpu_save: list[float] = field(default_factory=list)
    cpu_step: list[float] = field(default_factory=list)
    warm: list[tuple[float, float]] = field(default_factory=list)
    released: list[tuple[float, float]] = field(default_factory=list)

    @property
    def step(self) -> list[float]:
        """Seconds per step, of each round."""
        short = statistics.median(self.save)
        return [(seconds - short) / (_STEPS - 1) for seconds in self.long_save]


class Desk:
    """One server, one document that grows by a section with every save."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self.path = folder / "notes.dlm"
        self.server = psutil.Process(client.process.pid)
        self._text = document(20, seed=1, settings=_STEADY)
        self._chance = random.Random(9)

    def configure(self, **settings: object) -> None:
        self.client.notify("workspace/didChangeConfiguration", {"settings": {"dlm": {"warmOnOpen": False, **settings}}})

    def open(self) -> None:
        self.client.open(self.path, self._text)

    async def save(self) -> float:
        """Seconds from the save of one more section to its version."""
        self._text += exchange(self._chance)
        began = time.perf_counter()
        await self.client.save(self.path, self._text)
        return time.perf_counter() - began

    async def save_and_hover(self, figures: Figures) -> float:
        saving = asyncio.create_task(self.save())
        for phase, values in (await hovers(self.client, self.path, saving, 0)).items():  # type: ignore[arg-type]
            figures.hovers[phase].extend(values)
        return await saving

    async def first_step(self, since: float) -> float:
        """Seconds from `since` to the first step that is told."""
        seen = len(self.client.news)
        while True:
            for method, params in self.client.news[seen:]:
                if method == "dlm/trainingStatus" and (params.get("run") or {}).get("step"):
                    return time.perf_counter() - since
            seen = len(self.client.news)
            await asyncio.sleep(0.005)

    def memory(self) -> tuple[float, float]:
        """Resident megabytes of the server and of what it has started."""
        learners = [each.memory_info().rss for each in self.server.children()]
        return self.server.memory_info().rss / 1e6, sum(learners) / 1e6

    def processor(self) -> float:
        """Seconds of processor time, both."""
        return float(sum(sum(each.cpu_times()[:2]) for each in (self.server, *self.server.children())))


async def measure(mode: str, folder: Path, figures: Figures, idle: int) -> None:
    client = await Client.start(folder / "home")
    await client.initialize(learner=mode, maxSteps=_STEPS)
    desk = Desk(client, folder)
    desk.open()
    figures.hovers["idle"] += (await hovers(client, desk.path, None, idle))["idle"]
    before = desk.processor()
    first = asyncio.create_task(desk.first_step(time.perf_counter()))
    figures.first_save.append(await desk.save_and_hover(figures))
    figures.cpu_first.append(desk.processor() - before)
    figures.first_step.append(await first)

    base = {"learner": mode, "debounceMs": 0}
    desk.configure(**base, maxSteps=1)
    for _ in range(_SHORT):
        before = desk.processor()
        figures.save.append(await desk.save())
        figures.cpu_save.append(desk.processor() - before)
    for _ in range(_SHORT):
        await desk.save_and_hover(figures)  # for the phases that are short
    desk.configure(**base, maxSteps=_STEPS)
    before = desk.processor()
    figures.long_save.append(await desk.save())
    figures.cpu_step.append((desk.processor() - before) / _STEPS)
    figures.warm.append(desk.memory())

    desk.configure(**base, maxSteps=1, keepWarmMinutes=0)
    await desk.save()
    while not _cold(client):
        await client.hover(desk.path, 0)
    figures.released.append(desk.memory())
    await client.stop()


def _cold(client: Client) -> bool:
    told = [params for method, params in client.news if method == "dlm/trainingStatus"]
    return bool(told) and told[-1]["state"] == "idle" and not told[-1]["warm"]


def show(found: dict[str, Figures]) -> None:
    rows = []
    for phase in _PHASES:
        for mode in _MODES:
            values = found[mode].hovers[phase]
            if values:
                shares = [f"{percentile(values, share):.1f}" for share in (0.5, 0.95, 0.99, 1.0)]
                rows.append([phase, mode, str(len(values)), *shares])
    print(table(["hover while", "learner", "hovers", "p50 ms", "p95", "p99", "max"], rows), "\n")

    thread, process = (found[mode] for mode in _MODES)
    rows = []
    for what, name in [
        ("first save → first step", "first_step"),
        (f"first save → version, {_STEPS} steps", "first_save"),
        ("warm save → version, 1 step", "save"),
        (f"warm save → version, {_STEPS} steps", "long_save"),
        ("a step", "step"),
        (f"first save, {_STEPS} steps and hovers: processor time", "cpu_first"),
        ("warm save, 1 step: processor time", "cpu_save"),
        (f"a step of {_STEPS}: processor time", "cpu_step"),
    ]:
        one, two = getattr(thread, name), getattr(process, name)
        ratio = statistics.median(two) / statistics.median(one)
        rows.append([what, spread(one), spread(two), f"{ratio:.2f}"])
    print(table(["what", "thread", "process", "process ÷ thread (medians)"], rows), "\n")

    rows = []
    for what, name in [("warm, after the runs", "warm"), ("released", "released")]:
        cells = []
        for each in (thread, process):
            server, learner = (statistics.median(part) for part in zip(*getattr(each, name), strict=True))
            cells.append(f"{server:.0f}" + (f" + {learner:.0f}" if learner else ""))
        rows.append([what, *cells])
    print(table(["resident MB: server + learner", "thread", "process"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hovers", type=int, default=300, help="while idle, in each round")
    options = parser.parse_args()
    found = {mode: Figures() for mode in _MODES}
    os.environ.setdefault("DLM_THREADS", "1")
    for number in range(options.rounds):
        for mode in _MODES if number % 2 == 0 else reversed(_MODES):
            with tempfile.TemporaryDirectory() as place:
                asyncio.run(measure(mode, Path(place).resolve(), found[mode], options.hovers))
    print(
        f"{options.rounds} rounds, load of the machine at the end {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n"
    )
    show(found)


if __name__ == "__main__":
    main()
