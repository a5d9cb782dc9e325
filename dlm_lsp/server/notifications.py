"""The server's own notifications, each sent only to clients that declared it (docs/protocol.md)."""

from __future__ import annotations

from typing import Any

from dlm_lsp.runs import events
from dlm_lsp.runs.status import DocumentStatus, RunState
from dlm_lsp.runs.telling import headline
from dlm_lsp.server.capabilities import Features
from dlm_lsp.server.documents import OpenDocument
from dlm_lsp.server.outbox import Outbox
from dlm_lsp.server.payloads import StatusTexts, progress_payload

TRAINING_STATUS = "dlm/trainingStatus"
TRAINING_PROGRESS = "dlm/trainingProgress"
SECTION_STATES_CHANGED = "dlm/sectionStatesChanged"
SERVER_STATUS = "experimental/serverStatus"

MANY = 200
"""Of a document with more sections than this, states that follow from typing are told when the typing pauses."""


class Notifications:
    """Tells states as they change, and steps at most four times a second."""

    def __init__(self, outbox: Outbox, features: Features) -> None:
        self._outbox = outbox
        self._features = features
        self._texts: dict[str, StatusTexts] = {}
        self._server_status: dict[str, Any] | None = None

    def status(self, document: OpenDocument, event: events.Event | None, status: DocumentStatus) -> None:
        """A status changed. Steps and phases are coalesced; everything else is told at once, after them."""
        features, uri = self._features(), document.uri
        if isinstance(event, events.Step | events.Phase):
            if features.training_progress and (told := progress_payload(uri, status)) is not None:
                self._outbox.offer(f"{TRAINING_PROGRESS} {uri}", lambda: self._outbox.send(TRAINING_PROGRESS, told))
        else:
            self._outbox.flush(f"{TRAINING_PROGRESS} {uri}")
            if isinstance(event, events.TERMINAL):
                self._outbox.forget(f"{TRAINING_PROGRESS} {uri}")
            if features.section_states:
                self._sections(document, status)
        if not features.training_status:
            return

        def send() -> None:
            texts = self._texts.setdefault(uri, StatusTexts())
            self._outbox.send(TRAINING_STATUS, texts.of(uri, status, document.seen.positions))

        key = f"{TRAINING_STATUS} {uri}"
        if isinstance(event, events.Step | events.Phase):
            self._outbox.offer(key, send)
        elif event is None and len(status.sections) > MANY and document.dirty:
            self._outbox.settled(key, send)
        else:
            self._outbox.newest(key, send)

    def _sections(self, document: OpenDocument, status: DocumentStatus) -> None:
        """Only that there is something new: whoever shows it asks for what it shows."""
        told = {"uri": document.uri, "generation": status.sections_generation, "version": status.version}
        key = f"{SECTION_STATES_CHANGED} {document.uri}"
        self._outbox.offer(key, lambda: self._outbox.send(SECTION_STATES_CHANGED, told))

    def closed(self, document: OpenDocument) -> None:
        """Nothing is told of a closed document any more."""
        self._texts.pop(document.uri, None)
        for method in (TRAINING_PROGRESS, TRAINING_STATUS, SECTION_STATES_CHANGED):
            self._outbox.forget(f"{method} {document.uri}")

    def server_status(self, statuses: list[DocumentStatus], *, quiescent: bool, warnings: tuple[str, ...]) -> None:
        """Tells health, quiescence and a message, when one of them changed."""
        told = server_status_payload(statuses, quiescent=quiescent, warnings=warnings)
        if self._features().server_status and told != self._server_status:
            self._server_status = told
            self._outbox.newest(SERVER_STATUS, lambda: self._outbox.send(SERVER_STATUS, told))


def server_status_payload(
    statuses: list[DocumentStatus], *, quiescent: bool, warnings: tuple[str, ...]
) -> dict[str, Any]:
    """Computed from state alone: the worst of all documents, and whether nothing waits or goes on."""
    failed = [status for status in statuses if status.last is not None and status.last.outcome == "failed"]
    waiting = [status for status in statuses if status.state is RunState.WAITING]
    health, message = "ok", ""
    if failed:
        health, message = "error", f"{failed[0].document.name}: {headline(failed[0])}"
    elif waiting:
        health, message = "warning", f"{waiting[0].document.name}: {headline(waiting[0])}"
    elif warnings:
        health, message = "warning", warnings[0]
    return {"health": health, "quiescent": quiescent, "message": message or None}
