"""What others may want to know of a document without reading it again: its id, and the places that can be gone to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, NamedTuple

from dlm_lsp.document.model import Document, Position, Range
from dlm_lsp.document.outline import Node, outline
from dlm_lsp.document.text import LineIndex, PositionEncoding, span

MOST_SYMBOLS = 2_000
"""How many places of one document are kept."""

EntryKind = Literal["section", "exchange", "heading"]


class EntrySymbol(NamedTuple):
    """A place that has a name. `range` counts columns as the client does, so that it holds without the text."""

    name: str
    kind: EntryKind
    container: str
    range: Range


@dataclass(frozen=True, slots=True)
class Entry:
    """One document in an index. `dlm_id` is what is written, valid or not; `id_range` counts as the client does."""

    dlm_id: str | None = None
    id_range: Range | None = None
    symbols: tuple[EntrySymbol, ...] = ()


def entry_of(document: Document, encoding: PositionEncoding) -> Entry:
    """The entry of `document`, for a client that counts columns in `encoding`. Linear time."""
    return replace(header_of(document, encoding), symbols=symbols_of(document, encoding))


def header_of(document: Document, encoding: PositionEncoding) -> Entry:
    """The same without the symbols, which costs next to nothing."""
    keyed = document.keys.get(("dlm_id",))
    if keyed is None or keyed.value.start.line != keyed.value.end.line:
        return Entry()
    number, (start, end) = keyed.value.start.line, keyed.value
    line = document.text.split("\n", number + 1)[number]
    written = line[start.column : end.column].strip("'\"")
    columns = (LineIndex(line).to_units(Position(0, each.column), encoding) for each in keyed.value)
    return Entry(written or None, span(number, *columns))


def symbols_of(document: Document, encoding: PositionEncoding) -> tuple[EntrySymbol, ...]:
    index = LineIndex(document.text)

    def counted(place: Range) -> Range:
        start, end = (Position(each.line, index.to_units(each, encoding)) for each in place)
        return Range(start, end)

    places = islice(_places(outline(document), ""), MOST_SYMBOLS)
    return tuple(EntrySymbol(name, kind, container, counted(place)) for name, kind, container, place in places)


def _places(nodes: tuple[Node, ...], container: str) -> Iterator[tuple[str, EntryKind, str, Range]]:
    """What has a name of its own: headings, exchanges, media, the sections of an adapter, prose without a heading."""
    for node in nodes:
        name = node.name
        if node.kind == "section":
            prose = node.name == "prose" or node.name.startswith("prose#")
            media = node.name in ("image", "audio")
            if (prose and not any(child.kind == "heading" for child in node.children)) or media:
                yield node.detail or node.name, "section", node.name, node.selection
            elif "#" in node.name:
                yield node.name, "section", node.detail, node.selection
        elif node.kind in ("exchange", "heading") and node.name:
            yield node.name, "exchange" if node.kind == "exchange" else "heading", container, node.selection
        else:
            name = container
        if node.kind != "frontmatter":
            yield from _places(node.children, name)
