"""What the client asks for about an open document: hover, lenses, actions, and when nothing runs any more."""

from __future__ import annotations

from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from dlm_lsp.document.keys import describe_key
from dlm_lsp.runs.answer_texts import hover_rows
from dlm_lsp.runs.answers import Answers
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.server.ask_lenses import ask_lenses
from dlm_lsp.server.capabilities import Features
from dlm_lsp.server.documents import path_of
from dlm_lsp.server.hover import Lookup, hover, plain
from dlm_lsp.server.lenses import LensContext, actions, lenses
from dlm_lsp.server.payloads import status_payload
from dlm_lsp.server.section_actions import section_actions
from dlm_lsp.server.states import States
from dlm_lsp.server.sync import Sync
from dlm_lsp.training.bases import base_facts


class Views:
    """Each answer is about the newest text: what still waits to be parsed is parsed first."""

    def __init__(
        self, supervisor: Supervisor, sync: Sync, states: States, answers: Answers, features: Features
    ) -> None:
        self._supervisor = supervisor
        self._sync = sync
        self._states = states
        self._answers = answers
        self._features = features

    async def hover(self, params: types.HoverParams) -> types.Hover | None:
        document, truth = self._states.newest(params.text_document.uri)
        if document is None or truth is None:
            return None
        folder = truth.status.document.parent if self._supervisor.trusted else None
        lookup = Lookup(key=describe_key, base=lambda reference: base_facts(reference, folder))
        positions = document.seen.positions
        place = positions.place(params.position)
        head = truth.document.frontmatter_range
        in_head = head is not None and head.start <= place <= head.end
        found = hover(await self._states.told(truth, removed=in_head), place, lookup)
        if found is None:
            return None
        if (compared := self._answers.glance(truth.status.document, place)) is not None:
            found = found.with_rows(hover_rows(compared))
        if self._features().markdown_hover:
            content = types.MarkupContent(types.MarkupKind.Markdown, found.markdown)
        else:
            content = types.MarkupContent(types.MarkupKind.PlainText, plain(found.markdown))
        return types.Hover(content, positions.range(found.range))

    def code_lenses(self, params: types.CodeLensParams) -> list[types.CodeLens]:
        uri = params.text_document.uri
        document, truth = self._states.newest(uri)
        if document is None or truth is None:
            return []
        mode = self._states.settings.code_lens
        found = lenses(LensContext(uri, truth, document.seen.positions, mode))
        if mode != "off" and self._supervisor.trusted:
            found += ask_lenses(uri, truth.document, in_editor=self._features().asks_itself)
        return found

    def code_actions(self, params: types.CodeActionParams) -> list[types.CodeAction] | list[types.Command]:
        """Actions; for a client that knows commands only, their commands."""
        document, truth = self._states.newest(params.text_document.uri)
        if document is None or truth is None:
            return []
        context, status = params.context, truth.status
        uri, place = params.text_document.uri, document.seen.positions.places(params.range)
        trains = truth.document.trainable
        found = [
            *section_actions(uri, status, place, context.diagnostics, context.only, trainable=trains),
            *actions(uri, status, context.diagnostics, context.only, trainable=trains),
        ]
        if self._features().code_action_literals:
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
        document, truth = self._states.newest(uri)
        if document is None or truth is None:
            return None
        return status_payload(uri, truth.status, document.seen.positions)
