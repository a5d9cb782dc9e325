"""A measure's figure beside its target."""

from __future__ import annotations

from collections.abc import Iterable
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
