"""The status record as plain JSON for clients: the shared payload, with places as the client counts them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import chain, compress, count, repeat
from operator import is_not
from typing import Any

from dlm_lsp.document import Range, Section
from dlm_lsp.runs.labels import label
from dlm_lsp.runs.payload import payload, plain
from dlm_lsp.runs.status import DocumentStatus, LessonStatus, SectionStatus
from dlm_lsp.runs.telling import headline, section_sentence
from dlm_lsp.server import wording
from dlm_lsp.server.convert import Positions
from dlm_lsp.server.documents import Text
from dlm_lsp.server.protocol import JsonParts
from dlm_lsp.server.stories import Told

# What one answer holds at most; the client asks on from where it ends.
MAX_SECTIONS = 200
MAX_REMOVED = 200


def status_payload(uri: str, status: DocumentStatus, positions: Positions) -> dict[str, Any]:
    """Everything that is true of a document's training now (docs/protocol.md)."""
    sections = [section_payload(section, positions) for section in status.sections]
    return {"uri": uri, **_facts(status), "sections": sections}


def _facts(status: DocumentStatus) -> dict[str, Any]:
    """All but the sections."""
    given = payload(replace(status, sections=()))
    given.pop("sections")
    return {"message": headline(status), "pending": len(status.pending), **given}


def section_payload(section: SectionStatus, positions: Positions) -> dict[str, Any]:
    """The same of one section."""
    told: dict[str, Any] = plain(section)
    told["range"] = positions.plain(section.range)
    for forgotten, plainly in zip(section.forgotten, told["forgotten"], strict=True):
        plainly["range"] = positions.plain(forgotten.range)
    return told


@dataclass(frozen=True, slots=True)
class _Told:
    """A section's JSON: what stands before and after its place, and all of it."""

    head: str
    tail: str
    text: str

    @classmethod
    def of(cls, section: SectionStatus, positions: Positions) -> _Told:
        told = section_payload(section, positions)
        head, _, tail = json.dumps({**told, "range": None}).partition(_PLACE)
        return cls(head, tail, f'{head}"range": {json.dumps(told["range"])}{tail}')

    def moved(self, section: SectionStatus, positions: Positions) -> _Told:
        place = json.dumps(positions.plain(section.range))
        return _Told(self.head, self.tail, f'{self.head}"range": {place}{self.tail}')


_PLACE = '"range": null'
_BLOCK = 32  # sections whose text is kept as one


class StatusTexts:
    """The same payload as JSON, of which the next one takes over every section that still is what it was.

    Of those that a new line has moved only the place is written anew. What leaves is put together from blocks of
    sections, so that a save in a long document does not join thousands of texts.
    """

    def __init__(self) -> None:
        self._sections: tuple[SectionStatus, ...] = ()
        self._told: list[_Told] = []
        self._blocks: list[bytes] = []

    def of(self, uri: str, status: DocumentStatus, positions: Positions) -> JsonParts:
        if status.sections is not self._sections:
            self._take(status.sections, positions)
        frame = json.dumps({"uri": uri, **_facts(status)})
        return JsonParts((f'{frame[:-1]}, "sections": ['.encode(), *self._blocks, b"]}"))

    def _take(self, now: tuple[SectionStatus, ...], positions: Positions) -> None:
        """Sections that came or went stand where the first one differs; those after them are where they were."""
        grown, before, told = len(now) - len(self._sections), self._sections, self._told
        stale = set[int]()
        if grown:
            pairs = enumerate(zip(before, now, strict=False))
            first = next((number for number, pair in pairs if is_not(*pair)), min(len(before), len(now)))
            new, rest = now[first : max(first, first + grown)], max(first, first - grown)
            before = (*before[:first], *new, *before[rest:])
            told = [*told[:first], *[_Told.of(each, positions) for each in new], *told[rest:]]
            stale.update(range(first // _BLOCK, -(-len(now) // _BLOCK)))
        for number in compress(count(), map(is_not, before, now)):
            section = now[number]
            moved = _differ_in_place_only(before[number], section)
            told[number] = told[number].moved(section, positions) if moved else _Told.of(section, positions)
            stale.add(number // _BLOCK)
        self._sections, self._told = now, told
        self._blocks = [
            self._block(number) if number in stale else block
            for number, block in zip(range(-(-len(now) // _BLOCK)), chain(self._blocks, repeat(b"")), strict=False)
        ]

    def _block(self, number: int) -> bytes:
        """The JSON of some sections, with the comma that parts them from those before."""
        first = number * _BLOCK
        text = ",".join([each.text for each in self._told[first : first + _BLOCK]])
        return f",{text}".encode() if first else text.encode()


def _differ_in_place_only(one: SectionStatus, other: SectionStatus) -> bool:
    """Not so of one that lists places within it."""
    same = one.section_id == other.section_id and not one.forgotten
    return same and {**one.__dict__, "range": None} == {**other.__dict__, "range": None}


def progress_payload(uri: str, status: DocumentStatus) -> dict[str, Any] | None:
    """The fields that clients of other `.dlm` tools know, and the document's URI; None when nothing runs."""
    run = status.run
    if run is None:
        return None
    told: dict[str, Any] = {
        "run_id": run.run,
        "step": run.step,
        "total_steps": run.total or 0,
        "phase": run.phase or run.state.value,
        "uri": uri,
    }
    return told if run.loss is None else {**told, "loss": run.loss}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The parameters of `dlm/sectionStates`. Lines are 0-based; `last` None means up to the end."""

    uri: str
    first: int = 0
    last: int | None = None
    since: int | None = None
    exchanges: bool = False
    history: bool = False

    @classmethod
    def of(cls, params: Any) -> Wanted:
        """Raises ValueError with a sentence for what cannot be understood."""
        if not isinstance(params, dict) or not isinstance(params.get("uri"), str):
            raise ValueError("Give {uri}: the document whose sections are meant.")
        since, place = params.get("since"), params.get("range")
        if since is not None and (isinstance(since, bool) or not isinstance(since, int)):
            raise ValueError("`since` is the generation of an earlier answer, a whole number.")
        first, last = (0, None) if place is None else (_line(place, "start"), _line(place, "end"))
        return cls(params["uri"], first, last, since, params.get("exchanges") is True, params.get("history") is True)


def section_states_payload(wanted: Wanted, told: Told, text: Text) -> dict[str, Any]:
    """The states of the sections that are asked for, and what is remembered of removed lessons."""
    truth, status = told.truth, told.truth.status
    answer = {
        "uri": wanted.uri,
        "generation": status.sections_generation,
        "document_version": text.version,
        "version": status.version,
        "unchanged": wanted.since == status.sections_generation,
    }
    if answer["unchanged"]:
        return answer
    sections: list[dict[str, Any]] = []
    next_line = None
    for section, state in truth.sections(wanted.first, wanted.last):
        if len(sections) == MAX_SECTIONS:
            next_line = state.range.start.line
            break
        sections.append(_section_state(wanted, told, section, state, text.positions))
    return {
        **answer,
        "summary": truth.summary,
        "sections": sections,
        "next_line": next_line,
        "removed": [plain(lesson) for lesson in truth.removed(told.recall.words, MAX_REMOVED)],
        "removed_count": len(truth.left),
    }


def _section_state(
    wanted: Wanted, told: Told, section: Section, state: SectionStatus, positions: Positions
) -> dict[str, Any]:
    given = {
        **plain(state),
        "range": _range(state.range, positions),
        "label": label(state),
        "detail": wording.sentence(section_sentence(state)),
    }
    if wanted.history:
        given["history"] = [plain(chapter) for chapter in told.history(section)]
    if wanted.exchanges:
        numbered = told.truth.exchanges(section, wanted.first, wanted.last)
        given["exchanges"] = [
            _exchange_state(wanted, told, exchange.range, lesson, positions) for _, exchange, lesson in numbered
        ]
    return given


def _exchange_state(
    wanted: Wanted, told: Told, place: Range, lesson: LessonStatus, positions: Positions
) -> dict[str, Any]:
    given = {**plain(lesson), "range": _range(place, positions), "label": label(lesson)}
    if wanted.history:
        given["history"] = [plain(chapter) for chapter in told.exchange_history(lesson)]
    return given


def _range(place: Range, positions: Positions) -> dict[str, Any]:
    start, end = positions.position(place.start), positions.position(place.end)
    return {
        "start": {"line": start.line, "character": start.character},
        "end": {"line": end.line, "character": end.character},
    }


def _line(place: Any, end: str) -> int:
    where = place.get(end) if isinstance(place, dict) else None
    line = where.get("line") if isinstance(where, dict) else None
    if isinstance(line, bool) or not isinstance(line, int) or line < 0:
        raise ValueError("`range` is a range of the protocol: {start: {line, character}, end: {line, character}}.")
    return line
