"""What the client asks for about an open document: hover, lenses, actions, and when nothing runs any more."""

from __future__ import annotations

from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from dlm_lsp.document.keys import describe_key
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.server.ask_lenses import ask_lenses
from dlm_lsp.server.capabilities import ClientFeatures
from dlm_lsp.server.documents import Documents, OpenDocument, path_of
from dlm_lsp.server.hover import Lookup, hover, plain
from dlm_lsp.server.lenses import actions, lenses
from dlm_lsp.server.payloads import status_payload
from dlm_lsp.server.sync import Sync
from dlm_lsp.training.bases import base_facts


class Views:
    """Each answer is about the newest text: what still waits to be parsed is parsed first."""

    def __init__(self, supervisor: Supervisor, documents: Documents, sync: Sync) -> None:
        self._supervisor = supervisor
        self._documents = documents
        self._sync = sync
        self.features = ClientFeatures()

    def hover(self, params: types.HoverParams) -> types.Hover | None:
        document, status = self._newest(params.text_document.uri)
        parsed = self._supervisor.document(status.document) if status is not None else None
        if document is None or status is None or parsed is None:
            return None
        folder = status.document.parent if self._supervisor.trusted else None
        lookup = Lookup(key=describe_key, base=lambda reference: base_facts(reference, folder))
        positions = document.seen.positions
        found = hover(parsed, status, positions.place(params.position), lookup)
        if found is None:
            return None
        if self.features.markdown_hover:
            content = types.MarkupContent(types.MarkupKind.Markdown, found.markdown)
        else:
            content = types.MarkupContent(types.MarkupKind.PlainText, plain(found.markdown))
        return types.Hover(content, positions.range(found.range))

    def code_lenses(self, params: types.CodeLensParams) -> list[types.CodeLens]:
        uri = params.text_document.uri
        _, status = self._newest(uri)
        if status is None:
            return []
        parsed, trusted = self._supervisor.document(status.document), self._supervisor.trusted
        asked = ask_lenses(uri, parsed, trusted=trusted, in_editor=self.features.asks_itself)
        return [*lenses(uri, status), *asked]

    def code_actions(self, params: types.CodeActionParams) -> list[types.CodeAction] | list[types.Command]:
        """Actions; for a client that knows commands only, their commands."""
        _, status = self._newest(params.text_document.uri)
        if status is None:
            return []
        context = params.context
        found = actions(params.text_document.uri, status, context.diagnostics, context.only)
        if self.features.code_action_literals:
            return found
        return [action.command for action in found if action.command is not None]

    async def wait_for_idle(self, params: Any) -> dict[str, Any] | None:
        """Answers when no run waits or goes on: with a document's status if `uri` is given, else null."""
        self._sync.flush_all()
        uri = params.get("uri") if isinstance(params, dict) else None
        if uri is None:
            await self._supervisor.wait_for_idle()
            return None
        path = path_of(uri) if isinstance(uri, str) else None
        if path is None or self._supervisor.status(path) is None:
            raise JsonRpcInvalidParams(f"{uri!r} is no document that this server knows: open it first.")
        await self._supervisor.wait_for_idle(path)
        document, status = self._newest(uri)
        if document is None or status is None:
            return None
        return status_payload(uri, status, document.seen.positions)

    def _newest(self, uri: str) -> tuple[OpenDocument | None, DocumentStatus | None]:
        document = self._documents.get(uri)
        if document is None or document.path is None:
            return document, None
        self._sync.flush(document)
        return document, self._supervisor.status(document.path)
