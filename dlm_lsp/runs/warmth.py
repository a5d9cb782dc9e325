"""Keeps the learner: makes it at first use, warms a session before its first save, lets idle ones go."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dlm_lsp.document import Document, Frontmatter
from dlm_lsp.runs.clock import Clock, Timer
from dlm_lsp.runs.run import session_request
from dlm_lsp.runs.worker import Worker
from dlm_lsp.store import Store
from dlm_lsp.training.protocol import Learner, LearningCancelled, SessionInfo, Unwatched

log = logging.getLogger(__name__)

# A document that was only opened for a glance shall not cost a second of computing.
_AFTER_OPENING = 1.5

Key = TypeVar("Key")
Told = Callable[[Path, SessionInfo | None], None]


class Warmth:
    """Everything but `learner` is called on the event-loop thread. `told` hears what became warm, or cold."""

    def __init__(self, factory: Callable[[], Learner], worker: Worker, clock: Clock, told: Told) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._factory = factory
        self._worker = worker
        self._clock = clock
        self._told = told
        self._learner: Learner | None = None
        self._opening: dict[Path, Timer] = {}
        self._warming: dict[Path, threading.Event] = {}
        self._cooling: dict[str, Timer] = {}  # by session: a renamed document keeps its own

    def learner(self) -> Learner:
        """On the worker's thread: the one learner of this process."""
        if self._learner is None:
            self._learner = self._factory()
        return self._learner

    def consider(self, path: Path, document: Document, store: Store | None, minutes: float, *, learned: bool) -> None:
        """Warms the document's session in a moment, if that needs no download: opening must not fetch a base.

        It then stays for `minutes`. `learned`: there is a version already, so its base was fetched once.
        """
        frontmatter = document.frontmatter
        if not document.trainable or frontmatter is None or store is None:
            return
        if learned or frontmatter.base_model.startswith("builtin:"):
            self._forget(self._opening, path)
            self._opening[path] = self._clock.call_later(
                _AFTER_OPENING, lambda: self._begin(path, frontmatter, store, minutes)
            )

    def make_way(self, path: Path | None = None) -> None:
        """A run begins (for `path`): warming anything else stops at its next step. None: all warming stops."""
        for other in list(self._opening):
            self._forget(self._opening, other)
        for other, stop in self._warming.items():
            if other != path:
                stop.set()

    def closed(self, path: Path) -> None:
        self._forget(self._opening, path)

    def used(self, path: Path, key: str, minutes: float) -> None:
        """A run of session `key` ended: it stays warm for `minutes` from now."""
        self._forget(self._cooling, key)
        self._cooling[key] = self._clock.call_later(minutes * 60, lambda: self._cool(path, key))

    def keeps(self, key: str | None) -> bool:
        """Whether the model of session `key` is in memory."""
        return key in self._cooling

    def _begin(self, path: Path, frontmatter: Frontmatter, store: Store, minutes: float) -> None:
        self._opening.pop(path, None)
        stop = self._warming[path] = threading.Event()
        self._worker.submit(lambda: self._warm(path, frontmatter, store, minutes, stop))

    def _warm(self, path: Path, frontmatter: Frontmatter, store: Store, minutes: float, stop: threading.Event) -> None:
        """On the worker's thread. A failure is only logged: the run that needs the session will tell it."""
        info: SessionInfo | None = None
        try:
            if not stop.is_set():
                info = self.learner().warm(session_request(frontmatter, path, store), Unwatched(stop))
        except LearningCancelled:
            log.debug("warming %s gave way", path)
        except Exception as error:
            log.info("warming %s failed: %s", path, error)
        finally:
            self._on_loop(lambda: self._warmed(path, store.dlm_id, minutes, info))

    def _warmed(self, path: Path, key: str, minutes: float, info: SessionInfo | None) -> None:
        self._warming.pop(path, None)
        if info is not None:
            self.used(path, key, minutes)
            self._told(path, info)

    def _cool(self, path: Path, key: str) -> None:
        self._cooling.pop(key, None)

        def release() -> None:
            if self._learner is not None:
                self._learner.release(key)
            self._on_loop(lambda: self._told(path, None))

        self._worker.submit(release)

    def _on_loop(self, callback: Callable[[], None]) -> None:
        assert self.loop is not None
        try:
            self.loop.call_soon_threadsafe(callback)
        except RuntimeError:
            log.debug("the loop is closed")

    @staticmethod
    def _forget(timers: dict[Key, Timer], key: Key) -> None:
        if timer := timers.pop(key, None):
            timer.cancel()
