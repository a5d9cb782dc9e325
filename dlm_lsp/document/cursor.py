"""What is being written at a place, from the lines around it: for completion, so the text may be broken.

The frontmatter is read by indentation alone, since YAML that is being written is rarely valid.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dlm_lsp.document.model import KeyPath, Position, Range, SectionKind
from dlm_lsp.document.text import span

_DELIMITER = "---"
_KEY_LINE = re.compile(r"\s*(?:- +)*(?P<key>[\w.-]+)\s*:(?:\s+(?P<value>.*))?")
_KEY = re.compile(r"(?P<key>[\w.?-]+)\s*:(?:\s+(?P<value>.*))?$")
_WRITTEN_KEY = re.compile(r"\s*(?:- +)*(?P<word>\w*)")
_KEY_REST = re.compile(r"\w*")
_VALUE_REST = re.compile(r"[\w.:/+-]*")
_COMMENT = re.compile(r"(?:^|(?<=\s))#")
_BLOCK_SCALAR = re.compile(r"[|>][-+0-9]*\s*(?:#.*)?")
_FENCE_START = re.compile(r":{0,2}[a-z]*")
_ADAPTER = re.compile(r"::(?P<kind>prose|instruction|preference)#(?P<name>\w*)")
_MEDIA = re.compile(r'::(?P<kind>image|audio)(?P<before>(?:\s+\w+="[^"\n]*")*)\s+(?P<word>\w*)')
_MEDIA_PATH = re.compile(r'::(?:image|audio)(?:\s+\w+="[^"\n]*")*\s+path="(?P<path>[^"\n]*)')
_SECTION = re.compile(r"::(?P<kind>prose|instruction|preference|image|audio)\b.*::")


@dataclass(frozen=True, slots=True)
class AtKey:
    """A key below `parent` whose siblings are `written`. `indent`: blanks before it; `alone`: no colon follows."""

    parent: KeyPath
    written: frozenset[str]
    indent: int
    alone: bool
    range: Range


@dataclass(frozen=True, slots=True)
class AtValue:
    """The value of the key at `path`; `text` is what stands there up to the cursor."""

    path: KeyPath
    text: str
    range: Range


@dataclass(frozen=True, slots=True)
class AtFence:
    """A fence at the beginning of a line; what was begun of it is in `range`."""

    range: Range


@dataclass(frozen=True, slots=True)
class AtAdapter:
    """The adapter's name in a fence."""

    range: Range


@dataclass(frozen=True, slots=True)
class AtAttribute:
    """The name of an attribute in a media fence."""

    kind: str
    written: frozenset[str]
    range: Range


@dataclass(frozen=True, slots=True)
class AtPath:
    """A file's path: of a medium, or of a source."""

    text: str
    range: Range


@dataclass(frozen=True, slots=True)
class AtHeader:
    """A header in an instruction or preference section; `kind` is the section's."""

    kind: SectionKind
    range: Range


Cursor = AtKey | AtValue | AtFence | AtAdapter | AtAttribute | AtPath | AtHeader


def cursor_at(lines: Sequence[str], place: Position) -> Cursor | None:
    """What stands at `place` in a text of `lines`; None where nothing can be offered."""
    if place.line >= len(lines):
        return None
    closer = _closer(lines)
    if lines and lines[0].lstrip("\ufeff") == _DELIMITER and place.line > 0 and (closer is None or place.line < closer):
        return _in_frontmatter(lines, place, closer or len(lines))
    if closer is None or place.line <= closer:
        return None
    return _in_body(lines, place, closer)


def _closer(lines: Sequence[str]) -> int | None:
    return next((number for number in range(1, len(lines)) if lines[number] == _DELIMITER), None)


# --- frontmatter --------------------------------------------------------------------------------------------


def _in_frontmatter(lines: Sequence[str], place: Position, stop: int) -> AtKey | AtValue | AtPath | None:
    text = lines[place.line]
    before, after = text[: place.column], text[place.column :]
    if _COMMENT.search(before):
        return None
    if match := _KEY_LINE.fullmatch(before):
        if match["value"] is None:  # directly behind the colon: a blank is missing
            return None
        parent, _ = _Reading(lines, stop).mapping_at(place.line)
        return None if parent is None else _at_value((*parent, match["key"]), match["value"], place, after)
    if match := _WRITTEN_KEY.fullmatch(before):
        parent, written = _Reading(lines, stop).mapping_at(place.line)
        if parent is None:
            return None
        end = place.column + _length(_KEY_REST, after)
        alone = not text[end:].lstrip().startswith(":")
        return AtKey(parent, written, match.start("word"), alone, span(place.line, match.start("word"), end))
    return None


def _at_value(path: KeyPath, written: str, place: Position, after: str) -> AtValue | AtPath:
    if written[:1] in ("'", '"'):
        written = written[1:]
    start, end = place.column - len(written), place.column + _length(_VALUE_REST, after)
    where = span(place.line, start, end)
    if path[:2] == ("training", "sources") and path[3:] == ("path",):
        return AtPath(written, where)
    return AtValue(path, written, where)


def _length(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.match(text)
    return match.end() if match else 0


class _Reading:
    """A frontmatter read by indentation: which mapping each line's key is in."""

    def __init__(self, lines: Sequence[str], stop: int) -> None:
        self._open: list[tuple[int, str | int]] = []  # columns and keys (or list entries) that enclose what follows
        self._block: int | None = None  # the column of the key whose block scalar goes on
        self._parents: dict[int, KeyPath] = {}
        self._keys: list[tuple[int, KeyPath, str]] = []
        for number in range(1, stop):
            if lines[number].strip() and not _COMMENT.match(lines[number].lstrip()):
                self._line(number, lines[number])
        self._lines = lines

    def mapping_at(self, number: int) -> tuple[KeyPath | None, frozenset[str]]:
        """The path of the mapping that a key in this line is in, and its other keys; None in a block scalar."""
        parent = self._parents.get(number)
        if parent is None and not self._lines[number].strip():
            parent = self._blank(number)
        written = frozenset(key for line, path, key in self._keys if path == parent and line != number)
        return parent, written

    def _blank(self, number: int) -> KeyPath:
        """A blank line: its own blanks say how deep a key would be."""
        other = _Reading([*self._lines[:number], f"{self._lines[number]}?:"], number + 1)
        return other._parents.get(number, ())

    def _line(self, number: int, text: str) -> None:
        column = len(text) - len(text.lstrip())
        if self._block is not None:
            if column > self._block:
                return
            self._block = None
        while text[column : column + 2] in ("- ", "-"):
            self._close(column, keep_equal=True)
            entry = 0
            if self._open and self._open[-1][0] == column and isinstance(self._open[-1][1], int):
                entry = self._open.pop()[1] + 1  # type: ignore[operator]  # an int, as the line above says
            self._open.append((column, entry))
            column += 1
            column += len(text[column:]) - len(text[column:].lstrip())
        self._close(column, keep_equal=False)
        path = tuple(step for _, step in self._open)
        self._parents[number] = path
        match = _KEY.match(text, column)
        if match is None:
            return
        self._keys.append((number, path, match["key"]))
        self._open.append((column, match["key"]))
        if _BLOCK_SCALAR.fullmatch(match["value"] or ""):
            self._block = column

    def _close(self, column: int, *, keep_equal: bool) -> None:
        """What is deeper than `column` is over. A list may stand as deep as its key, so that one stays open."""
        while self._open and (self._open[-1][0] > column or (self._open[-1][0] == column and not keep_equal)):
            self._open.pop()


# --- body ---------------------------------------------------------------------------------------------------


def _in_body(lines: Sequence[str], place: Position, closer: int) -> Cursor | None:
    before, text = lines[place.line][: place.column], lines[place.line]
    kind, in_code = _section_at(lines, place.line, closer)
    if in_code:
        return None
    if match := _ADAPTER.fullmatch(before):
        rest = re.match(r"\w*", text[place.column :])
        return AtAdapter(span(place.line, match.start("name"), place.column + (rest.end() if rest else 0)))
    if match := _MEDIA_PATH.fullmatch(before):
        end = text.find('"', place.column)
        return AtPath(match["path"], span(place.line, match.start("path"), end if end >= 0 else len(text)))
    if match := _MEDIA.fullmatch(before):
        written = frozenset(re.findall(r'(\w+)="', text))
        return AtAttribute(match["kind"], written, span(place.line, match.start("word"), place.column))
    if kind in ("instruction", "preference") and re.fullmatch(r"#{1,3}\s?\w*", before):
        return AtHeader(kind, span(place.line, 0, len(text.rstrip())))
    if _FENCE_START.fullmatch(before) and (before[:1] == ":" or not text.strip()):
        return AtFence(span(place.line, 0, len(text.rstrip())))
    return None


def _section_at(lines: Sequence[str], number: int, closer: int) -> tuple[SectionKind, bool]:
    """The kind of the section at a line, and whether the line is in a code block."""
    kind: SectionKind = "prose"
    in_code = False
    for above in range(closer + 1, number):
        line = lines[above]
        if line.startswith("```"):
            in_code = not in_code
        elif not in_code and line.startswith("::") and (match := _SECTION.fullmatch(line)):
            kind = match["kind"]  # type: ignore[assignment]  # one of the kinds, as the pattern says
    return kind, in_code
