"""`dlm/history`: what a document has learned, version by version, and how each run went."""

from __future__ import annotations

import asyncio
from typing import Any

from pygls.exceptions import JsonRpcInvalidParams

from dlm_lsp.runs.curves import Curves, told
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.server.documents import path_of
from dlm_lsp.store import StoreError

HISTORY = "dlm/history"


class History:
    """Answers for open documents; the store is read on a thread of its own."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.curves = Curves()
        supervisor.subscribe(self.curves.on)

    async def answer(self, params: Any) -> dict[str, Any]:
        """Raises JsonRpcInvalidParams for a document that this server does not know."""
        uri = params.get("uri") if isinstance(params, dict) else None
        path = path_of(uri) if isinstance(uri, str) else None
        if path is None or self._supervisor.status(path) is None:
            raise JsonRpcInvalidParams(f"{uri!r} is no document that this server knows: open it first.")
        store, here = self._supervisor.store(path), self.curves.of(path)
        try:
            return {"uri": uri, **await asyncio.to_thread(told, store, here)}
        except StoreError as error:
            return {"uri": uri, **told(None, here), "problem": str(error)}
