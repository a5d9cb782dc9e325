"""The events of this process for whoever else wants to see them: a terminal, a page, a second window.

Each document has a channel, from the first moment that somebody listens. What is told can be read and nothing else:
no subscriber, however many there are and however often they come back, makes anything happen.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from dlm_lsp import __version__
from dlm_lsp.document import Document, Section
from dlm_lsp.runs import events
from dlm_lsp.runs.channel import Channel, Subscription
from dlm_lsp.runs.clock import Clock, Timer
from dlm_lsp.runs.curves import Curves, run_facts
from dlm_lsp.runs.payload import payload, plain
from dlm_lsp.runs.status import DocumentStatus, SectionStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.telling import headline
from dlm_lsp.store import path_text

# What no run caused (typing, for the most part) is told at most once in so many seconds.
CALM = 0.25
# How long a channel that nobody listens to is kept for who comes back, in seconds.
PATIENCE = 60.0
# Sections of a document that are told of, the first ones; whoever wants more asks the server for them.
MOST_SECTIONS = 300
_MOST_NAME = 60  # characters


class Streams:
    """The channels of all documents; a listener of the supervisor's, on the loop thread."""

    def __init__(self, supervisor: Supervisor, curves: Curves, clock: Clock) -> None:
        self._supervisor = supervisor
        self._curves = curves
        self._clock = clock
        self._rooms: dict[Path, _Room] = {}
        supervisor.subscribe(self.on)

    def on(self, event: events.Event | None, status: DocumentStatus) -> None:
        """Tells whoever listens to the document."""
        if (room := self._rooms.get(status.document)) is not None:
            room.on(event, status)

    def subscribe(self, path: Path, since: str = "") -> Subscription:
        """The state of the document at `path` first, or what followed `since`; then what comes."""
        if path not in self._rooms:
            self._rooms[path] = _Room(path, self._supervisor, self._curves, self._clock, self._forget)
        return self._rooms[path].channel.subscribe(since)

    def close(self) -> None:
        """Ends all subscriptions."""
        for room in tuple(self._rooms.values()):
            room.close()
        self._rooms.clear()

    def _forget(self, path: Path) -> None:
        del self._rooms[path]


class _Room:
    """One document's channel, and what is put into it."""

    def __init__(
        self, path: Path, supervisor: Supervisor, curves: Curves, clock: Clock, forget: Callable[[Path], None]
    ) -> None:
        self._path = path
        self._supervisor = supervisor
        self._curves = curves
        self._clock = clock
        self._forget = forget
        self._sections = _SectionTexts()
        self._calm: Timer | None = None
        self._unheard_since: float | None = None
        self.channel = Channel(self._state)

    def on(self, event: events.Event | None, status: DocumentStatus) -> None:
        if not self._still_wanted():
            return
        if event is None:
            if self._calm is None:
                self._calm = self._clock.call_later(CALM, self._changed)
            return
        fine = isinstance(event, events.Step | events.Phase)
        now = _now(status) if fine else self._whole(status)
        self.channel.tell(_text("event", {**event_facts(event), "document": path_text(self._path)}, now))

    def close(self) -> None:
        if self._calm is not None:
            self._calm.cancel()
            self._calm = None
        self.channel.close()

    def _changed(self) -> None:
        """No run caused it: the author typed, opened, closed, or another process made a version."""
        self._calm = None
        if (status := self._supervisor.status(self._path)) is not None:
            facts = {"event": "changed", "run": status.run.run if status.run else None, "at": self._clock.now()}
            self.channel.tell(_text("event", {**facts, "document": path_text(self._path)}, self._whole(status)))

    def _state(self) -> list[str]:
        """Who tells it, the status, and the runs of this process with their curves."""
        status = self._supervisor.status(self._path) or DocumentStatus(document=self._path)
        facts = {
            "document": path_text(self._path),
            "run": status.run.run if status.run else None,
            "at": self._clock.now(),
            "pid": os.getpid(),
            "server": __version__,
            "runs": [run_facts(curve) for curve in self._curves.of(self._path)],
        }
        return [_text("state", facts, self._whole(status))]

    def _whole(self, status: DocumentStatus) -> str:
        return self._sections.of(status, self._supervisor.document(self._path))

    def _still_wanted(self) -> bool:
        if self.channel.heard:
            self._unheard_since = None
            return True
        now = self._clock.monotonic()
        self._unheard_since = now if self._unheard_since is None else self._unheard_since
        if now - self._unheard_since > PATIENCE:
            self.close()
            self._forget(self._path)
            return False
        return True


class _SectionTexts:
    """A status as JSON, of which the next one takes over every section that is still what and where it was."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[SectionStatus, str]] = {}
        self._names: dict[int, tuple[Section, str]] = {}

    def of(self, status: DocumentStatus, document: Document | None) -> str:
        before, kept, texts = self._known, {}, []
        for section in status.sections[:MOST_SECTIONS]:
            kept[id(section)] = known = before.get(id(section)) or (section, _json(plain(section)))
            texts.append(known[1])
        self._known = kept
        frame = _json({**status_facts(status), "section_count": len(status.sections)})
        return f'"status":{frame[:-1]},"sections":[{",".join(texts)}]}},"names":{_json(self._named(document))}'

    def _named(self, document: Document | None) -> list[str]:
        sections = document.sections[:MOST_SECTIONS] if document is not None else ()
        before, self._names = self._names, {}
        for section in sections:
            self._names[id(section)] = before.get(id(section)) or (section, name_of(section))
        return [self._names[id(section)][1] for section in sections]


def status_facts(status: DocumentStatus) -> dict[str, Any]:
    """The status without its sections, with the sentence that says it."""
    given = payload(replace(status, sections=()))
    given.pop("sections")
    return {"message": headline(status), "pending": len(status.pending), **given}


def event_facts(event: events.Event) -> dict[str, Any]:
    """What an event says by itself: its kind, its run, when, and each of its fields that is a plain value."""
    told: dict[str, Any] = {"event": re.sub(r"(?<!^)(?=[A-Z])", "-", type(event).__name__).lower()}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name in ("document", "sequence"):
            continue
        if value is None or isinstance(value, str | int | float | Enum):
            told[field.name] = value.value if isinstance(value, Enum) else value
        elif isinstance(value, tuple) and all(isinstance(each, str) for each in value):
            told[field.name] = list(value)
    return told


def name_of(section: Section) -> str:
    """The first words of a section, by which people know it."""
    for line in section.content.splitlines():
        text = line.strip()
        if text and not re.fullmatch(r"### \S+( !probe)?|<!--.*-->|```.*", text):
            return re.sub(r"^#+\s+", "", text)[:_MOST_NAME]
    return section.kind


def _now(status: DocumentStatus) -> str:
    """What a step or a phase changes in the status."""
    run = plain(status.run) if status.run else None
    now = {"message": headline(status), "state": status.state.value, "generation": status.generation, "run": run}
    return f'"now":{_json(now)}'


def _text(kind: str, facts: dict[str, Any], rest: str) -> str:
    return f"{_json({'type': kind, **facts})[:-1]},{rest}}}"


def _json(value: Any) -> str:
    """Strictly JSON: what is no number is null."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_finite(value), separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
