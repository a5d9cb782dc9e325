"""Where named adapters are declared and used: for definition, references and rename."""

from __future__ import annotations

from dataclasses import dataclass

from dlm_lsp.document.model import Document, Position, Range, Section
from dlm_lsp.document.text import span


@dataclass(frozen=True, slots=True)
class AdapterPlaces:
    """All places of one name. `declared` is None while no key below `training.adapters` has it."""

    name: str
    declared: Range | None
    used: tuple[Range, ...]

    @property
    def all(self) -> tuple[Range, ...]:
        return (*((self.declared,) if self.declared else ()), *self.used)


def adapter_at(document: Document, place: Position) -> tuple[str, Range] | None:
    """The adapter's name that `place` touches, in its declaration or in a fence."""
    for name in adapter_names(document):
        for found in places_of(document, name).all:
            if found.start <= place <= found.end:
                return name, found
    return None


def adapter_names(document: Document) -> tuple[str, ...]:
    """Every declared or used name, once, declared ones first."""
    declared = [path[2] for path in document.keys if len(path) == 3 and path[:2] == ("training", "adapters")]
    used = [section.adapter for section in document.sections if section.adapter is not None]
    return tuple(dict.fromkeys(str(name) for name in (*declared, *used)))


def places_of(document: Document, name: str) -> AdapterPlaces:
    """Where `name` stands in the document."""
    place = document.keys.get(("training", "adapters", name))
    used = [_in_fence(section) for section in document.sections if section.adapter == name]
    return AdapterPlaces(name, place.key if place else None, tuple(used))


def _in_fence(section: Section) -> Range:
    assert section.adapter is not None
    start = len(f"::{section.kind}#")
    return span(section.range.start.line, start, start + len(section.adapter))
