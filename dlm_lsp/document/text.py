"""Text as an editor holds it: line ends, offsets, and columns in the units that clients count in."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import Literal

from dlm_lsp.document.model import Position, Range

PositionEncoding = Literal["utf-8", "utf-16", "utf-32"]
"""How a client counts columns: bytes, UTF-16 code units or code points."""

BYTE_ORDER_MARK = "\ufeff"

_LINE_END = re.compile(r"\r\n?|\n")


def normalised(text: str) -> str:
    """`text` without one leading byte order mark, and with LF for CRLF and CR.

    Lines keep their numbers, and columns too, but for the mark's one column on the first line.
    """
    text = text.removeprefix(BYTE_ORDER_MARK)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def line_end(text: str) -> str:
    """How the first line of `text` ends, and so what a new one should end with; LF where there is none."""
    found = _LINE_END.search(text)
    return found[0] if found else "\n"


def span(line: int, start: int, end: int) -> Range:
    """The columns `start` up to `end` of one line."""
    return Range(Position(line, start), Position(line, end))


class LineIndex:
    """Offsets, positions and client columns of one text. Positions that lie outside are moved to the nearest
    inside.

    Lines end at LF, CRLF and CR only, as in the Language Server Protocol. The text is taken as it is: with
    its line ends and its byte order mark, which is an ordinary column of the first line.
    """

    def __init__(self, text: str, starts: list[int] | None = None, cut: int | None = None, shift: int = 0) -> None:
        """`starts` are the offsets of all lines, if they are known; those from line `cut` on lack `shift`.

        So the letters that are typed into one line leave the list of all lines as it is.
        """
        self.text = text
        self._ascii = text.isascii()
        self._starts = _starts(text) if starts is None else starts
        self._cut = len(self._starts) if cut is None else cut
        self._shift = shift if self._cut < len(self._starts) else 0

    def edited(self, start: int, end: int, insert: str) -> LineIndex:
        """The index of the text with `insert` in place of what is from `start` to `end`; only that is searched.

        The line before is searched, too: its line end may become a part of another one, or be cut.
        """
        text = f"{self.text[:start]}{insert}{self.text[end:]}"
        first, last = self._number(max(start - 1, 0)), self._number(end) + 1
        grown = len(insert) - (end - start)
        stop = self._start(last) + grown if last < len(self._starts) else len(text)
        found = [match.end() for match in _LINE_END.finditer(text, self._start(first), stop)]
        if last < len(self._starts) and found and found[-1] == stop:
            found.pop()
        none = len(self._starts)
        if not found and last == first + 1 and self._cut in (last, none):
            return LineIndex(text, self._starts, last, self._shift + grown)
        starts = self._starts
        if self._cut < none:
            starts = [*starts[: self._cut], *(each + self._shift for each in starts[self._cut :])]
        return LineIndex(text, [*starts[: first + 1], *found, *starts[last:]], first + 1 + len(found), grown)

    def _start(self, number: int) -> int:
        """The offset at which a line begins."""
        start = self._starts[number]
        return start + self._shift if number >= self._cut else start

    def _number(self, offset: int) -> int:
        """The line that `offset` is in."""
        if self._cut < len(self._starts) and offset >= self._starts[self._cut] + self._shift:
            return bisect_right(self._starts, offset - self._shift, self._cut) - 1
        return bisect_right(self._starts, offset, 0, self._cut) - 1

    @property
    def line_count(self) -> int:
        """At least 1: an empty text has one empty line, and a final line end begins another."""
        return len(self._starts)

    @property
    def end(self) -> Position:
        """The place after the last character."""
        return Position(self.line_count - 1, len(self.text) - self._start(self.line_count - 1))

    def line(self, number: int) -> str:
        """The text of a line without its end; empty for a line that does not exist."""
        if not 0 <= number < self.line_count:
            return ""
        return self.text[self._start(number) : self._end(number)]

    def position(self, offset: int) -> Position:
        """The position of the code point at `offset`; within a line end, the end of its line."""
        offset = min(max(offset, 0), len(self.text))
        number = self._number(offset)
        return Position(number, min(offset, self._end(number)) - self._start(number))

    def offset(self, position: Position) -> int:
        """The offset in code points of `position`."""
        position = self.clamp(position)
        return self._start(position.line) + position.column

    def clamp(self, position: Position) -> Position:
        """`position`, or the nearest one that exists."""
        if position.line < 0:
            return Position(0, 0)
        if position.line >= self.line_count:
            return self.end
        length = self._end(position.line) - self._start(position.line)
        return Position(position.line, min(max(position.column, 0), length))

    def _end(self, number: int) -> int:
        """The offset of a line's end."""
        if number + 1 >= len(self._starts):
            return len(self.text)
        end = self._start(number + 1) - 1
        is_pair = self.text[end] == "\n" and end > self._start(number) and self.text[end - 1] == "\r"
        return end - 1 if is_pair else end

    def to_units(self, position: Position, encoding: PositionEncoding) -> int:
        """The column of `position` as a client counts it."""
        position = self.clamp(position)
        if self._ascii or encoding == "utf-32":
            return position.column
        before = self.line(position.line)[: position.column]
        if before.isascii():
            return position.column
        if encoding == "utf-8":
            return len(before.encode("utf-8", "surrogatepass"))
        return len(before.encode("utf-16-le", "surrogatepass")) // 2

    def from_units(self, line: int, units: int, encoding: PositionEncoding) -> Position:
        """The position of a client's column; one inside a character is the character's start."""
        text = self.line(line)
        if encoding == "utf-32" or text.isascii() or units <= 0:
            return self.clamp(Position(line, units))
        if encoding == "utf-8":
            raw = text.encode("utf-8", "surrogatepass")
            cut = min(units, len(raw))
            while cut < len(raw) and raw[cut] & 0xC0 == 0x80:
                cut -= 1
            return Position(line, len(raw[:cut].decode("utf-8", "surrogatepass")))
        raw = text.encode("utf-16-le", "surrogatepass")
        cut = min(units * 2, len(raw))
        if cut < len(raw) and raw[cut + 1] & 0xFC == 0xDC and raw[cut - 1] & 0xFC == 0xD8:
            cut -= 2
        return Position(line, len(raw[:cut].decode("utf-16-le", "surrogatepass")))


def _starts(text: str) -> list[int]:
    if "\r" in text:
        return [0, *(match.end() for match in _LINE_END.finditer(text))]
    lines = text.split("\n")
    lines.pop()
    return list(accumulate(map((1).__add__, map(len, lines)), initial=0))
