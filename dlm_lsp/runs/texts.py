"""The texts that one run learns, one after the other: the one it began with, and those that it took in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dlm_lsp.document import Document, Lesson, Section
from dlm_lsp.runs.snapshot import Snapshot, take
from dlm_lsp.training.protocol import LearnPlan


@dataclass(frozen=True, slots=True)
class Text:
    """A newer text and what it leaves to learn. `means_the_same`: as the one that is learned."""

    snapshot: Snapshot
    plan: LearnPlan
    means_the_same: bool


class Texts:
    """Lives on the worker's thread. `replan` says what a snapshot leaves to learn.

    `gone` says why there is nothing left to learn, once that is so.
    """

    def __init__(self, snapshot: Snapshot, replan: Callable[[Snapshot], LearnPlan]) -> None:
        self.snapshot = snapshot
        self.superseded: tuple[Section, ...] = ()  # of earlier texts, not in the newest one: some steps may hold them
        self.fresh: tuple[Lesson, ...] = ()  # what the newest text that was taken in left to learn
        self.gone = ""
        self._replan = replan

    def next(self, document: Document) -> Text:
        """Reads the sourced files of `document`, and says what it leaves to learn."""
        snapshot = take(self.snapshot.path, document)
        same = snapshot.fingerprints.data == self.snapshot.fingerprints.data
        return Text(snapshot, self._replan(snapshot), means_the_same=same)

    def take(self, text: Text) -> tuple[int, int]:
        """From here on `text` is what is learned. How many sections hold something new, and of how many something left.

        By lessons: an id also changes with blank lines at a section's end.
        """
        before, after = self.snapshot.sections, text.snapshot.sections
        added, removed = _apart(after, before), _apart(before, after)
        self.superseded = (*_apart(self.superseded, after), *removed)
        self.snapshot, self.fresh = text.snapshot, text.plan.fresh
        return len(added), len(removed)


def _apart(sections: tuple[Section, ...], others: tuple[Section, ...]) -> tuple[Section, ...]:
    """Those of `sections` that hold a lesson which none of `others` holds."""
    known = {lesson.identity for section in others for lesson in section.lessons}
    return tuple(section for section in sections if any(each.identity not in known for each in section.lessons))
