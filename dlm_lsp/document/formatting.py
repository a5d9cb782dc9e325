"""Formats a document: blanks and blank lines that nothing is learned from. No id, lesson or setting changes.

What a section says is verbatim, blank lines included, so the body is laid out only where no section is: above the
first, between attributes, around captions, below a fence without text, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import pairwise
from operator import attrgetter
from typing import Literal, NamedTuple

from dlm_lsp.document.body import ATTRIBUTE, ATTRIBUTE_FENCE
from dlm_lsp.document.frontmatter import DELIMITER
from dlm_lsp.document.model import Document, Position, Range, Section
from dlm_lsp.document.parse import parse
from dlm_lsp.document.text import LineIndex, line_end, span
from dlm_lsp.document.yaml_edit import Edit
from dlm_lsp.document.yaml_layout import lay_out
from dlm_lsp.document.yaml_text import YamlError, read_yaml

_MEDIA = ("image", "audio")
# All of a section but its place, and its exchanges, which follow from its content.
_FIELDS = attrgetter(*({each.name for each in fields(Section)} - {"start_line", "end", "content", "records"}))


class Change(NamedTuple):
    """An edit with LF for line ends; `indents` where it moves a line of the frontmatter."""

    range: Range
    text: str
    indents: bool = False


def formatted(text: str, document: Document, within: Range | None = None) -> tuple[Edit, ...]:
    """The edits that format `text`, which `document` was read from, or those of its lines `within`.

    They are small, in order, and do not overlap; line ends stay what they are. None where the document would not
    say exactly the same with them, and of a document whose frontmatter is not closed. Blanks before keys are left as
    they are where the lines `within` could not be moved without others.
    """
    found = changes(document)
    if within is not None:
        found = [each for each in found if within.start <= each.range.start and each.range.end <= within.end]
    for chosen in (found, [each for each in found if not each.indents]):
        edits = in_its_line_ends(text, chosen)
        if not edits or says_the_same(document, parse(apply_edits(text, edits), document)):
            return edits
    return ()


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """`text` after edits that do not overlap, all of them in its own places."""
    index = LineIndex(text)
    pieces, done = [], 0
    for place, new in sorted(edits):
        pieces += [text[done : index.offset(place.start)], new]
        done = index.offset(place.end)
    return "".join((*pieces, text[done:]))


def says_the_same(one: Document, other: Document) -> bool:
    """Whether two documents differ in nothing that means something: settings, sections, problems."""
    return (
        _settings(one) == _settings(other)
        and len(one.sections) == len(other.sections)
        and all(map(_alike, one.sections, other.sections))
        and [problem.code for problem in one.problems] == [problem.code for problem in other.problems]
    )


def _settings(document: Document) -> object:
    lines = document.text.split("\n")
    try:
        value = read_yaml("\n".join(lines[1 : _closer(document, lines)])).value
    except YamlError as error:
        value = error.message
    return repr(value), list(document.keys), document.frontmatter


def _alike(one: Section, other: Section) -> bool:
    """Whether two sections differ in their place alone, or in the blank lines around a caption."""
    if one is other:
        return True
    said, again = (each.content.strip() if each.kind in _MEDIA else each.content for each in (one, other))
    return said == again and _FIELDS(one) == _FIELDS(other)


def in_its_line_ends(text: str, changes: Sequence[Change]) -> tuple[Edit, ...]:
    """Changes of `text` as edits."""
    end = line_end(text)
    return tuple(Edit(each.range, each.text.replace("\n", end)) for each in changes)


def _closer(document: Document, lines: Sequence[str]) -> int | None:
    """The line that closes the frontmatter, if both delimiters are in order."""
    place = document.frontmatter_range
    if place is None or lines[0] != DELIMITER or place.end.line == 0 or lines[place.end.line] != DELIMITER:
        return None
    return place.end.line


def changes(document: Document) -> list[Change]:
    """All that could be tidier, in order. None of it changes what the document says; `formatted` makes sure."""
    lines = document.text.split("\n")
    closer = _closer(document, lines)
    if closer is None:
        return []
    unclosed = any(problem.code == "unclosed-code-block" for problem in document.problems)
    head = _frontmatter(lines[1:closer]) if document.keys else ()  # what has keys is valid YAML
    body = _Body(lines, closer, document.sections, unclosed=unclosed).changes()
    return sorted((*head, *_fences(document.sections, lines), *body))


def _frontmatter(lines: Sequence[str]) -> Iterator[Change]:
    layout = lay_out(lines)
    removed = set(layout.removed)
    for number in layout.removed:
        yield Change(_lines(number + 1, number + 2), "")
    for blank in layout.blanks:
        if blank.line not in removed:
            yield Change(span(blank.line + 1, blank.start, blank.end), blank.new, blank.indents)


def _fences(sections: Sequence[Section], lines: Sequence[str]) -> Iterator[Change]:
    """One blank before each attribute of a fence, none before the colons that close it."""
    for section in sections:
        number = section.range.start.line
        match = ATTRIBUTE_FENCE.fullmatch(lines[number]) if section.kind in _MEDIA else None
        if match is None:
            continue
        start, end = match.span("attributes")
        for attribute in ATTRIBUTE.finditer(lines[number], start, end):
            yield from _blanks(lines[number], number, attribute.start(), attribute.start(1), " ")
        yield from _blanks(lines[number], number, end, match.end() - 2, "")


def _blanks(line: str, number: int, start: int, end: int, wanted: str) -> Iterator[Change]:
    if line[start:end] != wanted:
        yield Change(span(number, start, end), wanted)


class _Block(NamedTuple):
    """Lines that stay as they are, and how many blank lines belong `below` them; `verbatim` ones are theirs."""

    first: int
    last: int
    below: Literal["one", "at most one", "verbatim"] = "one"


class _Body:
    """The blank lines that no section says, in runs between what stands above and below them."""

    def __init__(self, lines: Sequence[str], closer: int, sections: Sequence[Section], *, unclosed: bool) -> None:
        self._lines = lines
        self._closer = closer
        self._sections = sections
        self._unclosed = unclosed  # the last section's code block: all that follows is code

    def changes(self) -> Iterator[Change]:
        blocks = list(self._blocks())
        for above, below in pairwise(blocks):
            needless = above.below == "at most one" or not self._lines[below.first].strip()
            if above.below != "verbatim" and not (needless and above.last + 1 == below.first):
                yield from self._run(above.last + 1, below.first)
        yield from self._end(blocks[-1])

    def _blocks(self) -> Iterator[_Block]:
        """The closing delimiter, every section, and fences that have no text and so are no section."""
        done = self._closer
        yield _Block(done, done)
        for number, section in enumerate(self._sections):
            first, last = section.range.start.line, section.range.end.line
            yield from self._fences(done + 1, first)
            if section.kind not in _MEDIA or (self._unclosed and number + 1 == len(self._sections)):
                yield _Block(first, last, "verbatim")
            elif caption := [line for line in range(first + 1, last + 1) if self._lines[line].strip()]:
                yield _Block(first, first, "at most one")
                yield _Block(caption[0], caption[-1])
            else:
                yield _Block(first, first)
            done = last
        yield from self._fences(done + 1, len(self._lines))

    def _fences(self, first: int, stop: int) -> Iterator[_Block]:
        return (_Block(number, number) for number in range(first, stop) if self._lines[number].strip())

    def _run(self, first: int, stop: int) -> Iterator[Change]:
        """One blank line in place of those from `first` on."""
        if first == stop:
            yield Change(_lines(first, first), "\n")
            return
        yield from _blanks(self._lines[first], first, 0, len(self._lines[first]), "")
        if first + 1 < stop:
            yield Change(_lines(first + 1, stop), "")

    def _end(self, above: _Block) -> Iterator[Change]:
        """One line end at the end of the text."""
        last = len(self._lines) - 1
        if above.last == last:
            end = Position(last, len(self._lines[last]))
            yield Change(Range(end, end), "\n")
        elif above.below != "verbatim" and (above.last + 1 < last or self._lines[last]):
            yield Change(Range(Position(above.last + 1, 0), Position(last, len(self._lines[last]))), "")


def _lines(first: int, stop: int) -> Range:
    return Range(Position(first, 0), Position(stop, 0))
