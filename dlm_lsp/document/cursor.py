"""What is being written at a place, from the lines around it: for completion, so the text may be broken.

The frontmatter is read by indentation alone, since YAML that is being written is rarely valid.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dlm_lsp.document.exchanges import due_header, header_name
from dlm_lsp.document.frontmatter import DELIMITER
from dlm_lsp.document.model import KeyPath, Position, Range, SectionKind
from dlm_lsp.document.text import span

_KEY_LINE = re.compile(r"\s*(?:- +)*(?P<key>[\w.-]+)\s*:(?:\s+(?P<value>.*))?")
_KEY = re.compile(r"(?P<key>[\w.?-]+)\s*:(?:\s+(?P<value>.*))?$")
_WRITTEN_KEY = re.compile(r"\s*(?:- +)*(?P<word>\w*)")
_KEY_REST = re.compile(r"\w*")
_VALUE_REST = re.compile(r"[\w.:/+-]*")
_QUOTED_REST = re.compile(r"'[^']*'|\"[^\"]*\"|[\w.:/+-]*")
_COMMENT = re.compile(r"(?:^|(?<=\s))#")
_BLOCK_SCALAR = re.compile(r"[|>][-+0-9]*\s*(?:#.*)?")
_CLOSING = re.compile(r"[\[\]{}'\"]|\\.")
_PAIRS = {"[": "]", "{": "}", "'": "'", '"': '"'}
_FENCE_START = re.compile(r":{0,2}[a-z]*")
_ADAPTER = re.compile(r"::(?P<kind>prose|instruction|preference)#(?P<name>\w*)")
_MEDIA = re.compile(r'::(?P<kind>image|audio)(?P<before>(?:\s+\w+="[^"\n]*")*)\s+(?P<word>\w*)')
_MEDIA_PATH = re.compile(r'::(?:image|audio)(?:\s+\w+="[^"\n]*")*\s+path="(?P<path>[^"\n]*)')
_TELLING = ("`", ":")
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
    """A file's path: of a medium, or of a source (`plain`: without quotes, as YAML takes it)."""

    text: str
    range: Range
    plain: bool = False


@dataclass(frozen=True, slots=True)
class AtHeader:
    """A header in an instruction or preference section; `kind` is the section's, `due` what should come here."""

    kind: SectionKind
    range: Range
    due: str | None = None


Cursor = AtKey | AtValue | AtFence | AtAdapter | AtAttribute | AtPath | AtHeader


def cursor_at(lines: Sequence[str], place: Position) -> Cursor | None:
    """What stands at `place` in a text of `lines`; None where nothing can be offered."""
    if place.line >= len(lines):
        return None
    closer = _closer(lines)
    if lines and lines[0].lstrip("\ufeff") == DELIMITER and place.line > 0 and (closer is None or place.line < closer):
        return _in_frontmatter(lines, place, closer or len(lines))
    if closer is None or place.line <= closer:
        return None
    return _in_body(lines, place, closer)


def _closer(lines: Sequence[str]) -> int | None:
    return next((number for number in range(1, len(lines)) if lines[number] == DELIMITER), None)


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
        rest = text[end:].lstrip()
        if rest and rest[0] not in ":#":
            return None  # before the blanks of another key, or in a text
        alone = not rest.startswith(":")
        return AtKey(parent, written, match.start("word"), alone, span(place.line, match.start("word"), end))
    return None


def _at_value(path: KeyPath, written: str, place: Position, after: str) -> AtValue | AtPath | None:
    plain = written[:1] not in ("'", '"')
    if not plain and written[0] in written[1:]:
        return None  # behind the closing quote
    written = written if plain else written[1:]
    rest = _QUOTED_REST if plain and not written else _VALUE_REST
    start, end = place.column - len(written), place.column + _length(rest, after)
    where = span(place.line, start, end)
    if path[:2] == ("training", "sources") and path[3:] == ("path",):
        return AtPath(written, where, plain)
    return AtValue(path, written, where)


def _length(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.match(text)
    return match.end() if match else 0


class _Reading:
    """A frontmatter read by indentation: which mapping each line's key is in."""

    def __init__(self, lines: Sequence[str], stop: int) -> None:
        self._open: list[tuple[int, str | int]] = []  # columns and keys (or list entries) that enclose what follows
        self._text: int | None = None  # the column of the key whose value goes on over lines
        self._closers = ""  # what ends that value, innermost last; nothing for a block scalar
        self._parents: dict[int, KeyPath] = {}
        self._keys: list[tuple[int, KeyPath, str]] = []
        self._stop = stop
        for number in range(1, stop):
            if lines[number].strip() and not _COMMENT.match(lines[number].lstrip()):
                self._line(number, lines[number])
        self._lines = lines

    def mapping_at(self, number: int) -> tuple[KeyPath | None, frozenset[str]]:
        """The path of the mapping that a key in this line is in, and its other keys; None within a value."""
        parent = self._parents.get(number)
        if parent is None and not self._lines[number].strip():
            parent = self._blank(number)
        written = frozenset(key for line, path, key in self._keys if path == parent and line != number)
        return parent, written

    def _blank(self, number: int) -> KeyPath | None:
        """A blank line: its own blanks say how deep a key would be."""
        above = _Reading(self._lines[:number], number)
        below = next((line for line in self._lines[number + 1 : self._stop] if line.strip()), "")
        if above._text is not None and len(below) - len(below.lstrip()) > above._text:
            return None  # the value goes on below
        other = _Reading([*self._lines[:number], f"{self._lines[number]}?:"], number + 1)
        return other._parents.get(number)

    def _line(self, number: int, text: str) -> None:
        column = len(text) - len(text.lstrip())
        if self._text is not None:
            if column > self._text or (self._closers and not _KEY.match(text, column)):
                self._go_on(text)
                return
            self._text, self._closers = None, ""
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
        value = match["value"] or ""
        if _BLOCK_SCALAR.fullmatch(value):
            self._text = column
        elif value[:1] in ("[", "{", "'", '"'):
            self._text = column
            self._closers = _still_open(value, "")
            self._text = column if self._closers else None

    def _go_on(self, text: str) -> None:
        """A line within a value over lines."""
        if self._closers:
            self._closers = _still_open(text, self._closers)
            self._text = self._text if self._closers else None

    def _close(self, column: int, *, keep_equal: bool) -> None:
        """What is deeper than `column` is over. A list may stand as deep as its key, so that one stays open."""
        while self._open and (self._open[-1][0] > column or (self._open[-1][0] == column and not keep_equal)):
            self._open.pop()


def _still_open(text: str, closers: str) -> str:
    """The brackets and quotes that are open after `text`, as what closes them; before it `closers` were."""
    for match in _CLOSING.finditer(text):
        mark = match[0]
        if closers[-1:] in ("'", '"'):
            closers = closers[:-1] if mark == closers[-1] else closers
        elif mark in _PAIRS:
            closers += _PAIRS[mark]
        elif closers.endswith(mark):
            closers = closers[:-1]
    return closers


# --- body ---------------------------------------------------------------------------------------------------


def _in_body(lines: Sequence[str], place: Position, closer: int) -> Cursor | None:
    before, text = lines[place.line][: place.column], lines[place.line]
    kind, in_code, above = _section_at(lines, place.line, closer)
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
        return AtHeader(kind, span(place.line, 0, len(text.rstrip())), due_header(kind, above))
    is_begun = before[:1] == ":"
    # Where nothing was begun: a question that stands above wants its answer first.
    is_free = not text.strip() and due_header(kind, above) == due_header(kind, None)
    if _FENCE_START.fullmatch(before.strip(" \t")) and (is_begun or is_free):
        return AtFence(span(place.line, 0, len(text.rstrip()) or len(text)))  # a fence takes no blanks around it
    return None


def _section_at(lines: Sequence[str], number: int, closer: int) -> tuple[SectionKind, bool, str | None]:
    """The kind of the section at a line, whether the line is in a code block, and the section's last header above."""
    kind: SectionKind = "prose"
    in_code = False
    start = closer + 1
    # Few lines are more than text, and they show it by their first character.
    for above in [each for each in range(start, number) if lines[each][:1] in _TELLING]:
        line = lines[above]
        if line.startswith("```"):
            in_code = not in_code
        elif not in_code and line.startswith("::") and (match := _SECTION.fullmatch(line)):
            kind, start = match["kind"], above + 1  # type: ignore[assignment]  # one of them, as the pattern says
    headers = (header_name(kind, line.strip()) for line in reversed(lines[start:number]) if "#" in line)
    return kind, in_code, next(filter(None, headers), None)
