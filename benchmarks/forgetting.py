"""What the forgetting guard costs a run and how far well-learned exchanges waver; what before and after take.

A document that grows by one exchange a save, each save a real one. Nothing contradicts anything, so that whatever the
guard sees is noise.
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
from benchmarks.figures import percentile
from dlm_lsp.runs.answers import Answers
from dlm_lsp.runs.events import Event, Failed, Finished
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.training import learner as learning
from dlm_lsp.training.protocol import Learned


async def grow(folder: Path, saves: int, seed: int) -> None:
    path, home = folder / "notes.dlm", folder / "home"
    supervisor = Supervisor(learner=learning.create, settings=RunSettings(home=home, debounce_ms=0, warm_on_open=False))
    runs: list[tuple[Learned, float]] = []

    def hear(event: Event | None, status: DocumentStatus) -> None:
        if isinstance(event, Failed):
            raise SystemExit(event.message)
        if isinstance(event, Finished):
            runs.append((event.learned, event.seconds))

    supervisor.subscribe(hear)
    supervisor.start(asyncio.get_running_loop())
    chance, text = random.Random(seed), document(3, seed + 1)
    asked: list[float] = []
    for _ in range(saves + 1):
        path.write_text(text, encoding="utf-8")
        supervisor.saved(path, text)
        await supervisor.wait_for_idle(path)
        began = time.perf_counter()
        await Answers(supervisor).of(path)
        asked.append(time.perf_counter() - began)
        text += exchange(chance)
    await supervisor.shutdown()

    was: dict[str, float] = {}
    worse: list[float] = []
    inexact = 0
    for learned, _ in runs:
        worse += [score.loss - was[score.identity] for score in learned.scores]
        inexact += sum(1 for score in learned.scores if not score.exact)
        was |= {each.identity: each.loss_after for each in learned.lessons if each.loss_after is not None}
    costs = [(learned.phases["guard"], seconds) for learned, seconds in runs[1:]]
    shares = [100 * cost / seconds for cost, seconds in costs]
    looks = [len(learned.scores) for learned, _ in runs[1:]]
    print(
        f"seed {seed}: guard {1000 * statistics.median(cost for cost, _ in costs):.0f} ms "
        f"(at most {1000 * max(cost for cost, _ in costs):.0f}), {statistics.median(shares):.1f} % of a run "
        f"(at most {max(shares):.1f}), {min(looks)}–{max(looks)} exchanges looked at; of {len(worse)} looks {inexact} "
        f"not word for word, loss changed by {percentile(worse, 0.5):+.2f} (median), "
        f"{percentile(worse, 0.99):+.2f} (p99), {max(worse):+.2f} (most); "
        f"before and after one exchange {1000 * statistics.median(asked[1:]):.0f} ms "
        f"(at most {1000 * max(asked[1:]):.0f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saves", type=int, default=13)
    parser.add_argument("--seeds", type=int, nargs="+", default=[4, 5, 6])
    options = parser.parse_args()
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as place:
            asyncio.run(grow(Path(place).resolve(), options.saves, seed))


if __name__ == "__main__":
    main()
