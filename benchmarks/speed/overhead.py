"""What a save costs beside its optimizer steps: from the save to the committed version, less the time in steps.

`python -m benchmarks.speed.overhead`: the built-in base, a document of twenty exchanges, one section added with each
save, everything warm, no debounce. The rate is so low that nothing is ever learned: a run takes exactly its cap of
steps, and the forgetting guard has nothing to look at.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import spread, table
from benchmarks.speed.desk import Desk, Save
from benchmarks.speed.table import Row, show

FIXED, SHARE = 0.060, 0.01  # what is allowed: seconds, and of the whole save
STEPS = (1, 10, 100)


async def _measured(folder: Path, repetitions: dict[int, int]) -> dict[int, list[Save]]:
    desk = Desk(folder)
    desk.supervisor.start(asyncio.get_running_loop())
    await desk.save(1)  # imports and loads
    desk.time_steps()
    for _ in range(3):
        await desk.save(1)
    found: dict[int, list[Save]] = {steps: [] for steps in repetitions}
    for number in range(max(repetitions.values())):
        for steps, times in repetitions.items():
            if number < times:
                found[steps].append(await desk.save(steps))
    await desk.supervisor.shutdown()
    return found


def measured(repetitions: dict[int, int]) -> dict[int, list[Save]]:
    """The saves for each number of steps, taken by turns."""
    with tempfile.TemporaryDirectory() as place:
        return asyncio.run(_measured(Path(place).resolve(), repetitions))


def _beside(save: Save) -> float:
    return save.seconds - save.steps


def _row(steps: int, saves: Sequence[Save]) -> Row:
    allowed = FIXED + SHARE * statistics.median(save.seconds for save in saves)
    beside = [_beside(save) for save in saves]
    figure = f"{spread(beside)} of {spread([save.seconds for save in saves])}"
    target = f"≤ {allowed * 1000:.0f} ms (60 ms + 1 %)"
    return Row("a save beside its steps", f"{steps} steps", figure, target, statistics.median(beside) <= allowed)


def rows(quick: bool) -> list[Row]:
    """One for each number of steps."""
    repetitions = {1: 7, 10: 5, 100: 1} if quick else {1: 15, 10: 9, 100: 3}
    return [_row(steps, saves) for steps, saves in measured(repetitions).items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--steps", type=int, nargs="+", help="only these, nine times each")
    options = parser.parse_args()
    if options.steps:
        found = measured(dict.fromkeys(options.steps, 9))
        cells = [
            [str(steps), spread([save.seconds for save in saves]), spread([_beside(save) for save in saves])]
            for steps, saves in found.items()
        ]
        print(table(["steps", "save → version", "beside its steps"], cells))
    else:
        print(show(rows(options.quick)))


if __name__ == "__main__":
    main()
