"""The first save after opening a document whose session was warmed, beside the tenth.

`python -m benchmarks.speed.first_save`: a new server process each round opens a document that has a version already,
warms it by itself, and then gets ten saves of one more section each. The time is that of the client: from the save to
the answer that nothing runs any more. Beside it stands the server's processor time (of Linux), the steadier figure.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.client import Client
from benchmarks.documents import document, exchange
from benchmarks.figures import spread, table
from benchmarks.speed.desk import SLOW
from benchmarks.speed.table import Row, show

SAVES = 10
STEPS = (1, 10)


class Cost(NamedTuple):
    """Of one save: seconds, and seconds of the server's processor time."""

    seconds: float
    busy: float


def _busy(client: Client) -> float:
    """Seconds of processor time of the server's process so far, by the clock that Linux has for each process."""
    return time.clock_gettime(~client.process.pid << 3 | 2)


class Author:
    """One document that grows with every save, through whichever server is there."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "notes.dlm"
        self._text = document(20, seed=1, settings=SLOW)
        self._chance = random.Random(3)

    async def save(self, client: Client) -> Cost:
        """Until the version of one more section is committed."""
        self._text += exchange(self._chance)
        began, busy = time.perf_counter(), _busy(client)
        await client.save(self._path, self._text)
        return Cost(time.perf_counter() - began, _busy(client) - busy)

    def open(self, client: Client) -> None:
        """Opens the document as it was saved last."""
        self._path.write_text(self._text, encoding="utf-8")
        client.open(self._path, self._text)

    async def warmed(self, client: Client) -> None:
        """Returns when the session is warm."""
        await client.until(lambda: any(method == "dlm/trainingStatus" and told["warm"] for method, told in client.news))


async def _measured(rounds: int, steps: int, folder: Path) -> list[list[Cost]]:
    author, found = Author(folder), []
    for number in range(rounds + 1):
        client = await Client.start(folder / "home")
        await client.initialize(warm=number > 0, maxSteps=steps)
        author.open(client)
        if number == 0:  # there must be a version to warm
            await author.save(client)
        else:
            await author.warmed(client)
            found.append([await author.save(client) for _ in range(SAVES)])
        await client.stop()
    return found


def measured(rounds: int, steps: int) -> list[list[Cost]]:
    """What the saves of each round cost."""
    with tempfile.TemporaryDirectory() as place:
        return asyncio.run(_measured(rounds, steps, Path(place).resolve()))


def _row(rounds: int, steps: int) -> Row:
    found = measured(rounds, steps)
    first, tenth = [each[0].seconds for each in found], [each[-1].seconds for each in found]
    ratio = statistics.median(first) / statistics.median(tenth)
    busy = statistics.median(each[0].busy for each in found) / statistics.median(each[-1].busy for each in found)
    figure = f"{ratio:.2f} × the tenth: {spread(first)} and {spread(tenth)}; {busy:.2f} × in processor time"
    return Row("first save after opening, warm", f"{steps} steps", figure, "≤ 1.1 ×", ratio <= 1.1)


def rows(quick: bool) -> list[Row]:
    """One for each number of steps; the fewer they are, the more the rest shows."""
    return [_row(3 if quick else 7, steps) for steps in STEPS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--steps", type=int, help="every save of three rounds with so many steps")
    options = parser.parse_args()
    if options.steps:
        cells = [[f"{cost.seconds:.3f}" for cost in each] for each in measured(3, options.steps)]
        print(table([f"{number}." for number in range(1, SAVES + 1)], cells))
    else:
        print(show(rows(options.quick)))


if __name__ == "__main__":
    main()
