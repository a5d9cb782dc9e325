"""A measure's figure beside its target, and a measure that runs alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.figures import table


@dataclass(frozen=True, slots=True)
class Row:
    """`met` is None where there is no target, or where it was not measured."""

    measure: str
    condition: str
    figure: str
    target: str = ""
    met: bool | None = None

    @property
    def verdict(self) -> str:
        return {True: "met", False: "missed", None: ""}[self.met]


def show(rows: Iterable[Row]) -> str:
    cells = [[row.measure, row.condition, row.figure, row.target, row.verdict] for row in rows]
    return table(["measure", "condition", "figure", "target", ""], cells)


def run_alone(rows: Callable[[bool], list[Row]], about: str | None) -> None:
    """Shows what one measure gives; `rows` takes whether few rounds are enough."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it runs")
    print(show(rows(parser.parse_args().quick)))
