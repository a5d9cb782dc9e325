"""`lsp/curves.jsonl`: how the loss fell in each run that committed a version. One line a run, without document text.

It is for the eye only: nothing is decided by it, and losing it costs a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from dlm_lsp.store import lines
from dlm_lsp.store.times import Seconds

Point = tuple[int, float, int, float]
"""Step, loss (nats per token), tokens trained since the run began, seconds since then."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One run. Phases are names and the seconds since its begin; `sections` the ids of those that it learned."""

    run: int
    kind: str
    version: int | None
    started_at: Seconds
    ended_at: Seconds | None
    points: tuple[Point, ...] = ()
    phases: tuple[tuple[str, float], ...] = ()
    sections: tuple[str, ...] = ()
    outcome: str = ""
    message: str = ""


def append(path: Path, curve: Curve) -> None:
    lines.append(path, _CURVE.dump_json(curve) + b"\n")


def read(path: Path) -> tuple[Curve, ...]:
    """All curves, oldest first."""
    return lines.read(path, _CURVE)


_CURVE = TypeAdapter(Curve)
