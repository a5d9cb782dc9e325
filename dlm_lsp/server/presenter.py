"""Turns every change of a status into what is shown: diagnostics, progress, notifications, lenses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dlm_lsp.document import Document, Problem
from dlm_lsp.runs import events
from dlm_lsp.runs.snapshot import read
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.server import convert
from dlm_lsp.server.capabilities import Features
from dlm_lsp.server.diagnostics import CODES, problems
from dlm_lsp.server.documents import Documents, OpenDocument
from dlm_lsp.server.notifications import Notifications
from dlm_lsp.server.outbox import Outbox
from dlm_lsp.server.progress import ProgressReporter
from dlm_lsp.server.refreshing import Refresher
from dlm_lsp.server.settings import ServerSettings


class Presenter:
    """The supervisor's one listener. Everything shown is computed from the status record, anew each time."""

    def __init__(
        self,
        supervisor: Supervisor,
        documents: Documents,
        outbox: Outbox,
        progress: ProgressReporter,
        notifications: Notifications,
        features: Features,
        refresh: Callable[[str], None],
        beyond: Callable[[Path, Document], list[Problem]],
    ) -> None:
        self._supervisor = supervisor
        self._documents = documents
        self._outbox = outbox
        self._progress = progress
        self._notifications = notifications
        self._features = features
        self._refresher = Refresher(outbox, features, refresh)
        self._beyond = beyond
        self._warnings: tuple[str, ...] = ()
        self._marking = True

    def on(self, event: events.Event | None, status: DocumentStatus) -> None:
        """Shows `status`, after `event`."""
        if event is not None:
            self._progress.on(event, status)
        fine = isinstance(event, events.Step | events.Phase)  # these change nothing in the text's problems
        for document in self._documents.at(status.document):
            self._notifications.status(document, event, status)
            if not fine:
                self.publish(document)
        self._refresher.on(event, status)
        if not fine:
            self.health()

    def publish(self, document: OpenDocument) -> None:
        """Publishes all problems of an open document, with the version of the text that they are about."""
        status = self._supervisor.status(document.path) if document.path is not None else None
        parsed = self._supervisor.document(document.path) if document.path is not None else None
        if status is not None and parsed is not None:
            found = problems(parsed, status, marking=self._marking)
            told = {(problem.code, problem.range) for problem in found}  # a run may have told of a source already
            beyond = self._beyond(status.document, parsed)
            found += [problem for problem in beyond if (problem.code, problem.range) not in told]
            self._publish(document, found, _generation(status))

    def publish_loose(self, document: OpenDocument) -> None:
        """The same for a document that is no file: it is read, and never trained."""
        self._publish(document, list(read(document.seen.text).problems))

    def closed(self, document: OpenDocument) -> None:
        """Takes back what was shown of a document."""
        self._notifications.closed(document)
        if document.path is not None:
            self._refresher.closed(document.path)
        self._outbox.clear_diagnostics(document.uri)

    def configured(self, settings: ServerSettings) -> None:
        """What is wrong with the settings is told until they are read again; what was switched off goes."""
        self._warnings = settings.warnings
        self._marking = settings.run.on_save != "off"
        self._refresher.configured(settings)
        for document in self._documents:
            self.publish(document)
        self.health()

    def health(self) -> None:
        """Tells the server's health, if it changed."""
        paths = {document.path for document in self._documents if document.path is not None}
        found = (self._supervisor.status(path) for path in paths)
        self._notifications.server_status(
            [status for status in found if status is not None],
            quiescent=not self._supervisor.busy,
            warnings=self._warnings,
        )

    def _publish(self, document: OpenDocument, found: list[Problem], run: int = 0) -> None:
        features, positions = self._features(), document.seen.positions
        items = [
            convert.diagnostic(problem, positions, document.uri, with_related=features.related_information)
            for problem in found
        ]
        if features.diagnostic_data:
            for item in items:
                if item["code"] in CODES:
                    item["data"] = {"run": run}
        self._outbox.diagnostics(document.uri, document.seen.version, items)


def _generation(status: DocumentStatus) -> int:
    """The number of the newest run that ended: what is said about learning is true since then."""
    return status.last.run if status.last is not None else 0
