"""Kills servers and reports: `python -m tests.torture --kills 1000 --seed 1`. Exit code 1 on any violation."""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before anything starts threads that a fork loses

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.torture.check import Violation
from tests.torture.episode import Episode, Kill
from tests.torture.plan import Instant, Operation, Target, order
from tests.torture.servers import Gone, Hung, LearnerKind, load

_MOST_KILLS_OF_A_DOCUMENT = 20

# After a kill here the next run has something to recover: take back, complete, bring in line, remove, go on removing.
_RECOVERIES: tuple[tuple[Operation, str], ...] = (
    ("cycle", "before replace adapter/versions/vN"),
    ("full retrain", "before replace adapter/current.txt"),
    ("cycle", "before sync_folder adapter"),
    ("full retrain", "before replace manifest.json"),
    ("cycle", "before unlink lsp/intent.json"),
    ("prune", "before unlink lsp/versions/vN.json"),
    ("revert", "before replace manifest.json"),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--seed", type=int, default=1, help="fixes order and texts (1)")
    parser.add_argument("--real", type=float, default=0.45, help="the share of documents that the real learner learns")
    parser.add_argument("--random", type=float, default=0.25, help="the share of kills at random instants")
    parser.add_argument("--document", type=int, help="only the document of this number, to reproduce a violation")
    given = parser.parse_args()
    began = time.monotonic()
    load({"fake", "real"} if given.real else {"fake"})
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    named = _named(Episode(folder / "recording", "fake", "recording", 0))
    each = min(_MOST_KILLS_OF_A_DOCUMENT, max(1, given.kills // 8))
    report = Report(given.seed, given.kills, len(set(named)))
    targets = order(named, given.kills, given.random, given.seed)
    for number, kind in enumerate(_learners(given.real, given.seed), 1):
        if report.done:
            break
        mine = [next(targets) for _ in range(each)]
        if given.document is None or given.document == number:
            _torture(Episode(folder / f"document-{number}", kind, f"{given.seed} {number}", number), mine, report)
        if given.document == number:
            break
    report.write(time.monotonic() - began)
    if report.violations:
        again = f"--kills {given.kills} --seed {given.seed} --real {given.real} --random {given.random}"
        sys.stdout.write(f"The stores are kept in {folder}\nReproduce: python -m tests.torture {again} --document N\n")
        return 1
    shutil.rmtree(folder)
    return 0


class Report:
    """What was killed, and what was broken."""

    def __init__(self, seed: int, wanted: int, instants: int) -> None:
        self.seed = seed
        self.wanted = wanted
        self.instants = instants
        self.kills: list[Kill] = []
        self.missed = 0
        self.reached: set[Target] = set()
        self.violations: list[str] = []
        self._shown = time.monotonic()

    @property
    def done(self) -> bool:
        return len(self.kills) >= self.wanted

    def add(self, kill: Kill) -> None:
        self.kills.append(kill)
        if time.monotonic() - self._shown > 30:
            self._shown = time.monotonic()
            sys.stdout.write(f"{len(self.kills)} of {self.wanted} kills, {len(self.violations)} violations\n")
            sys.stdout.flush()

    def write(self, seconds: float) -> None:
        operations = list(dict.fromkeys(kill.operation for kill in self.kills))
        counts = Counter((kill.phase, kill.operation) for kill in self.kills)
        lines = [f"{'killed at':32}" + "".join(f"{operation:>14}" for operation in operations)]
        for phase in sorted({kill.phase for kill in self.kills}, key=lambda phase: ("random" in phase, phase)):
            lines.append(f"{phase:32}" + "".join(f"{counts[phase, each] or '':>14}" for each in operations))
        totals = Counter(kill.operation for kill in self.kills)
        lines.append(f"{'all':32}" + "".join(f"{totals[each]:>14}" for each in operations))
        real = sum(1 for kill in self.kills if kill.learner == "real")
        lines += [
            "",
            f"{len(self.kills)} kills in {seconds:.0f} s, seed {self.seed}: {real} with the real learner and the "
            f"built-in base, {len(self.kills) - real} with the fake one",
            f"named instants: {self.instants}, killed at: {len(self.reached)}; not come to when meant: {self.missed}",
            f"violations: {len(self.violations)}",
            *self.violations,
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


def _torture(episode: Episode, targets: list[Target], report: Report) -> None:
    for place, target in enumerate(targets):
        if report.done:
            return
        try:
            made = 0
            for kill in episode.kill(target):
                made += 1
                report.add(kill)
            if made < (2 if target.operation == "recovery" else 1):
                report.missed += 1
            elif target.at is not None:
                report.reached.add(target)
        except (Violation, AssertionError, Gone, Hung, TimeoutError) as broken:
            what = f"{type(broken).__name__}: {broken}"
            report.violations.append(f"- {episode.folder.name}, kill {place}, {target}: {what}")
            return


def _named(episode: Episode) -> list[Target]:
    """Every named instant of every operation, recorded from clean runs."""
    found: list[Target] = []
    for operation in ("cycle", "full retrain", "revert"):
        for instant in episode.record(operation):  # type: ignore[arg-type]
            removal = operation == "cycle" and instant.phase == "removal of a version"
            found.append(Target("prune" if removal else operation, instant))  # type: ignore[arg-type]
    for operation, name in _RECOVERIES:
        first = (operation, Instant(name))
        for instant in episode.record("recovery", first):
            if instant.name == "before mkdir adapter/versions/vN~":
                break  # recovered; a cycle goes on
            found.append(Target("recovery", instant, first))
    return found


def _learners(real: float, seed: int) -> Iterator[LearnerKind]:
    """Fake and real documents in turn, so that the share is held from the beginning."""
    share = Random(f"learners {seed}").random() if 0 < real < 1 else 0.0
    while True:
        share += real
        if share >= 1:
            share -= 1
            yield "real"
        else:
            yield "fake"


if __name__ == "__main__":
    sys.exit(main())
