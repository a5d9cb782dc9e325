"""Hands texts from the client on to the supervisor: opening, saving and typing at once, bursts of it in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dlm_lsp.runs.clock import Clock, Timer
from dlm_lsp.runs.reasons import SaveReason
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.server.disk import DiskWatch
from dlm_lsp.server.documents import Documents, OpenDocument

# A keystroke is checked at once. After it the loop is free for twice as long as that took, and of the
# keystrokes that come meanwhile only the last state is checked. Who needs the newest text flushes first.
_REST = 2.0
_MAX_REST = 0.1  # seconds


class Sync:
    """The one caller of the supervisor's `opened`, `changed`, `saved` and `closed`.

    `loose` is called with open documents that are no files: they are checked, and never trained.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        documents: Documents,
        loose: Callable[[OpenDocument], None],
        clock: Clock,
    ) -> None:
        self._supervisor = supervisor
        self._documents = documents
        self._loose = loose
        self._clock = clock
        self.disk = DiskWatch(supervisor, documents, clock)
        self.asked: Callable[[Path], None] = lambda path: None  # somebody wants to know about a document
        self._handed: dict[str, Path] = {}  # which path the supervisor knows a document by
        self._timers: dict[str, Timer] = {}
        self._rest: dict[str, float] = {}  # per document, until when (monotonic) keystrokes are not checked

    def opened(self, document: OpenDocument) -> None:
        if document.path is None:
            self._loose(document)
        else:
            self._handed[document.uri] = document.path
            self._supervisor.opened(document.path, document.now.text)
            self.disk.settled(document.path)

    def changed(self, document: OpenDocument) -> None:
        if document.uri not in self._timers:
            rest = max(self._rest.get(document.uri, 0.0) - self._clock.monotonic(), 0.0)
            self._timers[document.uri] = self._clock.call_later(rest, lambda: self.hand_over(document))

    def saved(self, document: OpenDocument, text: str | None, reason: SaveReason) -> None:
        """A save; without `text` the supervisor reads the file."""
        self._settle(document)
        if document.path is None:
            self._loose(document)
            return
        if document.path != (before := self._handed.get(document.uri)):
            self._left(before)
            self.opened(document)
        self.disk.settled(document.path)  # before anybody hears of the save, and may change the file
        self._supervisor.saved(document.path, None if text is None else document.now.text, reason=reason)

    def closed(self, document: OpenDocument) -> None:
        self._settle(document)
        self._rest.pop(document.uri, None)
        self._left(self._handed.pop(document.uri, None))

    def flush(self, document: OpenDocument) -> None:
        """Hands the newest text over now, if it was still waiting: somebody wants to know."""
        if document.path is not None:
            self.disk.glance(document.path)
            self.asked(document.path)
        if document.uri in self._timers:
            self.hand_over(document)

    def flush_all(self) -> None:
        """The same for every open document."""
        for document in self._documents:
            self.flush(document)

    def hand_over_all(self) -> None:
        """Hands every open text over again: what is said of it may have changed."""
        for document in self._documents:
            self.hand_over(document)

    def hand_over(self, document: OpenDocument) -> None:
        """Hands the newest text over, waiting or not."""
        self._settle(document)
        began = self._clock.monotonic()
        if document.path is None:
            self._loose(document)
        else:
            self._supervisor.changed(document.path, document.now.text)
            self.disk.glance(document.path)
        now = self._clock.monotonic()
        self._rest[document.uri] = now + min(_REST * (now - began), _MAX_REST)

    def _left(self, path: Path | None) -> None:
        """A document is no longer at `path`."""
        if path is not None and not self._documents.at(path):
            self.disk.closed(path)
            self._supervisor.closed(path)

    def _settle(self, document: OpenDocument) -> None:
        timer = self._timers.pop(document.uri, None)
        if timer is not None:
            timer.cancel()
        document.seen = document.now
