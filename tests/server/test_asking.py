"""What the server asks its client: answered, refused or never answered, nothing of it is kept."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from dlm_lsp.server.app import DlmServer, create_server
from tests.fakes import FakeLearner


class Sent:
    """A sink that keeps what was written."""

    backlog = 0

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        self.messages.append(json.loads(data.partition(b"\r\n\r\n")[2]))

    def close(self) -> None:
        """Nothing is held."""


async def ask(server: DlmServer, sent: Sent, answer: dict[str, Any] | None) -> Any:
    """Asks, and lets the client answer; None: it never does."""
    params = types.ShowDocumentParams("file:///a.txt")
    asking = asyncio.ensure_future(
        server.protocol.ask(types.WINDOW_SHOW_DOCUMENT, params, 0.01 if answer is None else 30.0)
    )
    await asyncio.sleep(0)
    if answer is not None:
        server.protocol.receive(json.dumps({"jsonrpc": "2.0", "id": sent.messages[-1]["id"], **answer}).encode())
    return await asking


async def test_nothing_is_kept_of_what_was_asked() -> None:
    server, sent = create_server(learner=FakeLearner), Sent()
    server.connect(sent)
    told = await ask(server, sent, {"result": {"success": True}})
    assert told.success
    with pytest.raises(TimeoutError):
        await ask(server, sent, None)
    with pytest.raises(JsonRpcException, match="no"):
        await ask(server, sent, {"error": {"code": -32803, "message": "no"}})
    with pytest.raises(JsonRpcException):
        await ask(server, sent, {"result": "does not fit"})
    kept = server.protocol
    assert (kept._request_futures, kept._result_types, kept._asked) == ({}, {}, set())
