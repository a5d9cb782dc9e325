"""What the client asks for about sections and exchanges: inlay hints, their tooltips, `dlm/sectionStates`."""

from __future__ import annotations

import asyncio
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from dlm_lsp.runs.memory import Recall
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.truth import Truth
from dlm_lsp.server.capabilities import Features
from dlm_lsp.server.documents import Documents, OpenDocument
from dlm_lsp.server.hints import hints, place_of, resolved
from dlm_lsp.server.payloads import Wanted, section_states_payload
from dlm_lsp.server.settings import ServerSettings
from dlm_lsp.server.stories import Told
from dlm_lsp.server.sync import Sync

SECTION_STATES = "dlm/sectionStates"

# How long a hover waits for what has to be read from the store (seconds); what comes later is there for the next one.
_PATIENCE = 0.15


class States:
    """Each answer is about the newest text, and costs what is asked for, however long the document is."""

    def __init__(self, supervisor: Supervisor, documents: Documents, sync: Sync, features: Features) -> None:
        self._supervisor = supervisor
        self._documents = documents
        self._sync = sync
        self._reading: set[asyncio.Task[Recall]] = set()
        self._features = features
        self.settings = ServerSettings()

    def inlay_hints(self, params: types.InlayHintParams) -> list[types.InlayHint]:
        document, truth = self.newest(params.text_document.uri)
        if document is None or truth is None or self.settings.inlay_hints == "off":
            return []
        first, last = params.range.start.line, params.range.end.line
        found = hints(truth, document.seen.positions, document.uri, first, last)
        if not self._features().hint_tooltips:
            for hint in found:
                hint.data = None
        return found

    async def resolve_hint(self, hint: types.InlayHint) -> types.InlayHint:
        """Adds what there is to tell; a hint whose text is gone stays as it is."""
        place = place_of(hint.data)
        truth = self.newest(place[0])[1] if place is not None else None
        if place is None or truth is None:
            return hint
        return resolved(hint, await self.told(truth), *place[1:])

    async def section_states(self, params: Any) -> dict[str, Any]:
        """`dlm/sectionStates` (docs/protocol.md). Raises JsonRpcInvalidParams for what cannot be understood."""
        try:
            wanted = Wanted.of(params)
        except ValueError as error:
            raise JsonRpcInvalidParams(str(error)) from error
        document, truth = self.newest(wanted.uri)
        if document is None or truth is None:
            raise JsonRpcInvalidParams(f"{wanted.uri!r} is no document that this server knows: open it first.")
        text = document.seen
        told = Told(truth, Recall())
        if wanted.since != truth.status.sections_generation and (wanted.history or truth.left):
            told = Told(truth, await self._supervisor.recall(truth, removed=True))
        return section_states_payload(wanted, told, text)

    async def told(self, truth: Truth, *, removed: bool = False) -> Told:
        """The truth with what the store remembers, as far as that can be had in a moment."""
        if (known := self._supervisor.recalled(truth, removed=removed)) is not None:
            return Told(truth, known)
        reading = asyncio.ensure_future(self._supervisor.recall(truth, removed=removed))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        done, _ = await asyncio.wait([reading], timeout=_PATIENCE)
        return Told(truth, reading.result() if done else Recall())

    def newest(self, uri: str) -> tuple[OpenDocument | None, Truth | None]:
        """The open document and what is true of its newest text, which is parsed first if it was not yet."""
        document = self._documents.get(uri)
        if document is None or document.path is None:
            return document, None
        self._sync.flush(document)
        return document, self._supervisor.truth(document.path)
