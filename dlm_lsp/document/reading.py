"""How a text was read, and how an edited one is: only what the edit touched is read, all else is taken over.

A body falls into blocks, each from a fence to the next. What a block says depends on its own lines alone: code blocks
hide fences, and no fence stands in one, so that every block begins outside of them. So an edit concerns the block that
it is in, and ends at the next fence that is still one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dlm_lsp.document.body import Block, parse_body
from dlm_lsp.document.frontmatter import DELIMITER, FrontmatterText, Split, split
from dlm_lsp.document.frontmatter import read as read_frontmatter
from dlm_lsp.document.model import Document, Problem, Section
from dlm_lsp.document.problems import ProblemList


@dataclass(frozen=True, slots=True)
class Head:
    """A frontmatter with its delimiters. `column` is 1 when a byte order mark stood before it."""

    text: str
    column: int
    parts: Split
    said: FrontmatterText
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """A text's head and its blocks, in parallel lists: the offset and line at which each begins, what it is, and what
    is wrong with it. `whole`: all problems are here, and the frontmatter is closed as it must be, so that another text
    can be read by this one.
    """

    head: Head
    offsets: list[int]
    lines: list[int]
    sections: list[Section | None]
    problems: list[tuple[Problem, ...]]
    whole: bool

    @property
    def told(self) -> Iterator[Problem]:
        """Every problem, in the order of the blocks."""
        yield from self.head.problems
        for problems in filter(None, self.problems):
            yield from problems


def line_of(document: Document, number: int) -> str:
    """The text of a line, empty where there is none; quick for the first lines of a document and of its blocks."""
    text, reading = document.text, document.reading
    offset, line = 0, 0
    if reading is not None and number >= reading.lines[0]:
        block = bisect_right(reading.lines, number) - 1
        offset, line = reading.offsets[block], reading.lines[block]
    for _ in range(number - line):
        if not (offset := text.find("\n", offset) + 1):
            return ""
    end = text.find("\n", offset)
    return text[offset:] if end < 0 else text[offset:end]


def read_all(
    lines: Sequence[str], parts: Split, column: int, problems: ProblemList, before: tuple[str, Reading] | None
) -> Reading:
    """Reads a text whose frontmatter is closed; `problems` has what its splitting found. What it has in common with
    `before`, a text and its reading, is taken over wherever it stands now.
    """
    assert parts.body is not None
    head_text = "".join(f"{line}\n" for line in lines[: parts.body])
    if before is not None and (old := before[1].head).text == head_text and old.column == column:
        problems.take(old.problems[problems.count :])  # the first ones are those of the splitting
        head = old
    else:
        said = read_frontmatter(lines[1 : parts.body - 1], parts.opener, problems)
        head = Head(head_text, column, parts, said, tuple(problems.told))
    own = problems.count
    known = _known(*before, 0, len(before[1].sections)) if before is not None else None
    blocks = parse_body(lines[parts.body :], parts.body, problems, known)
    assert blocks is not None
    offsets, starts = _places(blocks, len(head_text), parts.body)
    return Reading(
        head,
        offsets,
        starts,
        [block.section for block in blocks],
        _by_block(problems.told[own:], starts),
        whole=not problems.full and parts.body < len(lines) and lines[parts.body - 1] == DELIMITER,
    )


def read_again(text: str, column: int, before: str, reading: Reading) -> Reading | None:
    """Reads `text` by the reading of `before`, another text; None if it has to be read as a whole."""
    if not reading.whole or column != reading.head.column:
        return None
    first, rest = _difference(before, text)
    if first >= len(before) == len(text):
        return reading
    if first < reading.offsets[0]:
        return _other_head(text, len(before) - rest, len(text) - len(before), reading)
    return _other_body(text, before, first, rest, reading)


def _other_head(text: str, end: int, grown: int, reading: Reading) -> Reading | None:
    """The edit is in the frontmatter: the body is the same, further up or down."""
    body = reading.offsets[0]
    if end > body:
        return None
    head = text[: body + grown]
    lines = head.split("\n")
    last = len(lines) - 2
    if last < 1 or lines[-1] or lines[last] != DELIMITER or DELIMITER in lines[1:last]:
        return None
    problems = ProblemList()
    column = reading.head.column
    parts = split(lines[:-1], column, problems)
    if parts is None:
        return None
    said = read_frontmatter(lines[1:last], parts.opener, problems)
    found = Head(head, column, parts, said, tuple(problems.told))
    moved = last + 1 - reading.lines[0]
    return Reading(
        found,
        [offset + grown for offset in reading.offsets],
        [line + moved for line in reading.lines],
        _moved_sections(reading.sections, moved),
        _moved_problems(reading.problems, moved),
        whole=not problems.full,
    )


def _other_body(text: str, before: str, first: int, rest: int, reading: Reading) -> Reading | None:
    """The edit is in the body, from `first` up to the last `rest` characters: the blocks that it touches are read."""
    offsets, grown = reading.offsets, len(text) - len(before)
    begin = bisect_right(offsets, first) - 1
    fence_end = before.find("\n", offsets[begin])
    if begin and not -1 < fence_end < first:
        begin -= 1  # its fence may be none any more
    end = bisect_left(offsets, len(before) - rest, begin + 1)
    if end < len(offsets) and text[offsets[end] + grown - 1] != "\n":
        end += 1  # its fence does not begin a line any more
    bottom = end >= len(offsets)
    part = text[offsets[begin] :] if bottom else text[offsets[begin] : offsets[end] + grown - 1]
    lines = part.split("\n")
    problems = ProblemList()
    known = _known(before, reading, begin, end) if end - begin > 1 else None
    blocks = parse_body(lines, reading.lines[begin], problems, known, top=begin == 0, bottom=bottom)
    if blocks is None:
        return None
    places, starts = _places(blocks, offsets[begin], reading.lines[begin])
    moved = 0 if bottom else reading.lines[begin] + len(lines) - reading.lines[end]
    return Reading(
        reading.head,
        [*offsets[:begin], *places, *([offset + grown for offset in offsets[end:]] if grown else offsets[end:])],
        [
            *reading.lines[:begin],
            *starts,
            *([line + moved for line in reading.lines[end:]] if moved else reading.lines[end:]),
        ],
        [
            *reading.sections[:begin],
            *(block.section for block in blocks),
            *_moved_sections(reading.sections[end:], moved),
        ],
        [
            *reading.problems[:begin],
            *_by_block(problems.told, starts),
            *_moved_problems(reading.problems[end:], moved),
        ],
        whole=not problems.full,
    )


def _known(text: str, reading: Reading, begin: int, end: int) -> Mapping[str, Section]:
    """The sections without problems of some blocks by their text, without the line end before the next fence."""
    stops = [*reading.offsets[1:], len(text) + 1]
    return {
        text[reading.offsets[number] : stops[number]].removesuffix("\n"): section
        for number in range(max(begin, 1), end)
        if (section := reading.sections[number]) is not None and not reading.problems[number]
    }


def _places(blocks: Sequence[Block], offset: int, line: int) -> tuple[list[int], list[int]]:
    """Where each block begins: offsets and lines."""
    offsets, lines = [], []
    for block in blocks:
        offsets.append(offset)
        lines.append(line)
        offset += block.length
        line += block.lines
    return offsets, lines


def _by_block(problems: Sequence[Problem], starts: Sequence[int]) -> list[tuple[Problem, ...]]:
    """The problems of each block, which are all within its lines."""
    found: list[tuple[Problem, ...]] = [()] * len(starts)
    for problem in problems:
        number = bisect_right(starts, problem.range.start.line) - 1
        found[number] = (*found[number], problem)
    return found


def _moved_sections(sections: list[Section | None], lines: int) -> list[Section | None]:
    return [section and section.moved(lines) for section in sections] if lines else sections


def _moved_problems(problems: list[tuple[Problem, ...]], lines: int) -> list[tuple[Problem, ...]]:
    if not lines:
        return problems
    return [each and tuple(problem.moved(lines) for problem in each) for each in problems]


def _difference(one: str, other: str) -> tuple[int, int]:
    """How many characters two texts have in common at their begins, and then at their ends. Compares whole pieces."""
    short = min(len(one), len(other))
    low, high = 0, short
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    first, low, high = low, 0, short - low
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle : len(one) - low] == other[len(other) - middle : len(other) - low]:
            low = middle
        else:
            high = middle - 1
    return first, low
