"""Which problems a document shows: its own, and what its status says about learning. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dlm_lsp.document import Document, Position, Problem, Range, Severity
from dlm_lsp.document.reading import line_of
from dlm_lsp.runs.status import DocumentStatus, RunState, SectionState, SectionStatus
from dlm_lsp.runs.telling import count, forgotten_sentence, section_sentence
from dlm_lsp.server import wording

# The codes of what is said about learning; the document's own problems have theirs (docs/format.md).
CODES = {
    "not-learned": (Severity.HINT, "A section is new or changed, and no committed version has learned it."),
    "partly-learned": (
        Severity.INFORMATION,
        "A run ended (at its step cap or last epoch) before all of a section was learned.",
    ),
    "forgotten": (
        Severity.WARNING,
        "A later run made the adapter forget what this section taught; its rehearsal or a revert brings it back.",
    ),
    "not-trained": (Severity.INFORMATION, "A section is of a kind that is not trained on save."),
    "no-new-content": (Severity.INFORMATION, "The last save held nothing new: no run was made."),
    "saved-not-trained": (Severity.INFORMATION, "The last save was not trained, and why."),
    "changed-on-disk": (
        Severity.INFORMATION,
        "The file was changed, moved or deleted without a save; nothing is trained of it by itself.",
    ),
    "store-locked": (Severity.WARNING, "Another process holds the store; the run begins when it is free."),
    "store-repaired": (Severity.INFORMATION, "What the last run found wrong in the store, and what it did about it."),
    "run-stuck": (
        Severity.WARNING,
        "A run that was asked to stop came to no step boundary in time; nothing follows it by itself.",
    ),
    "run-failed": (Severity.ERROR, "The last run failed; the version before it stays current."),
}

MAX_MARKS = 200
"""How many sections of one document are marked with one code; more would be noise, and cost each keystroke."""

_MARKS = {
    "not-learned": (
        SectionState.NEW,
        SectionState.CHANGED,
        SectionState.FAILED,
        SectionState.WAITING,
        SectionState.LEARNING,
    ),
    "partly-learned": (SectionState.PARTLY,),
    "not-trained": (SectionState.UNTRAINED,),
}
_TOLD = frozenset(state for states in _MARKS.values() for state in states)
_MORE = {
    "not-learned": "not learned yet",
    "partly-learned": "learned in part",
    "not-trained": "of a kind that is not trained on save",
}


def problems(document: Document, status: DocumentStatus, *, marking: bool = True) -> list[Problem]:
    """All problems of `document` with this status, in the order of the text.

    Without `marking` (training on save is off) nothing is said of saves and sections.
    """
    places = _Places(document)
    found = [*document.problems, *_of_runs(places, status)]
    if marking:
        found.extend(_of_saves(places, status))
        unusual = [section for section in status.sections if section.state in _TOLD or section.forgotten]
        found.extend(_of_sections(places, unusual))
        found.extend(mark for section in unusual for mark in _forgotten(places, section))
    return sorted(found, key=lambda problem: problem.range.start)


class _Places:
    """Where in a document something is to be said."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def line(self, number: int) -> Range:
        return Range(Position(number, 0), Position(number, len(line_of(self._document, number))))

    def head(self, section: Range) -> Range:
        """A section's first line only: a mark over all of it would be noise."""
        return Range(section.start, max(section.start, self.line(section.start.line).end))

    def key(self, dotted: str) -> Range:
        """A frontmatter key with its value, its nearest parent that is written, or the first line."""
        place = self._document.key_place(tuple(dotted.split(".")))
        return Range(place.key.start, place.value.end) if place else self.line(0)


def _of_sections(places: _Places, sections: Sequence[SectionStatus]) -> list[Problem]:
    """The first sections of each kind are marked at their fences; how many more there are is said in the first line."""
    found: list[Problem] = []
    for code, states in _MARKS.items():
        marked = [section for section in sections if section.state in states]
        marks = [_of_section(places, section) for section in marked[:MAX_MARKS]]
        found += [mark for mark in marks if mark is not None]
        if more := len(marked) - len(marks):
            what = f"{count(more, 'more section')} {'is' if more == 1 else 'are'} {_MORE[code]}"
            found.append(_problem(code, f"{what}; the first {len(marks)} are marked where they are.", places.line(0)))
    return found


def _of_section(places: _Places, section: SectionStatus) -> Problem | None:
    place = places.head(section.range)
    match section.state:
        case SectionState.NEW:
            return _problem("not-learned", "Not learned yet: this section is new.", place)
        case SectionState.CHANGED:
            return _problem("not-learned", "Not learned yet: this section changed.", place)
        case SectionState.WAITING:
            return _problem("not-learned", "Not learned yet: the queued run learns it.", place)
        case SectionState.LEARNING:
            return _problem("not-learned", "Not learned yet: it is being learned now.", place)
        case SectionState.FAILED:
            return _problem("not-learned", f"Not learned yet. {wording.sentence(section.reason)}", place)
        case SectionState.PARTLY:
            return _problem("partly-learned", wording.sentence(section_sentence(section)), place)
        case SectionState.UNTRAINED:
            return _problem("not-trained", wording.sentence(section_sentence(section)), place)
        case _:
            return None


def _forgotten(places: _Places, section: SectionStatus) -> list[Problem]:
    """One for each exchange, at its question."""
    return [
        _problem("forgotten", wording.sentence(forgotten_sentence(each)), places.head(each.range))
        for each in section.forgotten
    ]


def _of_runs(places: _Places, status: DocumentStatus) -> list[Problem]:
    found = []
    if status.lock is not None and status.state is RunState.WAITING:
        message = f"The store is locked: {status.lock.detail}. Training begins by itself when it is free."
        found.append(_problem("store-locked", message, places.key("dlm_id")))
    if status.run is not None and status.run.state is RunState.STUCK:
        found.append(_problem("run-stuck", f"The run does not stop: {status.run.detail}", places.line(0)))
    last = status.last
    if last is not None and last.outcome == "failed":
        found.append(_problem("run-failed", last.message, places.key(last.key or "")))
    return found


def _of_saves(places: _Places, status: DocumentStatus) -> list[Problem]:
    found = []
    last = status.last
    if last is not None and last.outcome == "skipped" and status.run is None:
        found.append(_problem("no-new-content", last.message, places.line(0)))
    if last is not None and last.notes:
        told = " ".join(wording.sentence(note) for note in last.notes)
        found.append(_problem("store-repaired", told, places.key("dlm_id")))
    if status.note:
        found.append(_problem("saved-not-trained", wording.sentence(status.note), places.line(0)))
    if status.disk:
        found.append(_problem("changed-on-disk", status.disk, places.line(0)))
    return found


def _problem(code: str, message: str, place: Range) -> Problem:
    return Problem(code, CODES[code][0], message, place)
