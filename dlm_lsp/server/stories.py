"""What is told of a section or an exchange in full, as Markdown: state, reason, history, what can be done. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dlm_lsp.document import Range, Section
from dlm_lsp.runs.history import Chapter, story_sentence
from dlm_lsp.runs.labels import label, lesson_section, removed_sentence, what_next
from dlm_lsp.runs.memory import Recall
from dlm_lsp.runs.status import Forgotten, LessonStatus, SectionStatus
from dlm_lsp.runs.telling import count, section_sentence
from dlm_lsp.runs.truth import Truth
from dlm_lsp.server import wording

REMOVED_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Told:
    """A document's truth, and what its store remembers beyond it."""

    truth: Truth
    recall: Recall

    def history(self, section: Section) -> tuple[Chapter, ...]:
        return self.truth.story(section, self.recall.chronicle)

    def exchange_history(self, lesson: LessonStatus) -> tuple[Chapter, ...]:
        return self.truth.exchange_story(lesson, self.recall.chronicle)


def section_markdown(told: SectionStatus, history: Sequence[Chapter] = ()) -> str:
    """A section's kind, id, state and history, and what can be done."""
    rows = [f"**{told.kind}** `{told.section_id}`", *_rows(told, history)]
    return "  \n".join(rows)


def exchange_markdown(
    exchange: LessonStatus,
    number: int,
    section: SectionStatus,
    history: Sequence[Chapter] = (),
    forgotten: tuple[Forgotten, ...] = (),
) -> str:
    """An exchange's own truth, then its section's in a line."""
    own = [f"**exchange {number}**", *_rows(lesson_section(exchange, section, forgotten), history)]
    around = f"Its section `{section.section_id}`: {label(section)}."
    return "  \n".join([*own, around])


def told_at(told: Told, section: Section, status: SectionStatus, line: int) -> tuple[str, Range]:
    """What there is to tell at a line of a section, and its place: its exchange there, if it has several, or itself."""
    several = len(section.exchanges) > 1
    for number, exchange, lesson in told.truth.exchanges(section, line, line) if several else ():
        forgotten = tuple(each for each in status.forgotten if each.range == exchange.range)
        return exchange_markdown(lesson, number, status, told.exchange_history(lesson), forgotten), exchange.range
    return section_markdown(status, told.history(section)), section.range


def removed_rows(told: Told) -> list[str]:
    """The removed lessons that are remembered, the newest first; the rest of many is counted."""
    shown = told.truth.removed(told.recall.words, REMOVED_SHOWN)
    rows = [f"- {removed_sentence(lesson, quotes='``')}" for lesson in shown]
    more = len(told.truth.left) - len(shown)
    return [*rows, f"- and {count(more, 'other')}"] if more else rows


def _rows(told: SectionStatus, history: Sequence[Chapter]) -> list[str]:
    rows = [wording.sentence(section_sentence(told))]
    # One plain chapter says nothing that the state does not.
    if len(history) > 1 or any(each.event == "rehearsed" or each.undone or each.earlier for each in history):
        rows.append(f"History: {story_sentence(history, told.kind, many=told.lessons > 1)}.")
    if further := what_next(told):
        rows.append(further)
    return rows
