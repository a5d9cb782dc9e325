"""Answers about a whole text, put together from a piece for each section that is made once, whatever moves it.

Such an answer is as long as the text, and an editor asks for several of them after each keystroke. So a section's nodes
and tokens, counted in lines from its own first one, are kept as long as it stays as it is, and each answer is JSON with
the places of the lines left open. Outcomes are those of `structure` and `highlighting`, to the byte.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from operator import itemgetter

from dlm_lsp.document import Document, Section
from dlm_lsp.document.model import Range, moved
from dlm_lsp.document.outline import Node, head_node, section_node
from dlm_lsp.document.reading import Reading
from dlm_lsp.document.text import BYTE_ORDER_MARK, PositionEncoding
from dlm_lsp.document.tokens import Token, head_tokens, section_tokens
from dlm_lsp.server.convert import Positions
from dlm_lsp.server.highlighting import number_of
from dlm_lsp.server.protocol import Json
from dlm_lsp.server.structure import fold_kind, symbol_kind


@dataclass(frozen=True, slots=True)
class Template:
    """JSON in which each `%d` is a line, counted from the piece's first one."""

    text: str
    lines: tuple[int, ...]

    def at(self, line: int) -> str:
        return self.text % tuple([line + each for each in self.lines])


@dataclass(frozen=True, slots=True)
class Fold:
    """One that can be folded; `depth` says how many others it is in."""

    start: int
    end: int
    kind: str
    depth: int


class Piece:
    """The head or one section: its node and tokens, with lines counted from its first one."""

    def __init__(self, node: Node, tokens: Callable[[], list[Token]], positions: Positions) -> None:
        self.node = node
        self._tokens = tokens
        self._positions = positions
        self._flat: Template | None = None

    @cached_property
    def tree(self) -> Template:
        """The document symbol."""
        lines: list[int] = []
        return Template(self._symbol(self.node, lines), tuple(lines))

    def flat(self, uri: str) -> Template:
        """The same as a list without brackets, for clients that show no trees."""
        if self._flat is None:
            lines: list[int] = []
            where = _text(uri)
            found = [
                f'{{"location":{{"uri":{where},"range":{self._range(node.range, lines)}}}'
                f',"name":{_text(node.name or node.kind)},"kind":{kind}{_field("containerName", container)}}}'
                for node, container in _walk(self.node, "")
                if (kind := symbol_kind(node)) is not None
            ]
            self._flat = Template(",".join(found), tuple(lines))
        return self._flat

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        """In the order of the text, the outer ones first."""
        return tuple(sorted(_folds(self.node, 0), key=lambda fold: (fold.start, -fold.end)))

    @cached_property
    def all_folds(self) -> Template:
        return fold_template(self.folds)

    @cached_property
    def tokens(self) -> tuple[tuple[int, int, int, int], ...]:
        """Line, column, length and type, in the client's units."""
        found = []
        for token in self._tokens():
            place = self._positions.plain(token.range)
            start, end = place["start"], place["end"]
            if (length := end["character"] - start["character"]) > 0:
                found.append((start["line"], start["character"], length, number_of(token.kind)))
        return tuple(found)

    @cached_property
    def packed(self) -> tuple[int, str, int] | None:
        """The first token's line, all but the step to it, and the last token's line; None without tokens."""
        if not self.tokens:
            return None
        return self.tokens[0][0], pack(self.tokens).partition(",")[2], self.tokens[-1][0]

    def _symbol(self, node: Node, lines: list[int]) -> str:
        text = (
            f'{{"name":{_text(node.name or node.kind)},"kind":{symbol_kind(node)}'
            f',"range":{self._range(node.range, lines)},"selectionRange":{self._range(node.selection, lines)}'
            f"{_field('detail', node.detail)}"
        )
        children = [self._symbol(child, lines) for child in node.children if symbol_kind(child) is not None]
        return f'{text},"children":[{",".join(children)}]}}' if children else f"{text}}}"

    def _range(self, place: Range, lines: list[int]) -> str:
        lines += (place.start.line, place.end.line)
        start, end = self._positions.position(place.start), self._positions.position(place.end)
        return (
            f'{{"start":{{"line":%d,"character":{start.character}}},"end":{{"line":%d,"character":{end.character}}}}}'
        )


class Pieces:
    """The pieces of one document, of which the next state of it takes over what it has in common with this one."""

    def __init__(self, encoding: PositionEncoding) -> None:
        self._encoding = encoding
        self._head: tuple[object, Piece] | None = None
        self._sections: dict[int, tuple[Section, Piece]] = {}  # by the identity of the id, which a move leaves alone
        self._placed: list[tuple[int, Piece]] = []
        self._document: Document | None = None

    def of(self, document: Document, reading: Reading) -> Sequence[tuple[int, Piece]]:
        """The head and each section with the line that its lines count from."""
        if document is self._document:
            return self._placed
        if self._head is None or self._head[0] is not reading.head:
            self._head = (reading.head, _head_piece(document, reading, self._encoding))
        before, kept = self._sections, {}
        placed = [(0, self._head[1])]
        blocks = zip(reading.sections, reading.offsets, [*reading.offsets[1:], len(document.text) + 1], strict=True)
        for section, offset, stop in blocks:
            if section is None:
                continue
            key = id(section.section_id)
            if (found := before.get(key)) is None:
                found = (section, _section_piece(section, document.text[offset:stop], self._encoding))
            kept[key] = found
            placed.append((section.start_line - 1, found[1]))
        self._document, self._sections, self._placed = document, kept, placed
        return placed


def _head_piece(document: Document, reading: Reading, encoding: PositionEncoding) -> Piece:
    head = reading.head
    lines = head.text.split("\n")
    node = head_node(document, lines)
    mark = BYTE_ORDER_MARK if head.column else ""
    return Piece(node, lambda: head_tokens(document, node, lines), Positions(mark + head.text, encoding))


def _section_piece(section: Section, text: str, encoding: PositionEncoding) -> Piece:
    """`text` is the block's; leading prose may begin below the first line of it."""
    lines = text.split("\n")
    own = section.moved(1 - section.start_line)
    if not lines[0] and len(lines) > 1:
        text, lines = text[1:], lines[1:]
    node = section_node(own, lines)
    return Piece(node, lambda: section_tokens(node, lines), Positions(text, encoding))


def symbols(pieces: Iterable[tuple[int, Piece]]) -> Json:
    return Json(f"[{','.join([piece.tree.at(line) for line, piece in pieces])}]")


def flat_symbols(pieces: Iterable[tuple[int, Piece]], uri: str) -> Json:
    return Json(f"[{','.join([piece.flat(uri).at(line) for line, piece in pieces])}]")


def folds(pieces: Sequence[tuple[int, Piece]], limit: int | None) -> Json:
    """The outer ones if there are more than `limit`; of the innermost that fit, the first."""
    if limit is None or sum(len(piece.folds) for _, piece in pieces) <= limit:
        return Json(f"[{','.join([text for line, piece in pieces if (text := piece.all_folds.at(line))])}]")
    depth, left = 0, limit
    while (count := sum(fold.depth == depth for _, piece in pieces for fold in piece.folds)) <= left and left:
        left -= count
        depth += 1
    found = []
    for line, piece in pieces:
        chosen = []
        for fold in piece.folds:
            if fold.depth < depth or (fold.depth == depth and left > 0):
                left -= fold.depth == depth
                chosen.append(fold)
        if chosen:
            found.append(fold_template(chosen).at(line))
    return Json(f"[{','.join(found)}]")


def tokens(pieces: Iterable[tuple[int, Piece]]) -> Json:
    before, found = 0, []
    for line, piece in pieces:
        if (packed := piece.packed) is not None:
            first, rest, last = packed
            found.append(f"{line + first - before},{rest}")
            before = line + last
    return Json(f'{{"data":[{",".join(found)}]}}')


def tokens_between(pieces: Sequence[tuple[int, Piece]], first: int, last: int) -> Json:
    """Those of the lines `first` up to `last`, both included."""
    found = [
        (line + own, *rest)
        for line, piece in near(pieces, first, last)
        for own, *rest in piece.tokens
        if first <= line + own <= last
    ]
    return Json(f'{{"data":[{pack(found)}]}}')


def near(pieces: Sequence[tuple[int, Piece]], first: int, last: int) -> Iterator[tuple[int, Piece]]:
    """The pieces that touch the lines from `first` up to `last`."""
    begin = max(bisect_right(pieces, first, key=itemgetter(0)) - 1, 0)
    for line, piece in islice(pieces, begin, bisect_right(pieces, last, key=itemgetter(0))):
        if line + piece.node.range.end.line >= first:
            yield line, piece


def nodes(pieces: Sequence[tuple[int, Piece]], line: int) -> tuple[Node, ...]:
    """The outline's part at one line."""
    return tuple(_moved(piece.node, at) for at, piece in near(pieces, line, line))


def pack(tokens: Iterable[Sequence[int]]) -> str:
    """Five numbers a token: lines and columns since the one before, length, type, no modifiers."""
    line = column = 0
    found = []
    for number, start, length, kind in tokens:
        step = number - line
        found.append(f"{step},{start - column if not step else start},{length},{kind},0")
        line, column = number, start
    return ",".join(found)


def fold_template(chosen: Iterable[Fold]) -> Template:
    lines: list[int] = []
    found = []
    for fold in chosen:
        lines += (fold.start, fold.end)
        found.append(f'{{"startLine":%d,"endLine":%d{_field("kind", fold.kind)}}}')
    return Template(",".join(found), tuple(lines))


def _folds(node: Node, depth: int) -> Iterator[Fold]:
    start, end = node.range.start.line, node.last_line
    if end > start:
        yield Fold(start, end, fold_kind(node), depth)
    for child in node.children:
        yield from _folds(child, depth + 1)


def _walk(node: Node, container: str) -> Iterator[tuple[Node, str]]:
    yield node, container
    for child in node.children:
        yield from _walk(child, node.name)


def _moved(node: Node, lines: int) -> Node:
    return node._replace(
        range=moved(node.range, lines),
        selection=moved(node.selection, lines),
        last_line=node.last_line + lines,
        children=tuple(_moved(child, lines) for child in node.children),
    )


def _field(name: str, value: str) -> str:
    return f',"{name}":{_text(value)}' if value else ""


def _text(value: str) -> str:
    return json.dumps(value).replace("%", "%%")
