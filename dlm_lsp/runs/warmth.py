"""Keeps the learner: makes it at first use, warms a session before its first save, lets idle ones go."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from dlm_lsp.document import Document, Lesson
from dlm_lsp.runs.clock import Clock, Timer
from dlm_lsp.runs.delta import known_to
from dlm_lsp.runs.guard import guarded
from dlm_lsp.runs.run import session_request
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.worker import Worker, on_loop
from dlm_lsp.store import Ledger, Store
from dlm_lsp.training.protocol import (
    Learner,
    LearnerMode,
    LearningCancelled,
    LivesElsewhere,
    SessionInfo,
    Unwatched,
)

log = logging.getLogger(__name__)

# A document that was only opened for a glance shall not cost a second of computing.
_AFTER_OPENING = 1.5
# Lessons that are to be learned yet, and are read in advance; a tenth of a millisecond each.
_MOST_READ = 128

# What makes the learner of each mode; a single one makes it whatever the mode.
Learners = Callable[[], Learner] | Mapping[LearnerMode, Callable[[], Learner]]
Told = Callable[[Path, SessionInfo | None], None]


class Warmth:
    """Everything but `learner` is called on the event-loop thread. `told` hears what became warm, or cold."""

    def __init__(self, learners: Learners, settings: RunSettings, worker: Worker, clock: Clock, told: Told) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.settings = settings
        self._learners = learners
        self._worker = worker
        self._clock = clock
        self._told = told
        self._learner: Learner | None = None
        self._mode: LearnerMode = settings.learner  # of `_learner`
        self._abandoned = False
        self._opening: dict[Path, Timer] = {}
        self._warming: dict[Path, threading.Event] = {}
        self._cooling: dict[str, tuple[Path, Timer]] = {}  # by session: a renamed document keeps its own

    def learner(self) -> Learner:
        """On the worker's thread: the one learner of this process, of the kind that the settings name now."""
        if self._abandoned:
            raise LearningCancelled
        mode = self.settings.learner
        if self._learner is not None and self._mode != mode:
            log.info("from now on the learner is a %s", mode)
            self._learner.close()
            self._learner = None
            self._on_loop(self._all_cold)
        if self._learner is None:
            self._mode = mode
            self._learner = (self._learners[mode] if isinstance(self._learners, Mapping) else self._learners)()
        return self._learner

    def abandon(self) -> bool:
        """At the end: what the learner does outside of this process ends at once. False if there is no such."""
        self._abandoned = True
        if (elsewhere := _elsewhere(self._learner)) is None:
            return False
        elsewhere.abandon()
        return True

    def consider(self, path: Path, document: Document, store: Store | None, *, learned: bool) -> None:
        """Warms the document's session in a moment, if that needs no download: opening must not fetch a base.

        `learned`: there is a version already, so its base was fetched once.
        """
        frontmatter = document.frontmatter
        if not document.trainable or frontmatter is None or store is None or not self.settings.keep_warm_minutes:
            return
        if learned or frontmatter.base_model.startswith("builtin:"):
            self._not_opening(path)
            self._opening[path] = self._clock.call_later(_AFTER_OPENING, lambda: self._begin(path, document, store))

    def make_way(self, path: Path | None = None) -> None:
        """A run begins (for `path`): warming anything else stops at its next step. None: all warming stops."""
        for other in list(self._opening):
            self._not_opening(other)
        for other, stop in self._warming.items():
            if other != path:
                stop.set()

    def closed(self, path: Path) -> None:
        self._not_opening(path)

    def used(self, path: Path, key: str) -> None:
        """A run of session `key` ended, or it was warmed: it stays warm for a while from now."""
        if key in self._cooling:
            self._cooling.pop(key)[1].cancel()
        minutes = self.settings.keep_warm_minutes
        self._cooling[key] = (path, self._clock.call_later(minutes * 60, lambda: self._cool(path, key)))
        elsewhere = _elsewhere(self._learner)
        if elsewhere is not None and not elsewhere.alive:
            self._all_cold()

    def keeps(self, key: str | None) -> bool:
        """Whether the model of session `key` is in memory."""
        return key in self._cooling

    def _begin(self, path: Path, document: Document, store: Store) -> None:
        self._opening.pop(path, None)
        stop = self._warming[path] = threading.Event()
        self._worker.submit(lambda: self._warm(path, document, store, stop))

    def _warm(self, path: Path, document: Document, store: Store, stop: threading.Event) -> None:
        """On the worker's thread. A failure is only logged: the run that needs the session will tell it."""
        frontmatter = document.frontmatter
        assert frontmatter is not None, "a document without errors has a frontmatter"
        info: SessionInfo | None = None
        try:
            if not stop.is_set():
                info = self.learner().warm(
                    session_request(frontmatter, path, store), Unwatched(stop), read_first(document, known_to(store))
                )
                store.exercise()
        except LearningCancelled:
            log.debug("warming %s gave way", path)
        except Exception as error:
            log.info("warming %s failed: %s", path, error)
        finally:
            self._on_loop(lambda: self._warmed(path, frontmatter.dlm_id, info))

    def _warmed(self, path: Path, key: str, info: SessionInfo | None) -> None:
        self._warming.pop(path, None)
        if info is not None:
            self._told(path, info)
            self.used(path, key)

    def _all_cold(self) -> None:
        """Every session is gone with what held it."""
        for path, timer in self._cooling.values():
            timer.cancel()
            self._told(path, None)
        self._cooling.clear()

    def _cool(self, path: Path, key: str) -> None:
        self._cooling.pop(key, None)

        def release() -> None:
            if self._learner is not None:
                self._learner.release(key)
            self._on_loop(lambda: self._told(path, None))

        self._worker.submit(release)

    def _on_loop(self, callback: Callable[[], None]) -> None:
        on_loop(self.loop, callback)

    def _not_opening(self, path: Path) -> None:
        if timer := self._opening.pop(path, None):
            timer.cancel()


def read_first(document: Document, ledger: Ledger) -> tuple[Lesson, ...]:
    """The lessons of `document` that its next run reads whatever is saved: to be learned yet, or guarded."""
    lessons = {lesson.identity: lesson for section in document.sections for lesson in section.lessons}
    entries = ledger.lessons
    unlearned = [each for each in lessons if (entry := entries.get(each)) is None or not entry.learned]
    return tuple([lessons[each] for each in (*unlearned[:_MOST_READ], *guarded(lessons.values(), entries))])


def _elsewhere(learner: object) -> LivesElsewhere | None:
    return learner if isinstance(learner, LivesElsewhere) else None
