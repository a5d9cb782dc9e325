"""Runs histories by methods: JSON lines of every save into a file, and a table at the end."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.figures import table
from benchmarks.learning.histories import History, generated, starter
from benchmarks.learning.methods import METHODS
from benchmarks.learning.running import Figures, begin, run
from dlm_lsp.runs.templates import templates

HEAD = ["history", "method", "recall", "retention", "correction", "removed known", "drift", "prose", "steps", "time"]


def main() -> None:
    options = _options()
    os.environ.setdefault("DLM_THREADS", "1")
    done = [json.loads(line) for line in _lines(options.out)] if options.keep else []
    if not options.keep:
        options.out.write_text("", encoding="utf-8")
    for history in _histories(options):
        with tempfile.TemporaryDirectory() as place:
            begun = begin(history, Path(place).resolve() / "begun")
            for number, name in enumerate(options.methods):
                told: list[Figures] = []
                run(history, METHODS[name], Path(place).resolve() / str(number), options.cap, begun, told.append)
                done += [figures.json() for figures in told]
                with options.out.open("a", encoding="utf-8") as out:
                    out.writelines(f"{json.dumps(figures.json())}\n" for figures in told)
                print(show([figures.json() for figures in told]).splitlines()[-1], file=sys.stderr, flush=True)
    print(show(done))


def show(lines: list[dict[str, object]]) -> str:
    """One row for each history and method, over all saves and seeds: shares, means, and time beside the program's own.

    Recall and correction are right after the save; retention is after the last save.
    """
    groups: dict[tuple[str, str], list[dict[str, object]]] = defaultdict(list)
    for line in lines:
        groups[str(line["history"]), str(line["method"])].append(line)
    seconds = {key: _mean([line["seconds"] for line in each if line["steps"]]) for key, each in groups.items()}
    rows = []
    for (history, method), each in groups.items():
        ends = {line["seed"]: line for line in each}  # of each seed the last one
        own = seconds.get((history, "ours"))
        rows.append(
            [
                history,
                method,
                _share([line["recall"] for line in each]),
                _share([line["retention"] for line in ends.values()]),
                _share([line["correction"] for line in each]),
                _share([line["removed_known"] for line in ends.values()]),
                f"{_mean([line['drift'] for line in ends.values()]):.2f}",
                f"{_mean([line['prose_loss'] for line in ends.values() if line['prose_loss'] is not None]):.2f}",
                f"{_mean([line['steps'] for line in each if line['steps']]):.0f}",
                f"{seconds[history, method] / own:.1f} ×" if own else "–",
            ]
        )
    return table(HEAD, rows)


def _histories(options: argparse.Namespace) -> list[History]:
    found = [generated(size, options.saves, seed, options.base) for size in options.sizes for seed in options.seeds]
    names = list(templates()) if options.starters == ["all"] else options.starters
    return found + [starter(name, options.saves, seed, options.base) for name in names for seed in options.seeds]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10, 50], help="exchanges of generated documents")
    parser.add_argument("--starters", nargs="*", default=[], help="starter documents by name, or all")
    parser.add_argument("--saves", type=int, default=50)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), metavar="NAME")
    parser.add_argument("--cap", type=int, default=100, help="steps of a save at most")
    parser.add_argument("--base", default="builtin:tiny")
    parser.add_argument("--out", type=Path, default=Path("learning.jsonl"))
    parser.add_argument("--keep", action="store_true", help="add to the lines that are there")
    return parser.parse_args()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _share(pairs: list[object]) -> str:
    known = [pair for pair in pairs if isinstance(pair, list | tuple)]
    right, asked = sum(pair[0] for pair in known), sum(pair[1] for pair in known)
    return f"{100 * right / asked:.1f} % of {asked}" if asked else "–"


def _mean(values: list[object]) -> float:
    numbers = [value for value in values if isinstance(value, int | float)]
    return sum(numbers) / len(numbers) if numbers else 0.0


if __name__ == "__main__":
    main()
