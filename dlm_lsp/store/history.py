"""What happened to each lesson, version by version: read from the records and the journal, and kept small."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dlm_lsp.store import disk, journal, versions
from dlm_lsp.store.ledger import Known, Ledger
from dlm_lsp.store.paths import Layout, version_number
from dlm_lsp.store.regular import Signature
from dlm_lsp.store.versions import RunKind

MAX_RECORDS = 20  # the newest; what happened before them is in the ledgers themselves
_STORES = 8

EventKind = Literal["learned", "partly", "rehearsed"]


@dataclass(frozen=True, slots=True)
class Past:
    """One thing that happened to one lesson. Losses in nats per token; None where nobody recorded them.

    `undone`: the current version does not descend from this one (a revert went back behind it).
    """

    version: int
    kind: EventKind
    at: str | None = None  # ISO 8601, UTC
    loss_before: float | None = None
    loss_after: float | None = None
    full: bool = False  # by a full retrain
    undone: bool = False


@dataclass(frozen=True, slots=True)
class Chronicle:
    """`past` maps a lesson's identity to what happened to it, oldest first; `wordings` an anchor to identities."""

    past: Mapping[str, Sequence[Past]]
    wordings: Mapping[str, Sequence[str]]


NOTHING = Chronicle({}, {})


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of one record."""

    signature: Signature
    kind: RunKind
    lessons: Mapping[str, Known]


class Histories:
    """Chronicles of stores. A record that did not change is not read again; may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Path, dict[int, _Kept]] = {}

    def read(self, layout: Layout, current: int) -> Chronicle:
        """What the newest records tell, seen from version `current`. Raises OSError when they cannot be read."""
        with self._lock:
            records = self._records(layout)
        return chronicle(records, parents(journal.read(layout.journal)), current)

    def _records(self, layout: Layout) -> dict[int, _Kept]:
        before = self._kept.pop(layout.root, {})
        numbers = sorted(filter(None, (_number(name) for name in disk.names(layout.records))))[-MAX_RECORDS:]
        now: dict[int, _Kept] = {}
        for number in numbers:
            signature = disk.signature(layout.record(number))
            if signature is None:
                continue
            kept = before.get(number)
            if kept is None or kept.signature != signature:
                record = versions.read_record(layout, number)
                if record is None:
                    continue
                kept = _Kept(signature, record.run.kind, _shared(record.ledger, now))
            now[number] = kept
        self._kept[layout.root] = now
        while len(self._kept) > _STORES:
            del self._kept[next(iter(self._kept))]
        return dict(now)


def parents(entries: Sequence[journal.JournalEntry]) -> dict[int, int | None]:
    """From the journal: which version each one continued; None for a full retrain and for the first."""
    found: dict[int, int | None] = {}
    now: int | None = None
    for entry in entries:
        if entry.version is None:
            continue
        if entry.event == "finished":
            found[entry.version] = None if entry.kind == "full" or now is None else now
            now = entry.version
        elif entry.event == "reverted":
            now = entry.version
    return found


def chronicle(records: Mapping[int, _Kept], parent: Mapping[int, int | None], current: int) -> Chronicle:
    """The story of each lesson. Where the journal does not reach, a version continues the one before it."""
    before = _before(records, parent)
    line = _line(before, current)
    past: dict[str, list[Past]] = {}
    wordings: dict[str, list[str]] = {}
    for number, kept in records.items():
        earlier = before[number]
        known = records[earlier].lessons if earlier is not None else {}
        oldest = earlier is None and kept.kind == "cycle"
        for identity, entry in kept.lessons.items():
            happened = _happened(entry, known.get(identity), number, oldest=oldest, full=kept.kind == "full")
            if happened is None:
                continue
            if number not in line:
                happened = replace(happened, undone=True)
            story = past.setdefault(identity, [])
            if not story:
                wordings.setdefault(entry.anchor, []).append(identity)
            story.append(happened)
    return Chronicle(past, wordings)


def _happened(entry: Known, earlier: Known | None, number: int, *, oldest: bool, full: bool) -> Past | None:
    """What version `number` did to a lesson that its predecessor knew as `earlier`."""
    kind: EventKind = "learned" if entry.complete and entry.learned else "partly"
    if entry.version == number:
        return Past(number, kind, entry.learned_at, entry.loss_before, entry.loss_after, full)
    if earlier is not None:
        seen_more = entry.times_seen > earlier.times_seen
        return Past(number, "rehearsed", loss_after=entry.loss_after) if seen_more else None
    # Its own record is gone: the loss that it ended with then may have been rehearsed since.
    return Past(entry.version, kind, entry.learned_at, entry.loss_before) if oldest else None


def _before(records: Mapping[int, _Kept], parent: Mapping[int, int | None]) -> dict[int, int | None]:
    """Of each record the nearest ancestor that has one."""
    found: dict[int, int | None] = {}
    older: int | None = None
    for number, kept in records.items():
        at = parent.get(number, older) if kept.kind == "cycle" else None
        seen: set[int] = set()
        while at is not None and at not in records and at not in seen:
            seen.add(at)
            at = parent.get(at)
        found[number] = at if at is not None and at < number else None
        older = number
    return found


def _line(before: Mapping[int, int | None], current: int) -> frozenset[int]:
    """The current version and those that it continues, behind full retrains too: those were not undone."""
    numbers = list(before)
    if current not in before:  # another tool made it
        return frozenset(number for number in numbers if number < current)
    line: set[int] = set()
    at: int | None = current
    while at is not None:
        line.add(at)
        earlier = before[at]
        if earlier is None:  # a full retrain (or the oldest record): what was before it is past, not undone
            line.update(number for number in numbers if number < at)
        at = earlier
    return frozenset(line)


def _shared(ledger: Ledger, records: Mapping[int, _Kept]) -> dict[str, Known]:
    """The lessons, with every entry that the record before has as well being the same object."""
    newest = records[max(records)].lessons if records else {}
    lessons: dict[str, Known] = {}
    for identity, entry in ledger.lessons.items():
        same = newest.get(identity)
        lessons[identity] = same if same is not None and same == entry else entry
    return lessons


def _number(name: str) -> int | None:
    return version_number(name.removesuffix(".json")) if name.endswith(".json") else None
