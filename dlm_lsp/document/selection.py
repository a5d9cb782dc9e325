"""What encloses a place in a document: word, line, paragraph, exchange, section, text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dlm_lsp.document.model import Position, Range
from dlm_lsp.document.outline import Node
from dlm_lsp.document.text import span

# A model's name such as `qwen2.5-0.5b` is one word.
_WORD = re.compile(r"[\w][\w.+-]*")


def enclosing(nodes: Sequence[Node], lines: Sequence[str], place: Position) -> tuple[Range, ...]:
    """Ranges around `place`, each larger than the one before; the last is the whole text.

    `nodes` is the document's outline, `lines` are the text's.
    """
    number = min(place.line, len(lines) - 1)
    found = [Range(Position(0, 0), Position(len(lines) - 1, len(lines[-1])))]
    for candidate in (*_nodes(nodes, place), *_lines(lines, number), *_words(lines[number], number, place)):
        if candidate != found[-1] and found[-1].start <= candidate.start and candidate.end <= found[-1].end:
            found.append(candidate)
    return tuple(found[::-1])


def _nodes(nodes: Sequence[Node], place: Position) -> Iterator[Range]:
    level = nodes
    while (found := next((node for node in level if node.range.start <= place <= node.range.end), None)) is not None:
        yield found.range
        level = found.children


def _lines(lines: Sequence[str], number: int) -> Iterator[Range]:
    """The paragraph, if there is one at this line, and the line without the blanks around it."""
    text = lines[number]
    if not text.strip():
        return
    first = last = number
    while first > 0 and lines[first - 1].strip():
        first -= 1
    while last + 1 < len(lines) and lines[last + 1].strip():
        last += 1
    yield Range(Position(first, 0), Position(last, len(lines[last])))
    yield span(number, len(text) - len(text.lstrip()), len(text.rstrip()))


def _words(text: str, number: int, place: Position) -> Iterator[Range]:
    for match in _WORD.finditer(text):
        if match.start() <= place.column <= match.end():
            yield span(number, *match.span())
            return
