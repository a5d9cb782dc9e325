"""What the client is told that is not in the text alone: others with its id, the files and the base it names."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from lsprotocol import types
from ulid import ULID

from dlm_lsp.document import Document, Fix, Problem
from dlm_lsp.document.text import PositionEncoding
from dlm_lsp.runs.clock import Clock
from dlm_lsp.runs.shared_id import CODE as SHARED_ID
from dlm_lsp.runs.shared_id import shared_id
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.surroundings import Surroundings
from dlm_lsp.runs.worker import Worker
from dlm_lsp.runs.workspace import Workspace
from dlm_lsp.server.capabilities import Features
from dlm_lsp.server.documents import Documents, OpenDocument, path_of
from dlm_lsp.server.fixes import problem_fixes
from dlm_lsp.server.symbols import Symbols

log = logging.getLogger(__name__)

Folders = Mapping[str, object]
"""The workspace's folders by URI, as pygls keeps them."""


class Beyond:
    """Reads in the background, on a thread of its own; `publish` shows a document's problems anew."""

    def __init__(
        self,
        supervisor: Supervisor,
        documents: Documents,
        clock: Clock,
        publish: Callable[[OpenDocument], None],
        features: Features,
    ) -> None:
        self._supervisor = supervisor
        self._documents = documents
        self._publish = publish
        self._features = features
        self._reader = Worker("dlm-reader")
        self.workspace = Workspace(self._reader, clock, self._ids_changed)
        self.surroundings = Surroundings(self._reader, clock, self._changed)
        self.symbols = Symbols(self.workspace, features)
        self._folders: Callable[[], Folders] = dict
        self._waiting: set[Path] = set()

    def start(self, encoding: PositionEncoding, folders: Callable[[], Folders]) -> None:
        """`folders` tells the workspace's folders of the moment."""
        self._reader.start()
        self.workspace.encoding, self._folders = encoding, folders

    def look(self) -> None:
        """The folders or the trust in them are others now."""
        self.surroundings.trusted = trusted = self._supervisor.trusted
        if not trusted:
            self.surroundings.forget()
        paths = (path_of(uri) for uri in self._folders())
        self.workspace.look_at([path for path in paths if path is not None], trusted=trusted)

    def files_changed(self) -> None:
        """The client's watcher saw documents come, change or go."""
        self.workspace.refresh()
        for path in {document.path for document in self._documents if document.path is not None}:
            self.surroundings.again(path)

    def saved(self, document: OpenDocument) -> None:
        if document.path is not None:
            self.surroundings.again(document.path)

    def closed(self, document: OpenDocument) -> None:
        if document.path is not None and not self._documents.at(document.path):
            self.workspace.closed(document.path)
            self.surroundings.forget(document.path)

    def asked(self, path: Path) -> None:
        """The client asks about a document: its author is looking at it."""
        self.surroundings.glance(path)
        self.workspace.glance()

    def problems(self, path: Path, document: Document) -> list[Problem]:
        """Of the newest text of an open document, as far as they are known by now."""
        self.workspace.opened(path, document)
        found = shared_id(document, path, self.workspace.namesakes(path), self._supervisor.learned_from(path))
        return [*([found] if found is not None else []), *self.surroundings.problems(path, document)]

    def fixes(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        """A new id for a document that shares its own."""
        uri = params.text_document.uri
        open_document = self._documents.get(uri)
        path = open_document.path if open_document is not None else None
        document = self._supervisor.document(path) if path is not None else None
        if open_document is None or path is None or document is None or not self._features().code_action_literals:
            return []
        positions = open_document.seen.positions
        mended = [
            replace(problem, fixes=(Fix("Give this document a new id", problem.range, str(ULID())),))
            for problem in self.problems(path, document)
            if problem.code == SHARED_ID
        ]
        return problem_fixes(mended, uri, positions, positions.places(params.range), params.context)

    def stop(self) -> None:
        self._reader.stop()

    def _ids_changed(self, ids: set[str]) -> None:
        for path, entry in self.workspace.headers():
            if entry.dlm_id in ids:
                self._changed(path)

    def _changed(self, path: Path) -> None:
        """Shown in the loop's next turn, once for all that changed in this one."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._show)
        self._waiting.add(path)

    def _show(self) -> None:
        paths, self._waiting = self._waiting, set()
        for path in paths:
            for document in self._documents.at(path):
                self._publish(document)
