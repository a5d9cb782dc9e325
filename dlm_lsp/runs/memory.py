"""What a store remembers beyond the current ledger: the history of lessons, and how removed ones began.

Reading it takes files, so it is done on demand, off the loop's thread, and kept.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from dlm_lsp.document import SectionKind
from dlm_lsp.document.sourced import kept_lessons
from dlm_lsp.store import NOTHING, Chronicle, Histories, Ledger, Snapshot, Store, StoreError

log = logging.getLogger(__name__)

WORDS = 60  # characters of a removed lesson that are shown
_STORES = 8


@dataclass(frozen=True, slots=True)
class Words:
    """How a lesson begins, and the kind of its section."""

    kind: SectionKind
    text: str


@dataclass(frozen=True, slots=True)
class Recall:
    """What is remembered: the story of each lesson, and the first words of removed ones by identity."""

    chronicle: Chronicle = NOTHING
    words: Mapping[str, Words] = field(default_factory=dict)


@dataclass(slots=True)
class _Kept:
    """Holds as long as the store has this ledger. `looked`: the sections that were looked for in the corpus."""

    ledger: Ledger
    recall: Recall
    looked: frozenset[str] = frozenset()


class Memory:
    """Recalls stores; what it found is kept until their ledger is another one."""

    def __init__(self) -> None:
        self._histories = Histories()
        self._lock = threading.Lock()
        self._kept: dict[Path, _Kept] = {}

    def at_hand(self, store: Store, ledger: Ledger, sections: Collection[str]) -> Recall | None:
        """What was recalled before, if that is enough; touches no file. `sections` are ids of removed lessons."""
        kept = self._kept.get(store.root)
        if kept is None or kept.ledger is not ledger or not kept.looked.issuperset(sections):
            return None
        return kept.recall

    def recall(self, store: Store, ledger: Ledger, sections: Collection[str]) -> Recall:
        """Reads what is not at hand; what cannot be read is not known. For any thread but the loop's."""
        with self._lock:
            if (found := self.at_hand(store, ledger, sections)) is not None:
                return found
            kept = self._kept.pop(store.root, None)
            try:
                if kept is None or kept.ledger is not ledger:
                    kept = _Kept(ledger, Recall(store.chronicle(self._histories)))
                if missing := frozenset(sections) - kept.looked:
                    words = {**kept.recall.words, **_words(store.replay().some(missing))}
                    kept = _Kept(ledger, Recall(kept.recall.chronicle, words), kept.looked | missing)
            except (StoreError, OSError) as error:
                log.info("what %s remembers cannot be read: %s", store.root, error)
                kept = _Kept(ledger, kept.recall if kept else Recall(), frozenset(sections))
            self._kept[store.root] = kept
            while len(self._kept) > _STORES:
                del self._kept[next(iter(self._kept))]
            return kept.recall


def _words(snapshots: Collection[Snapshot]) -> dict[str, Words]:
    found: dict[str, Words] = {}
    for snapshot in snapshots:
        for lesson in kept_lessons(snapshot.section_type, snapshot.content):
            begin = next((line for line in (lesson.prompt or lesson.answer).splitlines() if line.strip()), "").strip()
            text = begin if len(begin) <= WORDS else f"{begin[: WORDS - 1].rstrip()}…"
            found[lesson.identity] = Words(cast(SectionKind, snapshot.section_type), text)
    return found
