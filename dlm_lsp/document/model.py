"""The words of a parsed document: places, problems, sections, exchanges and lessons. Plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from dlm_lsp.document.reading import Reading
    from dlm_lsp.document.schema import Frontmatter

SectionKind = Literal["prose", "instruction", "preference", "image", "audio"]
KeyPath = tuple[str | int, ...]


class Position(NamedTuple):
    """A place in the text as the editor holds it: 0-based line, 0-based column in Unicode code points.

    Lines end at LF, CRLF or CR, as in the Language Server Protocol; nothing else ends a line.
    """

    line: int
    column: int


class Range(NamedTuple):
    """Half open: `end` is the first place that no longer belongs to it."""

    start: Position
    end: Position


class Severity(StrEnum):
    """How much a problem matters. An error keeps the document from being trained."""

    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Related:
    """A second place that belongs to a problem, such as the first of two duplicates.

    With `path` it lies in another document, and its columns count as the client does.
    """

    message: str
    range: Range
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Fix:
    """A change that certainly mends a problem: `text` in place of `range`. The title says what it does."""

    title: str
    range: Range
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a document: a stable code, a sentence that says what to do, and its exact place.

    `fixes` are alternatives, the likeliest first.
    """

    code: str
    severity: Severity
    message: str
    range: Range
    related: tuple[Related, ...] = ()
    fixes: tuple[Fix, ...] = ()

    def moved(self, lines: int) -> Problem:
        """The same problem, so many lines further down, with all that belongs to it."""
        related = tuple(replace(each, range=moved(each.range, lines)) for each in self.related)
        fixes = tuple(replace(each, range=moved(each.range, lines)) for each in self.fixes)
        return replace(self, range=moved(self.range, lines), related=related, fixes=fixes)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One record of an instruction section (`prompt`, `answer`) or preference section (with `rejected`)."""

    prompt: str
    answer: str
    range: Range
    rejected: str | None = None
    probe: bool = False

    def moved(self, lines: int) -> Exchange:
        """The same exchange, so many lines further down."""
        return Exchange(self.prompt, self.answer, moved(self.range, lines), self.rejected, self.probe)


@dataclass(frozen=True, slots=True)
class Lesson:
    """The smallest thing that is learned: one exchange, or the text of one prose section.

    `identity` (16 hex digits) names its training-relevant content and nothing else: blank lines at its edges,
    its place in the document and provenance markers do not count. `anchor` (16 hex digits) stays the same when
    the answer is corrected (it names the question, or the first line of a text), so that a changed lesson can
    be told from a new one.
    """

    identity: str
    anchor: str
    kind: Literal["exchange", "prose"]
    prompt: str
    answer: str


@dataclass(frozen=True)
class Section:
    """A part of the document's body.

    `start_line` is the format's 1-based line of the fence (or of the first body line for leading prose); 0 in a
    sourced file. `content` is verbatim; `section_id` is the format's exact id, shared with other tools.
    `end` and `records` count lines from there, so that a section that only moves stays the same but for that.
    """

    kind: SectionKind
    content: str
    start_line: int
    section_id: str
    end: Position
    adapter: str | None = None
    records: tuple[Exchange, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    origin: str | None = None  # relative path of the sourced file, None for the document's own body
    auto_harvest: bool = False
    harvest_source: str | None = None
    auto_mined: bool = False
    judge_name: str | None = None
    judge_score_chosen: float | None = None
    judge_score_rejected: float | None = None
    mined_at: str | None = None
    mined_run_id: int | None = None
    auto_synth: bool = False
    synth_teacher: str | None = None
    synth_strategy: str | None = None
    synth_at: str | None = None
    source_section_id: str | None = None
    media_path: str | None = None
    media_alt: str | None = None
    media_transcript: str | None = None

    @property
    def range(self) -> Range:
        """From the fence (or first content line) to the end of the content."""
        first, (line, column) = max(self.start_line - 1, 0), self.end
        return _range(first, 0, first + line, column)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The exchanges with their places in the text."""
        return tuple(each.moved(max(self.start_line - 1, 0)) for each in self.records)

    @cached_property
    def identities(self) -> tuple[str, ...]:
        """Those of its lessons, in their order."""
        return tuple([lesson.identity for lesson in self.lessons])

    @cached_property
    def longest(self) -> tuple[int, int]:
        """Letters of its longest lesson and of its longest answer; 0 where there is none."""
        sizes = [(len(lesson.prompt), len(lesson.answer)) for lesson in self.lessons]
        return max([sum(size) for size in sizes], default=0), max([answer for _, answer in sizes], default=0)

    def moved(self, lines: int) -> Section:
        """The same section, so many lines further down."""
        section = object.__new__(Section)  # thousands of them for one new line; `replace` takes ten times as long
        said = section.__dict__
        said.update(self.__dict__)
        said["start_line"] += lines
        return section


def moved(place: Range, lines: int) -> Range:
    """The same range, so many lines further down."""
    (start, left), (end, right) = place
    return _range(start + lines, left, end + lines, right)


def _range(first: int, left: int, last: int, right: int) -> Range:
    """`Range(Position(first, left), Position(last, right))`, in half the time."""
    new = tuple.__new__
    return new(Range, (new(Position, (first, left)), new(Position, (last, right))))


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where a frontmatter key and its value stand."""

    key: Range
    value: Range


@dataclass(frozen=True)
class Document:
    """What a `.dlm` text says, and everything that is wrong with it.

    `text` has no byte order mark and LF line ends. `frontmatter` is None when it could not be validated; the
    sections are there all the same. `keys` maps each frontmatter key path to its place. `reading` is what the next
    parse of an edited text takes over; None where there is nothing to take.
    """

    text: str
    frontmatter: Frontmatter | None
    sections: tuple[Section, ...]
    problems: tuple[Problem, ...]
    keys: Mapping[KeyPath, KeyPlace] = field(default_factory=dict)
    frontmatter_range: Range | None = None
    reading: Reading | None = field(default=None, compare=False, repr=False)

    @cached_property
    def identities(self) -> frozenset[str]:
        """Those of all its lessons."""
        return frozenset(chain.from_iterable([section.identities for section in self.sections]))

    def key_place(self, path: KeyPath) -> KeyPlace | None:
        """Where the key stands, or its nearest parent that is written; None when none of them is."""
        while path:
            if place := self.keys.get(path):
                return place
            path = path[:-1]
        return None

    @property
    def trainable(self) -> bool:
        """Whether nothing in the document stands against training it."""
        return self.frontmatter is not None and not any(problem.severity is Severity.ERROR for problem in self.problems)
