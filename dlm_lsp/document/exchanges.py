"""The inner grammar of instruction and preference sections: headers such as `### Q`, and the text below
each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dlm_lsp.document.model import Exchange, Fix, Position, Range, Related, SectionKind
from dlm_lsp.document.problems import ProblemList

_ORDER = {"instruction": ("### Q", "### A"), "preference": ("### Prompt", "### Chosen", "### Rejected")}
_PROBE = "### Q !probe"
_ALMOST = {
    "instruction": re.compile(r"#{1,6}\s*(q|a|question|answer)\s*[:.]?|###\s*q\s*!.*", re.IGNORECASE),
    "preference": re.compile(r"#{1,6}\s*(prompt|chosen|rejected)\s*[:.]?", re.IGNORECASE),
}
# What `str.splitlines` ends a line at besides LF. The format reads bodies by it, so values hold LF in their
# place.
_OTHER_LINE_ENDS = re.compile("[\v\f\x1c\x1d\x1e\x85\u2028\u2029]")


@dataclass(slots=True)
class _Header:
    line: int  # index among the body's lines
    name: str
    probe: bool = False


@dataclass(slots=True)
class _Field:
    """A header and the text below it, up to the line `end`."""

    header: _Header
    body: str
    end: int


def parse_exchanges(
    kind: Literal["instruction", "preference"],
    content: str,
    first_line: int,
    fence: Range,
    problems: ProblemList,
) -> tuple[Exchange, ...]:
    """Reads the exchanges of a section's `content`, which begins at line `first_line` of the text.

    Headers stand alone on their lines; blanks around them do not matter. The text below one reaches to the
    next header, whatever stands between, and must not be blank. After a mistake it goes on with the next
    record. The places of the exchanges count lines from the fence's.
    """
    return _Parser(kind, content, first_line, fence, problems).parse()


def headers_of(kind: SectionKind) -> tuple[str, ...]:
    """All headers that a section of this kind may have; none for kinds without exchanges."""
    return (*_ORDER.get(kind, ()), *((_PROBE,) if kind == "instruction" else ()))


def due_header(kind: SectionKind, above: str | None) -> str | None:
    """The header that comes next below the header `above` (None: below the fence); None for kinds without exchanges."""
    order = _ORDER.get(kind, ())
    return order[0 if above is None else (order.index(above) + 1) % len(order)] if order else None


def header_name(kind: SectionKind, text: str) -> str | None:
    """The header that `text`, a line without the blanks around it, is in a section of this kind; None for none."""
    if kind == "instruction" and text == _PROBE:
        return _ORDER[kind][0]
    return text if text in _ORDER.get(kind, ()) else None


class _Parser:
    def __init__(
        self,
        kind: Literal["instruction", "preference"],
        content: str,
        first_line: int,
        fence: Range,
        problems: ProblemList,
    ) -> None:
        self._kind = kind
        self._order = _ORDER[kind]
        self._first_line = first_line
        self._fence = fence
        self._problems = problems
        self._has_stray_text = False
        self._places: list[tuple[int, int]] | None = None  # where lines start, when they are not those of the text
        if _OTHER_LINE_ENDS.search(content):
            self._lines, self._places = _split_everywhere(content, first_line)
        else:
            self._lines = content.split("\n")
            if not self._lines[-1]:
                self._lines.pop()

    def parse(self) -> tuple[Exchange, ...]:
        headers = self._headers()
        first = headers[0].line if headers else len(self._lines)
        if not self._check_start(first, bool(headers)):
            return ()
        exchanges: list[Exchange] = []
        record: list[_Field] = []
        known_bad = -1  # the header at which a problem is already told
        lost = self._has_stray_text  # what follows a mistake is not judged before the next record begins
        for number, header in enumerate(headers):
            following = headers[number + 1] if number + 1 < len(headers) else None
            if header.name != self._order[len(record)]:
                if number != known_bad and not lost:
                    self._out_of_order(header, following, record)
                record = []
                lost = header.name != self._order[0]
                if lost:
                    continue
            lost = False
            end = following.line if following else len(self._lines)
            body = "\n".join(self._lines[header.line + 1 : end]).strip()
            if not body:
                self._empty(header, following)
                known_bad = number + 1
            record.append(_Field(header, body, end))
            if len(record) == len(self._order):
                if all(part.body for part in record):
                    exchanges.append(self._exchange(record))
                record = []
        if record and record[-1].body:
            self._incomplete(record)
        return tuple(exchanges)

    def _headers(self) -> list[_Header]:
        headers: list[_Header] = []
        for number, line in enumerate(self._lines):
            if "#" not in line:
                continue
            text = line.strip()
            if name := header_name(self._kind, text):
                headers.append(_Header(number, name, probe=text == _PROBE))
            elif headers and not self._problems.full and self._is_almost_header(text):
                message = f"`{text}` is no header but ordinary text: headers are {self._headers_text()}."
                place = self._line_range(number)
                self._problems.add("not-a-header", place, message, fixes=self._meant(text, place))
        return headers

    def _meant(self, text: str, place: Range) -> tuple[Fix, ...]:
        """The header that a line resembles: the one that begins with the same letter."""
        letter = text.lstrip("#").lstrip()[:1].upper()
        name = next(name for name in self._order if name.lstrip("# ")[0] == letter)
        name = _PROBE if "!" in text else name
        return (Fix(f"Change to `{name}`", place, name),)

    def _is_almost_header(self, text: str) -> bool:
        return len(text) <= 80 and _ALMOST[self._kind].fullmatch(text) is not None

    def _check_start(self, first: int, has_headers: bool) -> bool:
        """Whether there is anything to read; tells what stands before the first header."""
        stray = next((number for number in range(first) if self._lines[number].strip()), None)
        if stray is not None:
            self._has_stray_text = True
            message = f"This text belongs to no header: begin the section with `{self._order[0]}`"
            fixes = self._above(stray, self._order[0]) if not self._first_is_due(first) else ()
            place = self._line_range(stray)
            self._problems.add(f"{self._kind}-stray-text", place, f"{message} alone on its line.", fixes=fixes)
        elif not has_headers:
            message = f"This {self._kind} section is empty: write {self._headers_text()} below it, or remove it."
            fixes = ()
            if self._first_line == self._fence.end.line + 1:  # no markers between
                below = Range(self._fence.end, self._fence.end)
                text = "\n".join(f"\n{name}" for name in self._order)
                fixes = (Fix(f"Put {self._headers_text()} below it", below, text),)
            self._problems.add(f"{self._kind}-empty", self._fence, message, fixes=fixes)
        return has_headers

    def _first_is_due(self, line: int) -> bool:
        """Whether a record begins at this line."""
        return line < len(self._lines) and header_name(self._kind, self._lines[line].strip()) == self._order[0]

    def _above(self, line: int, name: str, text: str = "") -> tuple[Fix, ...]:
        """The header `name` (with `text` below it) above a line; nothing where the line is a part of another one."""
        place = self._line_range(line).start
        if self._places is not None and self._place(line)[1] > 0:
            return ()
        start = Position(place.line, 0)
        return (Fix(f"Put `{name}` above it", Range(start, start), f"{name}\n{text}"),)

    def _out_of_order(self, header: _Header, following: _Header | None, record: Sequence[_Field]) -> None:
        if self._problems.skip(f"{self._kind}-order"):
            return
        due = self._order[len(record)]
        related = [Related("This header is not complete.", self._line_range(record[0].header.line))] if record else []
        message = f"`{due}` is expected here, not `{header.name}`: headers go in the order {self._headers_text()}."
        last, first = len(self._order) - 1, self._order[0]
        # Certain where one header is missing, and what comes after it is in order again.
        is_only_one = self._order[(len(record) + 1) % (last + 1)] == header.name
        goes_on = header.name == first or following is None or following.name == first
        fixes = self._above(header.line, due, "\n") if is_only_one and goes_on else ()
        self._problems.add(f"{self._kind}-order", self._line_range(header.line), message, related, fixes)

    def _empty(self, header: _Header, following: _Header | None) -> None:
        if self._problems.skip(f"{self._kind}-empty-body"):
            return
        related = [Related("The header without text.", self._line_range(header.line))] if following else []
        place = self._line_range((following or header).line)
        where = "between the two headers" if following else "below it"
        message = f"`{header.name}` has no text: write it {where}."
        self._problems.add(f"{self._kind}-empty-body", place, message, related)

    def _incomplete(self, record: Sequence[_Field]) -> None:
        due = self._order[len(record)]
        header = record[-1].header
        end = self._end(record[-1].end)
        message = f"`{header.name}` is not followed by `{due}`: add it, alone on its line, with its text below."
        related = [Related(f"`{due}` is expected after this.", Range(end, end))]
        fixes = (Fix(f"Add `{due}`", Range(end, end), f"\n\n{due}\n"),)
        self._problems.add(f"{self._kind}-incomplete", self._line_range(header.line), message, related, fixes)

    def _exchange(self, record: Sequence[_Field]) -> Exchange:
        above = self._fence.start.line
        (first, left), (last, right) = self._start(record[0].header.line), self._end(record[-1].end)
        place = Range(Position(first - above, left), Position(last - above, right))
        rejected = record[2].body if len(record) > 2 else None
        return Exchange(record[0].body, record[1].body, place, rejected, record[0].header.probe)

    def _end(self, stop: int) -> Position:
        """The end of the last line before `stop` that is not blank."""
        last = stop - 1
        while not self._lines[last].strip():
            last -= 1
        line, column = self._place(last)
        return Position(line, column + len(self._lines[last].rstrip()))

    def _start(self, number: int) -> Position:
        """Where the text of a line begins, after its blanks."""
        line, column = self._place(number)
        text = self._lines[number]
        return Position(line, column + len(text) - len(text.lstrip()))

    def _line_range(self, number: int) -> Range:
        """A line, which is not blank, without the blanks around its text."""
        return Range(self._start(number), self._end(number + 1))

    def _place(self, number: int) -> tuple[int, int]:
        """Line and column in the text at which a line of the body begins."""
        return (self._first_line + number, 0) if self._places is None else self._places[number]

    def _headers_text(self) -> str:
        return ", ".join(f"`{name}`" for name in self._order)


def _split_everywhere(content: str, first_line: int) -> tuple[list[str], list[tuple[int, int]]]:
    """The lines as `str.splitlines` has them, and where each begins in the text."""
    lines: list[str] = []
    places: list[tuple[int, int]] = []
    line, column = first_line, 0
    for piece in content.splitlines(keepends=True):
        places.append((line, column))
        lines.append(piece.splitlines()[0])
        if piece.endswith("\n"):
            line, column = line + 1, 0
        else:
            column += len(piece)
    return lines, places
