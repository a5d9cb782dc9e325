"""How long an editor waits for the answer to `initialize`: `python -m benchmarks.speed.start`.

From the start of the process (the interpreter with `-m dlm_lsp`, modules compiled before) to the answer, as a client
sees it, and the processor time that the server has used by then.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.client import Client
from benchmarks.figures import percentile, spread
from benchmarks.speed.table import Row, run_alone

LIMIT = 0.6  # seconds, of half of the starts
HEAVY = "libtorch"  # is mapped into a process that has imported torch


async def _started(home: Path) -> tuple[float, float, bool]:
    """Seconds, seconds of processor time, and whether torch was imported."""
    began = time.perf_counter()
    client = await Client.start(home)
    await client.initialize()
    seconds = time.perf_counter() - began
    process = psutil.Process(client.process.pid)
    times, heavy = process.cpu_times(), any(HEAVY in each.path for each in process.memory_maps())
    await client.stop()
    return seconds, times.user + times.system, heavy


def measured(times: int) -> tuple[list[float], list[float], bool]:
    """Of so many starts, one after the other; the first, which compiles modules, is not counted."""
    with tempfile.TemporaryDirectory() as home:
        found = [asyncio.run(_started(Path(home))) for _ in range(times + 1)][1:]
    return [each[0] for each in found], [each[1] for each in found], any(each[2] for each in found)


def rows(quick: bool) -> list[Row]:
    """One row: torch must be absent, too."""
    seconds, processor, heavy = measured(11 if quick else 31)
    figure = f"{spread(seconds)}, p95 {percentile(seconds, 0.95):.2f} s; processor {spread(processor)}"
    condition = "with torch" if heavy else "torch absent"
    met = statistics.median(seconds) <= LIMIT and not heavy
    return [Row("start → answer to initialize", condition, figure, f"≤ {LIMIT} s p50, torch absent", met)]


if __name__ == "__main__":
    run_alone(rows, __doc__)
