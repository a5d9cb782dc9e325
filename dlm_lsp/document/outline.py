"""The structure of a document as a tree: what outlines, folding and selection show, with exact places."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from dlm_lsp.document.exchanges import header_name
from dlm_lsp.document.model import Document, KeyPath, Position, Range, Section
from dlm_lsp.document.text import span

NodeKind = Literal["frontmatter", "key", "section", "exchange", "part", "heading", "code", "markers"]

NAME_LENGTH = 60
_HEADING = re.compile(r"(#{1,6})\s+(\S.*?)\s*#*")
_CODE = "```"


class Node(NamedTuple):
    """A part of a document. `selection` lies within `range` and names it; children lie within it, in order.

    A *part* is a header such as `### Q` with its text; *markers* are the comment lines that other tools left.
    `last_line` is the last one that is not blank: a section's range reaches to the next fence. `path` is a key's.
    """

    kind: NodeKind
    name: str
    range: Range
    selection: Range
    last_line: int
    detail: str = ""
    children: tuple[Node, ...] = ()
    path: KeyPath = ()


def outline(document: Document) -> tuple[Node, ...]:
    """The frontmatter (if it is closed) and every section, each with what it is made of. Linear time."""
    lines = document.text.split("\n")
    nodes = [head_node(document, lines)] if document.frontmatter_range is not None else []
    nodes += [section_node(section, lines) for section in document.sections]
    return tuple(nodes)


# --- frontmatter --------------------------------------------------------------------------------------------


def head_node(document: Document, lines: Sequence[str]) -> Node:
    """The frontmatter with its keys; `lines` are the text's first ones at least."""
    place = document.frontmatter_range
    assert place is not None
    below: dict[KeyPath, list[KeyPath]] = {}
    for path in document.keys:
        below.setdefault(path[:-1], []).append(path)
    children = _keys(document, lines, below, (), place)
    opener = Range(place.start, Position(place.start.line, place.start.column + len(lines[place.start.line])))
    return Node("frontmatter", "Frontmatter", place, opener, place.end.line, children=children)


def _keys(
    document: Document, lines: Sequence[str], below: dict[KeyPath, list[KeyPath]], parent: KeyPath, inside: Range
) -> tuple[Node, ...]:
    nodes = []
    for path in below.get(parent, ()):
        places = document.keys[path]
        whole = Range(places.key.start, max(places.key.end, places.value.end))
        # What an alias, a merge or an old version put here is written elsewhere.
        if not inside.start <= whole.start <= whole.end <= inside.end:
            continue
        children = _keys(document, lines, below, path, whole)
        value = "" if children or places.value.start.line != places.value.end.line else _text(lines, places.value)
        if isinstance(path[-1], int):
            name, value = f"[{path[-1]}]", value if not children else _first_value(children)
            selection = Range(whole.start, _line_rest(lines, whole.start, whole.end))
        else:
            name, selection = str(path[-1]), places.key
        nodes.append(Node("key", name, whole, selection, whole.end.line, _short(value), children, path))
    nodes.sort(key=lambda node: node.range)
    return tuple(node for node, before in zip(nodes, (None, *nodes), strict=False) if not _overlaps(node, before))


def _overlaps(node: Node, before: Node | None) -> bool:
    """Of a key written twice both stand at the place of the last one."""
    return before is not None and node.range.start < before.range.end


def _first_value(children: Sequence[Node]) -> str:
    return next((child.detail for child in children if child.detail), "")


# --- sections -----------------------------------------------------------------------------------------------


def section_node(section: Section, lines: Sequence[str]) -> Node:
    """A section with what it is made of; `lines` are those of the text that it counts its own by."""
    place = section.range
    first = place.start.line
    fenced = lines[first].startswith("::")
    end = place.end.line
    # An empty content is one blank line or none at all: its section then ends with the fence or the markers.
    blank = end > first and not lines[end]
    content = end - section.content.count("\n") + (not section.content and not blank)
    selection = _line(lines, first) if fenced else Range(place.start, _line(lines, first).end)
    children: list[Node] = []
    if fenced and first + 1 < content:
        children.append(_lines_node("markers", "provenance", lines, first + 1, content - 1))
    last = _last_line(lines, first, end)
    if section.kind in ("instruction", "preference"):
        children += _records(section, lines, content)
    else:
        children += _prose(lines, content, last)
    name = section.kind + (f"#{section.adapter}" if section.adapter else "")
    detail = _detail(section, lines, content, last)
    return Node("section", name, place, selection, last, detail, tuple(children))


def _detail(section: Section, lines: Sequence[str], content: int, last: int) -> str:
    if section.kind in ("instruction", "preference"):
        count = len(section.records)
        return "1 exchange" if count == 1 else f"{count} exchanges"
    if section.media_path is not None:
        return _short(section.media_path)
    text = next((lines[number].strip() for number in range(content, last + 1) if lines[number].strip()), "")
    return _short(text.lstrip("# ") or text)


def _records(section: Section, lines: Sequence[str], content: int) -> Iterator[Node]:
    """The exchanges of a section with their parts. One that is not complete has parts and no exchange."""
    end = section.range.end.line
    headers = [number for number in range(content, end + 1) if header_name(section.kind, lines[number].strip())]
    parts = [
        _lines_node("part", lines[number].strip(), lines, number, following - 1)
        for number, following in pairwise((*headers, end + 1))
    ]
    waiting = deque(parts)
    for exchange in section.exchanges:
        place = exchange.range
        while waiting and waiting[0].range.start < place.start:
            yield waiting.popleft()
        inside = []
        while waiting and waiting[0].range.start < place.end:
            part = waiting.popleft()
            if part.range.end <= place.end:
                inside.append(part)
        first = next(iter(exchange.prompt.splitlines()), "")
        selection = Range(place.start, _line_rest(lines, place.start, place.end))
        detail = "probe" if exchange.probe else ""
        yield Node("exchange", _short(first), place, selection, place.end.line, detail, tuple(inside))
    yield from waiting


def _prose(lines: Sequence[str], first: int, last: int) -> list[Node]:
    """Headings, each reaching to the next one, and code blocks, as deep as they lie in one another."""
    nodes: list[Node] = []
    opened = -1
    headings: list[tuple[int, int, str]] = []  # line, level, text
    for number in range(first, last + 1):
        line = lines[number]
        if line.startswith(_CODE):
            if opened >= 0:
                nodes.append(_lines_node("code", line_name(lines[opened]), lines, opened, number))
            opened = number if opened < 0 else -1
        elif opened < 0 and (match := _HEADING.fullmatch(line)):
            headings.append((number, len(match[1]), match[2]))
    return _nested(headings, nodes, lines, last)


def _nested(
    headings: Sequence[tuple[int, int, str]], blocks: Sequence[Node], lines: Sequence[str], last: int
) -> list[Node]:
    """A heading holds what follows up to the next one of its level or above."""
    top: list[Node] = []
    open_: list[tuple[int, int, str, list[Node]]] = []

    def close(level: int, before: int) -> None:
        while open_ and open_[-1][1] >= level:
            line, _, text, children = open_.pop()
            place = _lines_node("heading", _short(text), lines, line, before)
            node = Node("heading", place.name, place.range, _line(lines, line), place.last_line, "", tuple(children))
            (open_[-1][3] if open_ else top).append(node)

    waiting = list(blocks)
    for line, level, text in (*headings, (last + 1, 0, "")):
        while waiting and waiting[0].range.start.line < line:
            (open_[-1][3] if open_ else top).append(waiting.pop(0))
        close(level, line - 1)
        open_.append((line, level, text, []))
    return top


def line_name(opening: str) -> str:
    """What a code block's opening line says of its language."""
    return opening.strip("` ") or "code"


# --- places -------------------------------------------------------------------------------------------------


def _lines_node(kind: NodeKind, name: str, lines: Sequence[str], first: int, last: int) -> Node:
    """A node over whole lines, without the blank ones at its end."""
    last = _last_line(lines, first, last)
    place = Range(_start(lines, first), Position(last, len(lines[last].rstrip())))
    return Node(kind, name, place, Range(place.start, _line_rest(lines, place.start, place.end)), last)


def _last_line(lines: Sequence[str], first: int, last: int) -> int:
    while last > first and not lines[last].strip():
        last -= 1
    return last


def _start(lines: Sequence[str], number: int) -> Position:
    return Position(number, len(lines[number]) - len(lines[number].lstrip()))


def _line(lines: Sequence[str], number: int) -> Range:
    return span(number, 0, len(lines[number]))


def _line_rest(lines: Sequence[str], start: Position, end: Position) -> Position:
    """The end of the text in the line of `start`, but no later than `end`."""
    return min(end, max(start, Position(start.line, len(lines[start.line].rstrip()))))


def _text(lines: Sequence[str], place: Range) -> str:
    return lines[place.start.line][place.start.column : place.end.column]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= NAME_LENGTH else f"{text[: NAME_LENGTH - 1]}…"
