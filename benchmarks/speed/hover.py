"""A hover every ten milliseconds while the server imports, loads and trains: `benchmarks.server_latency`, in short."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from benchmarks.client import Client
from benchmarks.documents import document
from benchmarks.figures import percentile
from benchmarks.server_latency import STEADY, beside_work
from benchmarks.speed.table import Row, run_alone

_MOST = {"training (100 steps)": 15.0, "first save: import": 150.0, "first save: load": 150.0}  # ms, p99


async def measure(folder: Path) -> dict[str, list[float]]:
    """Milliseconds of each hover, by what went on."""
    client = await Client.start(folder / "home")
    await client.initialize()
    beside = await beside_work(client, folder / "notes.dlm", document(20, seed=1, settings=STEADY), 100)
    await client.stop()
    return beside.hovers


def rows(quick: bool) -> list[Row]:
    """A new server for each round, as importing and loading happen once in each."""
    found: dict[str, list[float]] = {}
    for _ in range(1 if quick else 3):
        with tempfile.TemporaryDirectory() as place:
            for title, values in asyncio.run(measure(Path(place).resolve())).items():
                found.setdefault(title, []).extend(values)
    shown = []
    for title, most in _MOST.items():
        values = found[title]
        last = percentile(values, 0.99)
        figure = f"p99 {last:.1f} ms (p50 {percentile(values, 0.5):.1f}, most {max(values):.1f}, {len(values)} hovers)"
        shown.append(Row("hover", f"while {title}", figure, f"≤ {most:.0f} ms", last <= most))
    return shown


if __name__ == "__main__":
    run_alone(rows, __doc__)
