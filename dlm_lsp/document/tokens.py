"""What each word of a document's structure is, for highlighting. Prose and code are left to the editor."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from dlm_lsp.document.body import ATTRIBUTE, ATTRIBUTE_FENCE, FENCE
from dlm_lsp.document.keys import describe_key
from dlm_lsp.document.model import Document, KeyPath, Range
from dlm_lsp.document.outline import Node
from dlm_lsp.document.text import span

TokenKind = Literal["keyword", "property", "string", "number", "comment", "variable", "decorator"]

_NUMBER = re.compile(r"[-+]?(\d[\d_]*)(\.\d*)?([eE][-+]?\d+)?|\.\d+")
_CONSTANT = re.compile(r"true|false|yes|no|on|off|null|~", re.IGNORECASE)
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of one line."""

    kind: TokenKind
    range: Range


def tokens(document: Document, nodes: Sequence[Node]) -> tuple[Token, ...]:
    """All tokens in the order of the text, none over another; `nodes` is the document's outline."""
    lines = document.text.split("\n")
    found: list[Token] = []
    for node in nodes:
        found += head_tokens(document, node, lines) if node.kind == "frontmatter" else section_tokens(node, lines)
    return tuple(found)


def head_tokens(document: Document, node: Node, lines: Sequence[str]) -> list[Token]:
    """Those of the frontmatter, in their order."""
    return sorted(_frontmatter(document, node, lines), key=lambda token: token.range)


def section_tokens(node: Node, lines: Sequence[str]) -> list[Token]:
    """Those of a section, in their order."""
    return sorted(_section(node, lines), key=lambda token: token.range)


def _frontmatter(document: Document, node: Node, lines: Sequence[str]) -> Iterator[Token]:
    taken: dict[int, int] = {}  # per line, up to which column something stands that is no comment
    pending = list(node.children)
    while pending:
        child = pending.pop()
        pending += child.children
        path = child.path
        if isinstance(path[-1], str) and child.selection.start < child.selection.end:
            yield Token("property", child.selection)
        if not child.children:
            value = document.keys[path].value
            kind = _value_kind(path, lines[value.start.line][value.start.column :].strip(), value)
            for number in range(value.start.line, value.end.line + 1):
                start = value.start.column if number == value.start.line else _indent(lines[number])
                end = value.end.column if number == value.end.line else len(lines[number].rstrip())
                taken[number] = max(taken.get(number, 0), end)
                if end > start:
                    yield Token(kind, span(number, start, end))
        taken[child.selection.start.line] = max(taken.get(child.selection.start.line, 0), child.selection.end.column)
    if not node.children:
        return  # what could not be read is not coloured by guesses
    for number in range(node.range.start.line + 1, node.range.end.line):
        if match := _COMMENT.search(lines[number], taken.get(number, 0)):
            yield Token("comment", span(number, *match.span()))


def _value_kind(path: KeyPath, rest: str, value: Range) -> TokenKind:
    if value.start.line != value.end.line or rest[:1] in ("'", '"'):
        return "string"
    word = rest[: value.end.column - value.start.column]
    if _NUMBER.fullmatch(word):
        return "number"
    info = describe_key(path)
    if _CONSTANT.fullmatch(word) or (info is not None and word in info.allowed):
        return "keyword"
    return "string"


def _section(node: Node, lines: Sequence[str]) -> Iterator[Token]:
    number = node.range.start.line
    if lines[number].startswith("::"):
        yield from _fence(lines[number], number)
    pending = list(node.children)
    while pending:
        child = pending.pop()
        if child.kind == "markers":
            for line in range(child.range.start.line, child.range.end.line + 1):
                yield Token("comment", span(line, 0, len(lines[line])))
        elif child.kind == "part":
            yield Token("decorator", child.selection)
        elif child.kind == "exchange":
            pending += child.children


def _fence(line: str, number: int) -> Iterator[Token]:
    if match := ATTRIBUTE_FENCE.fullmatch(line):
        yield Token("keyword", span(number, 0, match.end("kind")))
        for attribute in ATTRIBUTE.finditer(line, *match.span("attributes")):
            yield Token("property", span(number, *attribute.span(1)))
            yield Token("string", span(number, attribute.start(2) - 1, attribute.end(2) + 1))
        yield Token("keyword", span(number, len(line) - 2, len(line)))
    elif match := FENCE.fullmatch(line):
        word, sign, name = match[1].partition("#")
        if not sign or not name:
            yield Token("keyword", span(number, 0, len(line)))
            return
        start = 2 + len(word)
        yield Token("keyword", span(number, 0, start))
        yield Token("variable", span(number, start, len(line) - 2))
        yield Token("keyword", span(number, len(line) - 2, len(line)))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
