"""What is true of each part of a document now: sections, exchanges, and what left it. Costs what is looked at."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dlm_lsp.document import Document, Exchange, Lesson, Section
from dlm_lsp.document.identity import exchange_lessons
from dlm_lsp.runs.history import Chapter, story
from dlm_lsp.runs.labels import summary
from dlm_lsp.runs.memory import Words
from dlm_lsp.runs.sections import lesson_status
from dlm_lsp.runs.status import (
    DocumentStatus,
    Failure,
    LessonStatus,
    RemovedLesson,
    SectionState,
    SectionStatus,
)
from dlm_lsp.runs.views import StoreView
from dlm_lsp.store import Chronicle

Pair = tuple[Section, SectionStatus]
Numbered = tuple[int, Exchange, LessonStatus]


@dataclass(frozen=True)
class Truth:
    """One look at a record: the newest text, what is known of it, and the lessons of the runs below.

    `sourced` are the lessons of the document's sourced files, None while they have not been read.
    """

    document: Document
    status: DocumentStatus
    view: StoreView = field(default_factory=StoreView)
    queued: frozenset[str] = frozenset()
    learning: frozenset[str] = frozenset()
    failure: Failure | None = None
    sourced: frozenset[str] | None = None

    def sections(self, first: int = 0, last: int | None = None) -> Iterator[Pair]:
        """The sections that touch the lines `first` to `last` (0-based, both included), in their order."""
        statuses, sections = self.status.sections, self.document.sections
        begin = max(bisect_right(statuses, first, key=lambda each: each.range.start.line) - 1, 0)
        for number in range(begin, min(len(statuses), len(sections))):
            told = statuses[number]
            if last is not None and told.range.start.line > last:
                return
            if told.range.end.line >= first:
                yield sections[number], told

    def exchanges(self, section: Section, first: int = 0, last: int | None = None) -> Iterator[Numbered]:
        """The exchanges on the lines `first` to `last`, each with its number in the section (from 1) and its truth.

        Also those that can be read of a section with an error elsewhere.
        """
        if section.kind != "instruction":
            return
        begin = max(bisect_right(section.exchanges, first, key=lambda each: each.range.start.line) - 1, 0)
        for number in range(begin, len(section.exchanges)):
            exchange = section.exchanges[number]
            if last is not None and exchange.range.start.line > last:
                return
            if exchange.range.end.line >= first:
                lesson = section.lessons[number] if section.lessons else exchange_lessons([exchange])[0]
                yield number + 1, exchange, self._of(lesson)

    def story(self, section: Section, chronicle: Chronicle) -> tuple[Chapter, ...]:
        """What happened to a section, version by version."""
        return story(((each.identity, each.anchor) for each in section.lessons), chronicle, self.present)

    def exchange_story(self, lesson: LessonStatus, chronicle: Chronicle) -> tuple[Chapter, ...]:
        """What happened to one exchange."""
        return story([(lesson.identity, lesson.anchor)], chronicle, self.present)

    def _of(self, lesson: Lesson) -> LessonStatus:
        return lesson_status(
            lesson,
            self.view.ledger,
            self.view.anchors,
            queued=self.queued,
            learning=self.learning,
            failure=self.failure,
        )

    @cached_property
    def present(self) -> frozenset[str]:
        """The identities of all lessons in the document and, as far as they have been read, in its sources."""
        return self.document.identities | (self.sourced or frozenset())

    @cached_property
    def left(self) -> tuple[str, ...]:
        """The identities that the adapter knows and the document does not hold, newest first.

        None can be told of a document with errors, or while its sources have not been read.
        """
        frontmatter = self.document.frontmatter
        if frontmatter is None or not self.document.trainable:
            return ()
        if frontmatter.training.sources and self.sourced is None:
            return ()
        lessons = self.view.ledger.lessons
        gone = [identity for identity in lessons if identity not in self.present]
        return tuple(sorted(gone, key=lambda identity: (-lessons[identity].version, identity)))

    def removed(self, words: Mapping[str, Words], limit: int | None = None) -> tuple[RemovedLesson, ...]:
        """What is known of those; `words` by identity, as far as the replay corpus still has them."""
        return tuple(self._removed(identity, words.get(identity)) for identity in self.left[:limit])

    @cached_property
    def anchors(self) -> frozenset[str]:
        """The anchors of all lessons in the document."""
        return frozenset(lesson.anchor for section in self.document.sections for lesson in section.lessons)

    @property
    def summary(self) -> str:
        """How many sections are in which state, and what is remembered beside them, in one line."""
        lessons = self.view.ledger.lessons
        replaced = sum(1 for identity in self.left if lessons[identity].anchor in self.anchors)
        learned = (section for section in self.status.sections if section.state is SectionState.LEARNED)
        read = sum(1 for section in learned if section.kind == "prose")
        return summary(self.counts, len(self.left) - replaced, replaced, read=read)

    @cached_property
    def counts(self) -> dict[SectionState, int]:
        """How many sections are in each state."""
        return dict(Counter(section.state for section in self.status.sections))

    def _removed(self, identity: str, words: Words | None) -> RemovedLesson:
        known = self.view.ledger.lessons[identity]
        return RemovedLesson(
            identity=identity,
            section_id=known.section_id,
            version=known.version,
            times_seen=known.times_seen,
            loss_after=known.loss_after,
            learned_at=known.learned_at,
            replaced=known.anchor in self.anchors,
            words=words.text if words else "",
            kind=words.kind if words else None,
        )
