"""How each run went, step by step, kept small: for whoever draws it. Nothing is decided by it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dlm_lsp.document import Lesson, Section
from dlm_lsp.runs import events
from dlm_lsp.runs.status import DocumentStatus, SectionState
from dlm_lsp.store import Curve, Point, Store

MAX_POINTS = 256  # more than a picture of it has room for
MAX_RUNS = 50  # of one document, beside those that its store remembers


class Trace:
    """A run as it goes on. `at` in seconds since the epoch."""

    def __init__(self, run: int, kind: str, at: float, sections: tuple[str, ...] = ()) -> None:
        self.run = run
        self._kind, self._at, self._sections = kind, at, sections
        self._points: list[Point] = []
        self._phases: list[tuple[str, float]] = []
        self._newest: Point | None = None
        self._tokens = 0
        self._every = 1

    def learns(self, sections: Iterable[str]) -> None:
        """A newer text was taken in, and leaves these to be learned: the curve names what its version's record does."""
        self._sections = tuple(sections)

    def phase(self, name: str, at: float) -> None:
        if not self._phases or self._phases[-1][0] != name:
            self._phases.append((name, self._since(at)))

    def step(self, step: int, loss: float, tokens: int, at: float) -> None:
        """One step. Of long runs every second point goes, and again; the newest is always there."""
        self._tokens += tokens
        if not math.isfinite(loss):
            return
        self._newest = (step, round(loss, 5), self._tokens, self._since(at))
        if step % self._every == 0 or not self._points:
            self._points.append(self._newest)
        if len(self._points) >= 2 * MAX_POINTS:
            self._every *= 2
            self._points = [point for point in self._points if point[0] % self._every == 0]

    def curve(self, *, ended_at: float | None = None, version: int | None = None, **how: str) -> Curve:
        points = self._points
        if self._newest is not None and points[-1] != self._newest:
            points = [*points, self._newest]
        return Curve(
            run=self.run,
            kind=self._kind,
            version=version,
            started_at=self._at,
            ended_at=ended_at,
            points=tuple(points),
            phases=tuple(self._phases),
            sections=self._sections,
            **how,
        )

    def _since(self, at: float) -> float:
        return round(max(at - self._at, 0.0), 3)


def sections_of(sections: Iterable[Section], lessons: Iterable[Lesson]) -> tuple[str, ...]:
    """The ids of the sections that these lessons are from, each once, in the order of the text."""
    wanted = {lesson.identity for lesson in lessons}
    return tuple(dict.fromkeys(each.section_id for each in sections if not wanted.isdisjoint(each.identities)))


class Curves:
    """The runs of this process, by document; a listener of the supervisor's, on the loop thread."""

    def __init__(self) -> None:
        self._going: dict[Path, Trace] = {}
        self._ended: dict[Path, deque[Curve]] = {}

    def on(self, event: events.Event | None, status: DocumentStatus) -> None:
        """Follows the events of all runs."""
        if event is None:
            return
        if isinstance(event, events.Started):
            self._going[event.document] = Trace(event.run, event.kind, event.at, _learning(status))
        trace = self._going.get(event.document)
        if trace is None or trace.run != event.run:
            return
        if isinstance(event, events.Phase):
            trace.phase(event.name, event.at)
        elif isinstance(event, events.Step):
            trace.step(event.step, event.loss, event.tokens, event.at)
        elif isinstance(event, events.Absorbed):
            trace.learns(_learning(status))
        elif isinstance(event, events.TERMINAL):
            self._end(trace, event, status)

    def of(self, path: Path) -> list[Curve]:
        """Those that ended and the one that goes on, oldest first."""
        ended = list(self._ended.get(path, ()))
        going = self._going.get(path)
        return ended if going is None else [*ended, going.curve()]

    def _end(self, trace: Trace, event: events.Event, status: DocumentStatus) -> None:
        del self._going[event.document]
        version = event.version if isinstance(event, events.Finished) else None
        last = status.last
        how = {"outcome": last.outcome, "message": last.message} if last is not None and last.run == event.run else {}
        curve = trace.curve(ended_at=event.at, version=version, **how)
        self._ended.setdefault(event.document, deque(maxlen=MAX_RUNS)).append(curve)


def _learning(status: DocumentStatus) -> tuple[str, ...]:
    return tuple(each.section_id for each in status.sections if each.state is SectionState.LEARNING)


def told(store: Store | None, here: list[Curve]) -> dict[str, Any]:
    """All versions that are there, and all runs that are remembered. Raises StoreError. May be called anywhere."""
    return joined(remembered(store), [run_facts(each) for each in here])


def remembered(store: Store | None) -> dict[str, Any]:
    """The same as far as the store knows it. Raises StoreError."""
    if store is None or not store.exists():
        return {"versions": [], "runs": []}
    return {"versions": _versions(store), "runs": [run_facts(curve, here=False) for curve in store.curves()]}


def joined(stored: dict[str, Any], here: list[dict[str, Any]]) -> dict[str, Any]:
    """The runs of a process are known better than the store does, with those that committed nothing among them."""
    known = {run["version"] for run in here if run["version"] is not None}
    return {**stored, "runs": [run for run in stored["runs"] if run["version"] not in known] + here}


def _versions(store: Store) -> list[dict[str, Any]]:
    current, manifest = store.current(), store.manifest()
    journal = {entry.version: entry for entry in store.journal() if entry.event == "finished"}
    found: list[dict[str, Any]] = []
    for version in store.versions():
        entry = journal.get(version.number)
        run = manifest.run_of(version.number) if manifest is not None else None
        found.append(
            {
                "version": version.number,
                "kind": entry.kind if entry else None,
                "at": entry.at if entry else None,
                "steps": entry.steps if entry else run.steps if run else None,
                "loss": entry.loss if entry else run.final_train_loss if run else None,
                "seconds": entry.seconds if entry else None,
                "current": current is not None and current.number == version.number,
            }
        )
    return found


def run_facts(curve: Curve, *, here: bool = True) -> dict[str, Any]:
    """One run as it is told; `here`: of this process, whose numbers of runs mean something."""
    return {
        "run": curve.run if here else None,
        "kind": curve.kind,
        "started_at": curve.started_at,
        "ended_at": curve.ended_at,
        "version": curve.version,
        "outcome": curve.outcome,
        "message": curve.message,
        "points": curve.points,
        "phases": curve.phases,
        "sections": curve.sections,
    }
