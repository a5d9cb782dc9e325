"""`lsp/curves.jsonl`: how the loss fell in each run that committed a version. One line a run, without document text.

It is for the eye only: nothing is decided by it, and losing it costs a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dlm_lsp.store import disk
from dlm_lsp.store.times import Seconds

MAX_BYTES = 512 * 1024

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
    """Adds a line, after ending what a crash left half-written. When large, keeps the newer half."""
    line = _CURVE.dump_json(curve) + b"\n"
    old = disk.read(path) or b""
    if len(old) + len(line) > MAX_BYTES:
        disk.write(path, old[old.find(b"\n", len(old) // 2) + 1 :] + line, durable=False)
        return
    disk.append(path, line if not old or old.endswith(b"\n") else b"\n" + line, durable=False)


def read(path: Path) -> tuple[Curve, ...]:
    """All curves, oldest first; lines that are none are passed over."""
    found = []
    for line in (disk.read(path) or b"").splitlines():
        try:
            found.append(_CURVE.validate_json(line))
        except ValidationError:
            continue
    return tuple(found)


_CURVE = TypeAdapter(Curve)
