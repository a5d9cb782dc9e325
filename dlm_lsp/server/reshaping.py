"""Offers to take a change of the adapter's shape back, where a save found that the adapter can't go on with it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lsprotocol import types

from dlm_lsp.document.yaml_edit import Edit, YamlEditError
from dlm_lsp.runs.reshaping import reverted
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.server.capabilities import Features
from dlm_lsp.server.documents import Documents, OpenDocument
from dlm_lsp.server.lenses import REVERT_SHAPE, REVERT_TITLE, is_reshaped, wanted
from dlm_lsp.server.sync import Sync

log = logging.getLogger(__name__)

Change = Callable[[OpenDocument, str, Callable[[str], Edit | None]], Awaitable[None]]
# A longer frontmatter takes too long to be edited while the loop waits: then the command does it on a thread.
_LINES = 300


class Reshaping:
    """`change` has the client apply an edit that is computed on a thread."""

    def __init__(
        self,
        supervisor: Supervisor,
        documents: Documents,
        sync: Sync,
        change: Change,
        features: Features,
    ) -> None:
        self._supervisor = supervisor
        self._documents = documents
        self._sync = sync
        self._change = change
        self._features = features
        self.commands: dict[str, Callable[..., Awaitable[None]]] = {REVERT_SHAPE: self.revert}

    def actions(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        """The quick fix of the diagnostic on the changed key: an edit that puts the old values back."""
        failed = [each for each in params.context.diagnostics if each.code == "run-failed"]
        document = self._documents.get(params.text_document.uri)
        if not failed or document is None or not wanted(types.CodeActionKind.QuickFix, params.context.only):
            return []
        self._sync.flush(document)
        able = self._features().code_action_literals
        if not able or document.path is None or not self._reshaped(document.path):
            return []
        action = types.CodeAction(REVERT_TITLE, types.CodeActionKind.QuickFix, failed)
        head = self._supervisor.document(document.path)
        if head is None or head.frontmatter_range is None or head.frontmatter_range.end.line > _LINES:
            action.command = types.Command(REVERT_TITLE, REVERT_SHAPE, arguments=[{"uri": document.uri}])
            return [action]
        try:
            edit = self._edit(document.path, document.now.text)
        except YamlEditError as error:
            log.info("the change cannot be taken back: %s", error)
            return []
        if edit is None:
            return []
        change = types.TextEdit(document.now.positions.range(edit.range), edit.text)
        action.edit = types.WorkspaceEdit(changes={document.uri: [change]})
        return [action]

    async def revert(self, *arguments: Any) -> None:
        """The command: its argument is `{uri}` or a URI."""
        first = arguments[0] if arguments else None
        uri = first.get("uri") if isinstance(first, dict) else first
        document = self._documents.get(uri) if isinstance(uri, str) else None
        if document is None or document.path is None:
            log.info("%s needs the URI of an open document, and got %r", REVERT_SHAPE, first)
            return
        self._sync.flush(document)
        path = document.path
        await self._change(document, REVERT_TITLE, lambda text: self._edit(path, text))

    def _reshaped(self, path: Path) -> bool:
        status = self._supervisor.status(path)
        return status is not None and is_reshaped(status)

    def _edit(self, path: Path, text: str) -> Edit | None:
        truth = self._supervisor.truth(path)
        return reverted(text, truth.document, path, truth.view.ledger.shape) if truth is not None else None
