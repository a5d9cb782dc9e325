"""What an editor feels, against the goals: a table of goal, figure and verdict; the exit code is 1 when one is missed.

Everything is measured from outside, on the server as installed, with the real learner. The goals are for a machine
with two cores of its own; a goal counts as missed when its figure is more than `MARGIN` times as much, because a
neighbour on the machine costs that much now and then. Exact goals (messages, popups, imports) have no margin.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.client import PATIENCE, SERVER, Client
from benchmarks.documents import document, exchange
from benchmarks.figures import percentile, table
from benchmarks.server_latency import memory, phase

MARGIN = 1.5
HEAVY = ("torch", "transformers", "peft")
STEADY = "training:\n  learning_rate: 1.0e-7\n"  # nothing is ever learned: a run takes all of its steps
HEARTBEAT = 0.02  # seconds between two hovers


@dataclass(frozen=True)
class Figure:
    """One line of the table: `measured` must not be above `goal`. `spread` says how it came about."""

    name: str
    goal: float
    measured: float
    unit: str
    spread: str = ""
    exact: bool = False

    @property
    def missed(self) -> bool:
        return self.measured > self.goal * (1 if self.exact else MARGIN)

    @property
    def verdict(self) -> str:
        if self.missed:
            return "MISSED"
        return "ok" if self.measured <= self.goal else "ok within the margin"


@dataclass(frozen=True)
class Place:
    """Where a measurement works: a folder, and how much is measured."""

    folder: Path
    count: int
    exits: int

    @property
    def home(self) -> Path:
        return self.folder / "home"


def of(name: str, goal: float, share: float, values: list[float], unit: str = "ms") -> Figure:
    """The figure of a percentile; `values` in seconds, shown in `unit`."""
    scale = {"ms": 1000.0, "s": 1.0}[unit]
    shown = [value * scale for value in values]
    spread = (
        f"p50 {percentile(shown, 0.5):.3g}, p99 {percentile(shown, 0.99):.3g}, max {max(shown):.3g}, n {len(shown)}"
    )
    return Figure(name, goal, percentile(shown, share), unit, spread)


def busy(client: Client) -> float:
    """Seconds of processor time of the server."""
    times = psutil.Process(client.process.pid).cpu_times()
    return float(times.user + times.system)


async def clocked(work: Awaitable[Any]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def heartbeat(client: Client, path: Path, busy_with: asyncio.Task[Any]) -> dict[str, list[float]]:
    """Seconds of each hover by the phase that the server told last, until the task is done."""
    found: dict[str, list[float]] = defaultdict(list)
    while not busy_with.done():
        during = phase(client)
        found[during].append(await clocked(client.hover(path, 1)))
        await asyncio.wait({busy_with}, timeout=HEARTBEAT)
    busy_with.result()
    return found


async def p1_start(place: Place) -> list[Figure]:
    seconds, megabytes = [], []
    for _ in range(21):
        began = time.perf_counter()
        client = await Client.start(place.home)
        await client.initialize()
        seconds.append(time.perf_counter() - began)
        megabytes.append(memory(client))
        await client.stop()
    log = place.folder / "imports.log"
    client = await Client.start(place.home, environment={"PYTHONPROFILEIMPORTTIME": "1"}, log=log)
    await client.initialize()
    await client.stop()
    modules = {line.rsplit("|", 1)[-1].strip() for line in log.read_text(errors="replace").splitlines()}
    return [
        of("P1 start to `initialize` answered, p95", 1.0, 0.95, seconds[1:], "s"),  # the first compiles modules
        Figure("P1 resident after it", 80, max(megabytes), "MB"),
        Figure("P1 heavy packages imported", 0, sum(name in modules for name in HEAVY), "", exact=True),
    ]


async def p2_save(place: Place) -> list[Figure]:
    """A hover sent right behind a save is answered after the save's handler: what it waits more is the handler."""
    path, text = place.folder / "p2.dlm", document(20, seed=1)
    client = await Client.start(place.home)
    await client.initialize(debounceMs=60_000, maxWaitMs=60_000)  # no run comes between
    client.open(path, text)
    idle = [await clocked(client.hover(path, 1)) for _ in range(100)]
    behind, seen = [], []
    for number in range(100):
        mark, began = len(client.news), time.perf_counter()
        client.did_save(path, text + exchange(random.Random(number)))
        behind.append(await clocked(client.hover(path, 1)) - statistics.median(idle))
        await client.until(partial(news_since, client, mark))
        seen.append(client.heard[mark][0] - began)
    await client.request("workspace/executeCommand", {"command": "dlm.cancel", "arguments": [path.as_uri()]})
    await client.idle(path)
    await client.stop()
    return [
        of("P2 `didSave` handled, p99", 5, 0.99, [max(each, 0.0) for each in behind]),
        of("P2 save to something visible, whatever the debounce, max", 300, 1.0, seen),
    ]


async def p3_idle(place: Place) -> list[Figure]:
    path, text = place.folder / "p3.dlm", document(400, seed=1)
    client = await Client.start(place.home)
    await client.initialize()
    client.open(path, text)
    document_of = {"textDocument": {"uri": path.as_uri()}}
    place_of = {"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 0}}
    asks: dict[str, Callable[[int], Awaitable[Any]]] = {
        "hover": lambda number: client.hover(path, 5 + number % 1900),
        "code lenses": lambda _: client.request("textDocument/codeLens", document_of),
        "code actions": lambda _: client.request(
            "textDocument/codeAction", {**document_of, "range": place_of, "context": {"diagnostics": []}}
        ),
    }
    figures = []
    await client.hover(path, 1)
    for name, ask in asks.items():
        waits = [await clocked(ask(number)) for number in range(place.count)]
        title = f"P3 {name}, document of {text.count(chr(10)):,} lines"
        figures += [of(f"{title}, p50", 5, 0.5, waits), of(f"{title}, p99", 30, 0.99, waits)]
    await client.stop()
    return figures


async def p4_p5_p8_training(place: Place) -> list[Figure]:
    """Two runs of 100 steps: the first imports and loads, the second is warm."""
    path, text, log = place.folder / "p4.dlm", document(20, seed=1, settings=STEADY), place.folder / "p4.log"
    client = await Client.start(place.home, log=log)
    await client.initialize()
    client.open(path, text)
    first = await heartbeat(client, path, asyncio.create_task(client.save(path, text)))
    mark, lines = len(client.news), len(log.read_text().splitlines())
    text += exchange(random.Random(9))
    warm = await heartbeat(client, path, asyncio.create_task(client.save(path, text)))
    told = list(zip(client.news[mark:], client.heard[mark:], strict=True))
    progress = [heard for (method, _), heard in told if method == "$/progress"]
    logged = len(log.read_text().splitlines()) - lines
    seconds = progress[-1][0] - progress[0][0]
    await client.stop()
    training = [*first["train"], *warm["train"]]
    steady = [wait for waits in warm.values() for wait in waits]
    return [
        of("P4 hover while training, p50", 25, 0.5, training),
        of("P4 hover while training, p99", 150, 0.99, training),
        of("P4 hover during the first import, p99", 250, 0.99, first["import"]),
        of("P5 lag of the loop in a warm run, max", 200, 1.0, steady),
        Figure(
            "P8 progress messages a second", 4, (len(progress) - 2) / seconds, "", f"{len(progress)} in {seconds:.1f} s"
        ),
        Figure("P8 longest of them", 1000, max(size for _, size in progress), "bytes", exact=True),
        Figure("P8 log lines of a run", 40, logged, "", exact=True),
    ]


async def p6_cancel(place: Place) -> list[Figure]:
    """Fifty cancels, each at a random step of a warm run that would take for ever."""
    path, chance = place.folder / "p6.dlm", random.Random(6)
    client = await Client.start(place.home)
    await client.initialize(maxSteps=100_000)
    text = document(4, seed=1, settings=STEADY)
    client.open(path, text)
    seconds, rates = [], []
    for _ in range(50):
        mark, upto = len(client.news), chance.randint(1, 40)
        client.did_save(path, text)
        await client.until(partial(reached, client, mark, upto))
        began = time.perf_counter()
        await client.request("workspace/executeCommand", {"command": "dlm.cancel", "arguments": [path.as_uri()]})
        await client.idle(path)
        seconds.append(time.perf_counter() - began)
        steps = steps_told(client, mark)
        (first, one), (last, another) = steps[0], steps[-1]
        if another > one:
            rates.append((last - first) / (another - one))
    await client.stop()
    step = statistics.median(rates)
    return [
        of("P6 cancel to the run's end, p95", 1.0, 0.95, seconds, "s"),
        Figure("P6 the same in steps, p95", 2, percentile(seconds, 0.95) / step, "steps", f"a step takes {step:.3f} s"),
    ]


def steps_told(client: Client, mark: int) -> list[tuple[float, int]]:
    """When which step was told, since news number `mark`."""
    found = zip(client.news[mark:], client.heard[mark:], strict=True)
    told = [(at, what) for (method, what), (at, _) in found if method == "dlm/trainingProgress"]
    return [(at, what["step"]) for at, what in told if what.get("step")]


def news_since(client: Client, mark: int) -> list[tuple[str, Any]]:
    return client.news[mark:]


def reached(client: Client, mark: int, step: int) -> bool:
    steps = steps_told(client, mark)
    return bool(steps) and steps[-1][1] >= step


async def p7_exit(place: Place) -> list[Figure]:
    """The real learner, ended at random instants of starting, importing, loading, training and writing."""
    chance = random.Random(7)
    ends: dict[str, list[float]] = defaultdict(list)
    children = 0
    for number in range(place.exits):
        folder = place.folder / f"exit-{number}"
        folder.mkdir()
        path, text = folder / "a.dlm", document(4, seed=number, settings=STEADY)
        wrapped = number % 3 == 2
        client = await Client.start(folder / "home", server=WRAPPER if wrapped else SERVER)
        await client.initialize(editor=client.process.pid if wrapped else None)
        process = psutil.Process(client.process.pid)
        server = process.children()[0] if wrapped else process
        client.open(path, text)
        client.did_save(path, text)
        await asyncio.wait({client.reader}, timeout=chance.uniform(0.0, 5.0))
        below = server.children(recursive=True)
        began = time.perf_counter()
        if wrapped:
            client.process.kill()
        elif number % 3:
            assert client.process.stdin is not None
            client.process.stdin.close()
        else:
            await client.request("shutdown", None)
            began = time.perf_counter()
            client.notify("exit", None)
        if wrapped:
            with suppress(psutil.NoSuchProcess):
                await asyncio.to_thread(server.wait, PATIENCE)
        else:
            await asyncio.wait_for(client.process.wait(), PATIENCE)
        ends[("exit", "end of input", "death of the editor")[number % 3]].append(time.perf_counter() - began)
        children += len(psutil.wait_procs(below, timeout=1)[1])
        await client.process.wait()
        client.reader.cancel()
    return [
        of("P7 gone after `exit`, max", 1.5, 1.0, ends["exit"], "s"),
        of("P7 gone after the end of input, max", 3.0, 1.0, ends["end of input"], "s"),
        of("P7 gone after the editor's death, max", 6.0, 1.0, ends["death of the editor"], "s"),
        Figure("P7 child processes left", 0, children, "", exact=True),
    ]


# An editor's launcher that hands its pipes on: it dies, and the pipes stay open.
WRAPPER = (
    "-c",
    "import subprocess, sys; sys.exit(subprocess.Popen([sys.executable, '-m', 'dlm_lsp']).wait())",
)


async def p9_typing(place: Place) -> list[Figure]:
    figures = []
    head = document(0, seed=0)
    long = head + "".join(
        f"\n::instruction::\n### Q\nWho keeps {number}?\n### A\n{'Mira keeps it. ' * 64}\n" for number in range(100)
    )
    for title, text, goal in (("100 sections", long, 10), ("1,000 sections", document(1000, seed=3), 150)):
        path = place.folder / f"p9-{goal}.dlm"
        client = await Client.start(place.home)
        await client.initialize()
        client.open(path, text)
        await client.hover(path, 1)
        idle = statistics.median([await clocked(client.hover(path, 1)) for _ in range(30)])
        waits = []
        for number in range(60):
            client.type(path, number + 2, 7)
            waits.append(max(await clocked(client.hover(path, 1)) - idle, 0.0))
        await client.stop()
        figures.append(of(f"P9 keystroke and parse, {len(text) // 1000} kB in {title}, p50", goal, 0.5, waits))
    return figures


async def p11_unchanged(place: Place) -> list[Figure]:
    path, text, log = place.folder / "p11.dlm", document(20, seed=1), place.folder / "p11.log"
    learning = await Client.start(place.home)
    await learning.initialize(maxSteps=10)  # every row is seen, which is all that an unchanged save asks for
    learning.open(path, text)
    await learning.save(path, text)
    await learning.stop()
    client = await Client.start(place.home, environment={"PYTHONPROFILEIMPORTTIME": "1"}, log=log)
    await client.initialize()
    client.open(path, text)
    await client.save(path, text)
    before, waits = busy(client), []
    for _ in range(50):
        waits.append(await clocked(client.save(path, text)))
    cost = (busy(client) - before) / 50
    assert (await client.idle(path))["last"]["outcome"] == "skipped"
    await client.stop()
    modules = {line.rsplit("|", 1)[-1].strip() for line in log.read_text(errors="replace").splitlines()}
    return [
        Figure(
            "P11 processor time of an unchanged save",
            20,
            cost * 1000,
            "ms",
            f"seen after {statistics.median(waits) * 1000:.0f} ms",
        ),
        Figure("P11 heavy packages imported", 0, sum(name in modules for name in HEAVY), "", exact=True),
    ]


MEASUREMENTS: dict[str, Callable[[Place], Coroutine[Any, Any, list[Figure]]]] = {
    "p1": p1_start,
    "p2": p2_save,
    "p3": p3_idle,
    "p4": p4_p5_p8_training,
    "p6": p6_cancel,
    "p7": p7_exit,
    "p9": p9_typing,
    "p11": p11_unchanged,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--requests", type=int, default=500, help="of each kind for P3")
    parser.add_argument("--exits", type=int, default=100, help="ends for P7")
    options = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; margin {MARGIN}\n")
    found: list[Figure] = []
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            found += asyncio.run(MEASUREMENTS[name](Place(Path(folder).resolve(), options.requests, options.exits)))
        print(f"{name}: done", file=sys.stderr, flush=True)
    rows = [
        [each.name, f"≤ {each.goal:g} {each.unit}", f"{each.measured:.3g} {each.unit}", each.spread, each.verdict]
        for each in found
    ]
    print(table(["goal", "number", "measured", "spread", "verdict"], rows))
    return 1 if any(each.missed for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
