"""Resident memory of a server and its learner after some runs, beside what the libraries alone take.

`python -m benchmarks.speed.resident`: each figure is that of a new process. *Libraries* are what the learner imports.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.client import Client
from benchmarks.speed.first_save import Author
from benchmarks.speed.table import Row, run_alone
from dlm_lsp.training import learner

_BASE = Path(learner.__file__).parent / "builtin" / "tiny" / "model.safetensors"
LIMIT = 300.0  # megabytes above the base's weights

_TORCH = "import torch"
_LIBRARIES = "from dlm_lsp.training.stack import import_stack; import_stack(lambda module, fraction: None)"
_OF_ITSELF = "import psutil; print(psutil.Process().memory_info().rss)"


@dataclass
class Resident:
    """Megabytes of the server, and of the learner where it has a process of its own (else 0)."""

    server: float
    learner: float = 0.0


def alone(code: str) -> float:
    """Resident megabytes of a process that has run `code`."""
    done = subprocess.run([sys.executable, "-c", f"{code}\n{_OF_ITSELF}"], check=True, capture_output=True, text=True)
    return int(done.stdout) / 1e6


def weights() -> float:
    """Megabytes of the base's weights in memory, which are four bytes each there."""
    data = _BASE.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    shapes: list[list[int]] = [each["shape"] for name, each in header.items() if name != "__metadata__"]
    return 4 * sum(map(math.prod, shapes)) / 1e6


def _of(client: Client) -> Resident:
    server = psutil.Process(client.process.pid)
    return Resident(
        server.memory_info().rss / 1e6, sum(each.memory_info().rss for each in server.children(recursive=True)) / 1e6
    )


async def _measured(mode: str, steps: Sequence[int], folder: Path) -> tuple[Resident, Resident]:
    author = Author(folder)
    client = await Client.start(folder / "home")
    await client.initialize(learner=mode)
    empty = _of(client)
    author.open(client)
    for most in steps:
        settings = {"learner": mode, "debounceMs": 0, "warmOnOpen": False, "maxSteps": most}
        client.notify("workspace/didChangeConfiguration", {"settings": {"dlm": settings}})
        await author.save(client)
    full = _of(client)
    await client.stop()
    return empty, full


def measured(mode: str, steps: Sequence[int]) -> tuple[Resident, Resident]:
    """A server that was only started, and after runs of so many steps."""
    with tempfile.TemporaryDirectory() as place:
        return asyncio.run(_measured(mode, steps, Path(place).resolve()))


def rows(quick: bool) -> list[Row]:
    """A row for each kind of learner; the last run's length shows that nothing is kept of it."""
    steps = (1, 3, 1) if quick else (1, 10, 1, 1, 10, 1)
    torch, libraries = alone(_TORCH), alone(_LIBRARIES)
    told = [
        Row("resident", "torch alone", f"{torch:.0f} MB"),
        Row("resident", "libraries alone", f"{libraries:.0f} MB"),
    ]
    for mode in ("thread", "process"):
        empty, full = measured(mode, steps)
        whole = full.learner or full.server
        figure = (
            f"{whole:.0f} MB; {whole - torch:.0f} above torch alone, {whole - libraries:.0f} above the libraries, "
            f"the server itself {empty.server:.0f} MB"
        )
        above = whole - weights()
        condition = "server with its learner" if mode == "thread" else "learner in its own process"
        told.append(
            Row("resident", condition, figure, f"≤ {LIMIT:.0f} MB above {weights():.0f} MB weights", above <= LIMIT)
        )
    return told


if __name__ == "__main__":
    run_alone(rows, __doc__)
