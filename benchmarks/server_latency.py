"""What an editor feels: the start, hovers while the server idles, imports, loads and trains, and an empty save.

A hover is asked for every ten milliseconds beside whatever goes on; each hover belongs to the phase that the
server's status named last.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.client import Client
from benchmarks.documents import document, exchange
from benchmarks.figures import percentile, spread, table

STEADY = "training:\n  learning_rate: 1.0e-7\n"
_PAUSE = 0.01


def memory(client: Client) -> float:
    """Resident megabytes of the server."""
    return float(psutil.Process(client.process.pid).memory_info().rss) / 1e6


async def start(home: Path, repetitions: int) -> tuple[list[float], float]:
    seconds, megabytes = [], 0.0
    for _ in range(repetitions + 1):
        began = time.perf_counter()
        client = await Client.start(home)
        await client.initialize()
        seconds.append(time.perf_counter() - began)
        megabytes = memory(client)
        await client.stop()
    return seconds[1:], megabytes  # the first one compiles modules


def phase(client: Client) -> str:
    """What the newest status says the server does."""
    for method, params in reversed(client.news):
        if method == "dlm/trainingStatus":
            run = params.get("run") or {}
            return str(run.get("phase") or "idle") if params.get("state") != "idle" else "idle"
    return "idle"


async def hovers(client: Client, path: Path, busy: asyncio.Task[None] | None, count: int) -> dict[str, list[float]]:
    """Milliseconds of each hover by phase, until `busy` is done, or `count` of them."""
    found: dict[str, list[float]] = defaultdict(list)
    while (busy is not None and not busy.done()) or (busy is None and sum(map(len, found.values())) < count):
        during = phase(client)
        began = time.perf_counter()
        await client.hover(path, 0)
        found[during].append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(_PAUSE)
    return found


@dataclass
class Beside:
    """Milliseconds of each hover by what went on, and the moments of the two saves."""

    hovers: dict[str, list[float]]
    saved: list[float]


async def beside_work(client: Client, path: Path, text: str, count: int) -> Beside:
    """Hovers while nothing goes on (`count` of them), then while `text` is learned, then with one exchange more."""
    client.open(path, text)
    idle = await hovers(client, path, None, count)
    saved = [time.perf_counter()]
    first = await hovers(client, path, asyncio.create_task(client.save(path, text)), 0)
    saved.append(time.perf_counter())
    later = await hovers(client, path, asyncio.create_task(client.save(path, text + exchange(random.Random(9)))), 0)
    found = {
        "idle": idle["idle"],
        "first save: import": first["import"],
        "first save: load": first["load"],
        "first save: tokenise": first["tokenise"],
        "training (100 steps)": [*first["train"], *later["train"]],
        "writing a version": [*first["write"], *later["write"]],
    }
    return Beside({title: values for title, values in found.items() if values}, saved)


async def measure(folder: Path, count: int) -> None:
    home, path = folder / "home", folder / "notes.dlm"
    seconds, empty = await start(home, 10)
    print(f"start → initialize: {spread(seconds)}, {empty:.0f} MB resident\n")

    client = await Client.start(home)
    await client.initialize()
    text = document(20, seed=1, settings=STEADY)
    beside = await beside_work(client, path, text, count)
    rows = []
    for title, values in beside.hovers.items():
        shares = [f"{percentile(values, share):.1f}" for share in (0.5, 0.95, 0.99, 1.0)]
        rows.append([title, str(len(values)), *shares])
    print(table(["hover while", "hovers", "p50 ms", "p95", "p99", "max"], rows), "\n")

    visible = [f"{(began - at) * 1000:.0f} ms" for at, began in zip(beside.saved, client.began, strict=True)]
    print(f"save → progress begins: {visible[0]} on the first save, {visible[1]} on the next, debounce 0")
    unchanged = []
    for _ in range(20):
        began = time.perf_counter()
        await client.save(path, text + exchange(random.Random(9)))
        unchanged.append(time.perf_counter() - began)
    print(f"save without new content: {spread(unchanged)}, debounce 0")
    print(f"resident after two runs: {memory(client):.0f} MB")
    large = document(1000, seed=3)
    big = folder / "large.dlm"
    client.open(big, large)
    keystrokes = []
    for number in range(20):
        began = time.perf_counter()
        client.type(big, number + 2, 9)
        await client.hover(big, 0)
        keystrokes.append(time.perf_counter() - began)
    print(f"keystroke and hover in a document of 1,000 sections: {statistics.median(keystrokes) * 1000:.0f} ms p50")
    await client.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hovers", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(measure(Path(place).resolve(), options.hovers))


if __name__ == "__main__":
    main()
