"""A document that grows by one exchange a save: how long each save takes, and what is known at the end.

Each save is a real one, through the supervisor and the store; in the end every question is asked, and the answer
counts when it is exactly the written one.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.documents import document, exchange
from benchmarks.figures import spread
from dlm_lsp.document import parse
from dlm_lsp.runs.events import Event, Failed, Finished
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.training import learner as learning


async def grow(folder: Path, saves: int, seed: int) -> tuple[list[float], list[int], int, int]:
    """Seconds and steps of each save after the first, exact answers at the end, questions asked."""
    path, home = folder / "notes.dlm", folder / "home"
    settings = RunSettings(home=home, debounce_ms=0, warm_on_open=False)
    supervisor = Supervisor(learner=learning.create, settings=settings)
    steps: list[int] = []

    def hear(event: Event | None, status: DocumentStatus) -> None:
        if isinstance(event, Failed):
            raise SystemExit(event.message)
        if isinstance(event, Finished):
            steps.append(event.learned.steps)

    supervisor.subscribe(hear)
    supervisor.start(asyncio.get_running_loop())
    chance, text, seconds = random.Random(seed), document(3, seed + 1), []
    for _ in range(saves + 1):
        path.write_text(text, encoding="utf-8")
        began = time.perf_counter()
        supervisor.saved(path, text)
        await supervisor.wait_for_idle(path)
        seconds.append(time.perf_counter() - began)
        text += exchange(chance)

    exact, asked = 0, 0
    for each in (each for section in parse(path.read_bytes()).sections for each in section.exchanges):
        answer = await supervisor.ask(path, each.prompt, max_new_tokens=64).text()
        exact += answer.strip() == each.answer
        asked += 1
    await supervisor.shutdown()
    return seconds[1:], steps[1:], exact, asked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saves", type=int, default=13)
    parser.add_argument("--seeds", type=int, nargs="+", default=[4, 5, 6])
    options = parser.parse_args()
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as place:
            seconds, steps, exact, asked = asyncio.run(grow(Path(place).resolve(), options.saves, seed))
        print(
            f"seed {seed}: {len(seconds)} saves of one exchange each, {spread(seconds)}, "
            f"{statistics.median(steps):.0f} steps ({min(steps)}–{max(steps)}); "
            f"{exact} of {asked} answers exact at the end"
        )


if __name__ == "__main__":
    main()
