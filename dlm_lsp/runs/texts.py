"""The texts that one run learns, one after the other: the one it began with, and those that it took in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dlm_lsp.document import Document, Section
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
        self.gone = ""
        self._replan = replan

    def next(self, document: Document) -> Text:
        """Reads the sourced files of `document`, and says what it leaves to learn."""
        snapshot = take(self.snapshot.path, document)
        same = snapshot.fingerprints.data == self.snapshot.fingerprints.data
        return Text(snapshot, self._replan(snapshot), means_the_same=same)

    def take(self, text: Text) -> tuple[int, int]:
        """From here on `text` is what is learned; how many sections are new in it, and how many left."""
        before = {section.section_id: section for section in self.snapshot.sections}
        after = {section.section_id: section for section in text.snapshot.sections}
        earlier = {**{section.section_id: section for section in self.superseded}, **before}
        self.superseded = tuple(section for key, section in earlier.items() if key not in after)
        self.snapshot = text.snapshot
        return len(after.keys() - before.keys()), len(before.keys() - after.keys())
