"""How a frontmatter's lines are laid out: which blanks and blank lines could be others without a change of meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import yaml
from yaml import tokens as t

from dlm_lsp.document.text import LineIndex

STEP = 2
"""Blanks of one level."""

_BLANKS = " \t"
_BLOCK_HEADER = re.compile(r"[|>](?P<signs>[-+0-9]*)")
# What PyYAML ends a line at besides LF; places would not be those of the text.
_OTHER_LINE_ENDS = re.compile("[\x85\u2028\u2029]")
_STARTS = (t.BlockMappingStartToken, t.BlockSequenceStartToken)
_ENDS = (t.BlockEndToken, t.StreamEndToken)


class Blank(NamedTuple):
    """`new` in place of the blanks from `start` to `end` of a line; `indents` where they stand before its text."""

    line: int
    start: int
    end: int
    new: str
    indents: bool = False


class Layout(NamedTuple):
    """What to change: blanks within lines, and blank lines to remove."""

    blanks: tuple[Blank, ...] = ()
    removed: tuple[int, ...] = ()


class _OddError(Exception):
    """The text has a construct whose layout is left to its author."""


class _Level(NamedTuple):
    """An open block collection: the column of its entries, and the one they should have."""

    old: int
    new: int


def lay_out(lines: Sequence[str]) -> Layout:
    """The layout of `lines` of valid YAML: two blanks a level, one after a colon or dash, none at line ends, at most
    one blank line in a row. Texts over several lines keep their words; layouts that are odd (`? key`) are left alone.
    """
    text = "\n".join(lines)
    if not text.strip() or _OTHER_LINE_ENDS.search(text):
        return Layout()
    try:
        return _Layouter(lines, text).layout()
    except _OddError:
        return Layout()


class _Layouter:
    def __init__(self, lines: Sequence[str], text: str) -> None:
        self._lines = lines
        self._text = text
        self._index = LineIndex(text)
        self._stack: list[_Level] = []
        self._firsts: dict[int, _Level] = {}  # what lines that begin with a key or a dash belong to
        self._levels: dict[int, tuple[_Level, ...]] = {}  # what is open behind their last dash
        self._indents: dict[int, int] = {}  # the blanks that lines should begin with
        self._gaps: list[Blank] = []
        self._inside: set[int] = set()  # lines whose end belongs to a text over several lines
        self._flowing: set[int] = set()  # lines that begin within brackets
        self._verbatim: set[int] = set()  # lines of block scalars
        self._spare: set[int] = set()  # blank lines below a block scalar that say nothing

    def layout(self) -> Layout:
        self._read()
        self._comments()
        return Layout(tuple(sorted((*self._indentation(), *self._gaps, *self._line_ends()))), self._blank_lines())

    # --- what the tokens say ---

    def _read(self) -> None:
        flow: list[int] = []  # the lines of brackets that are open
        dash = -1  # where the text after the last dash begins
        tokens = list(yaml.scan(self._text, Loader=yaml.SafeLoader))
        for number, token in enumerate(tokens):
            start = token.start_mark.index
            line, column = self._index.position(start)
            following = tokens[number + 1] if number + 1 < len(tokens) else token
            if isinstance(token, t.DirectiveToken | t.DocumentStartToken | t.DocumentEndToken):
                raise _OddError
            if isinstance(token, t.FlowMappingStartToken | t.FlowSequenceStartToken):
                flow.append(line)
            elif isinstance(token, t.FlowMappingEndToken | t.FlowSequenceEndToken) and flow:
                if len(flow) == 1:
                    self._continue(range(flow[0] + 1, line + 1), self._top().new)
                    self._flowing.update(range(flow[0] + 1, line + 1))
                flow.pop()
            elif isinstance(token, t.ScalarToken):
                self._scalar(token, line, within_flow=bool(flow))
            elif flow:
                continue
            elif isinstance(token, _STARTS):
                self._open(line, column, compact=start == dash)
            elif isinstance(token, t.BlockEndToken) and self._stack:
                self._stack.pop()
            elif isinstance(token, t.BlockEntryToken):
                self._begins(line, column)
                dash = following.start_mark.index
                self._gap(start + 1, following)
            elif isinstance(token, t.KeyToken):
                if self._text.startswith("?", start) and following.start_mark.index != start:
                    raise _OddError
                self._begins(line, column)
            elif isinstance(token, t.ValueToken):
                before = tokens[number - 1].end_mark.index
                if self._text[before:start].strip(_BLANKS):
                    raise _OddError
                if before < start and isinstance(tokens[number - 1], t.ScalarToken):
                    self._gaps.append(Blank(line, column - (start - before), column, ""))
                self._gap(start + 1, following)

    def _open(self, line: int, column: int, *, compact: bool) -> None:
        if self._lines[line][:column].strip(" "):
            if not compact:
                raise _OddError
            self._stack.append(_Level(column, self._dash_column(column) + STEP))
            self._levels[line] = tuple(self._stack)
        else:
            self._stack.append(_Level(column, self._stack[-1].new + STEP if self._stack else 0))

    def _dash_column(self, column: int) -> int:
        """Where the dash before a compact collection will stand: in the innermost level that is left of it."""
        return next((level.new for level in reversed(self._stack) if level.old < column), 0)

    def _begins(self, line: int, column: int) -> None:
        """A key or dash; of a line that begins with it, the indentation."""
        if self._lines[line][:column].strip(" "):
            return
        level = self._top()
        if level.old != column:
            raise _OddError
        self._firsts[line] = level
        self._levels[line] = tuple(self._stack)
        self._indents[line] = level.new

    def _gap(self, start: int, following: yaml.Token) -> None:
        """One blank between a colon or dash and what follows it in its line."""
        end = following.start_mark.index
        gap = self._text[start:end]
        if isinstance(following, _ENDS) or gap.strip(_BLANKS) or not gap or gap == " ":
            return
        line, column = self._index.position(start)
        self._gaps.append(Blank(line, column, column + len(gap), " "))

    def _top(self) -> _Level:
        return self._stack[-1] if self._stack else _Level(0, 0)

    def _scalar(self, token: t.ScalarToken, line: int, *, within_flow: bool) -> None:
        end = token.end_mark.index
        if token.style in ("|", ">"):
            self._block_scalar(token, line)
        elif (last := self._index.position(end).line) > line:
            self._inside.update(range(line, last))
            if not within_flow:
                self._continue(range(line + 1, last + 1), self._top().new + STEP)

    def _continue(self, numbers: range, least: int) -> None:
        """Lines that go on with what began above keep their place below it."""
        delta = self._top().new - self._top().old
        for number in numbers:
            line = self._lines[number]
            column = len(line) - len(line.lstrip(" "))
            if line[column : column + 1] not in ("", "\t"):
                self._indents.setdefault(number, max(column + delta, least))

    def _block_scalar(self, token: t.ScalarToken, line: int) -> None:
        end: int = token.end_mark.index
        stop = self._index.position(end).line + (not self._text[end:].strip(_BLANKS))  # what ends the text is its own
        numbers = range(line + 1, stop)
        self._verbatim.update(numbers)
        header = _BLOCK_HEADER.match(self._text, token.start_mark.index)
        signs = header["signs"] if header else "+"
        texts = [number for number in numbers if self._lines[number].strip(" ")]
        if not texts:
            return
        first = self._lines[texts[0]]
        indent = len(first) - len(first.lstrip(" "))
        top = self._top()
        explicit = any(sign.isdigit() for sign in signs)
        delta = top.new - top.old if explicit else top.new + STEP - indent
        for number in numbers:
            content = self._lines[number]
            if content.strip(" ") or (len(content) > indent and not explicit):
                column = len(content) - len(content.lstrip(" "))
                self._indents[number] = column + delta
            elif not explicit and content:
                self._indents[number] = 0
        if "+" not in signs:
            below = [number for number in numbers if number > texts[-1]]
            if all(len(self._lines[number]) <= indent for number in below):
                self._spare.update(below[1:])

    # --- what follows from them ---

    def _comments(self) -> None:
        """A comment belongs to the line below it, or, indented deeper, to the block above it."""
        following: _Level | None = None
        for number in range(len(self._lines) - 1, -1, -1):
            line = self._lines[number]
            following = self._firsts.get(number, following)
            if not line.lstrip(_BLANKS).startswith("#") or not self._is_free(number):
                continue
            column = len(line) - len(line.lstrip(_BLANKS))
            self._indents[number] = following.new if following is not None else 0
            if following is None or column > following.old:
                above = next((each for each in range(number, -1, -1) if each in self._levels), -1)
                deeper = [level.new for level in self._levels.get(above, ()) if level.old <= column]
                self._indents[number] = max(self._indents[number], *deeper[-1:], 0)

    def _is_free(self, number: int) -> bool:
        """Whether a line is no part of a text over several lines, nor within brackets."""
        return number not in self._verbatim and number not in self._flowing and number - 1 not in self._inside

    def _indentation(self) -> Iterator[Blank]:
        for number, blanks in self._indents.items():
            line = self._lines[number]
            column = len(line) - len(line.lstrip(_BLANKS if self._is_free(number) else " "))
            if blanks != column:
                yield Blank(number, 0, column, " " * blanks, indents=True)

    def _line_ends(self) -> Iterator[Blank]:
        for number, line in enumerate(self._lines):
            end = len(line.rstrip(_BLANKS))
            if end < len(line) and number not in self._inside and number not in self._verbatim:
                yield Blank(number, end, len(line), "")

    def _blank_lines(self) -> tuple[int, ...]:
        """Those at the edges, and of several in a row all but the first."""
        removed = set(self._spare)
        blank = [
            not line.strip(_BLANKS) and number not in self._verbatim and number - 1 not in self._inside
            for number, line in enumerate(self._lines)
        ]
        last = max((number for number, is_blank in enumerate(blank) if not is_blank), default=-1)
        above = True
        for number, is_blank in enumerate(blank):
            if is_blank and (above or number > last):
                removed.add(number)
            above = is_blank
        return tuple(sorted(removed))
