"""A server in the test's own process: its loop can be timed, its clock moved by hand, its tables counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dlm_lsp.runs.clock import Clock
from dlm_lsp.server.app import DlmServer, create_server
from dlm_lsp.server.framing import FrameDecoder
from dlm_lsp.training.protocol import Learner
from tests.server.wire import initialize, notification, request

EVERYTHING = {
    "window": {"workDoneProgress": True},
    "workspace": {"codeLens": {"refreshSupport": True}, "configuration": False},
    "textDocument": {"synchronization": {"willSave": True}},
    "experimental": {"serverStatusNotification": True, "dlm": {"trainingStatus": True, "trainingProgress": True}},
}


class Inside:
    """The client's end: messages go in as bytes, and what comes out is kept. Requests are answered with null."""

    backlog = 0

    def __init__(self, server: DlmServer) -> None:
        self.server = server
        self.told: list[dict[str, Any]] = []
        self._decoder = FrameDecoder()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        server.connect(self)

    def write(self, data: bytes) -> None:
        for body in self._decoder.feed(data):
            message = json.loads(body)
            if "method" in message:
                self.told.append(message)
                if "id" in message:
                    answer = {"jsonrpc": "2.0", "id": message["id"], "result": None}
                    asyncio.get_running_loop().call_soon(self.send, answer)
            else:
                self._waiting.pop(message["id"]).set_result(message.get("result"))

    def close(self) -> None:
        """Nothing is open."""

    def send(self, message: dict[str, Any]) -> None:
        self.server.protocol.receive(json.dumps(message).encode())

    def notify(self, method: str, params: Any) -> None:
        self.send(notification(method, params))

    async def request(self, method: str, params: Any = None) -> Any:
        number = len(self._waiting) + 1000
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self.send(request(number, method, params))
        return await asyncio.wait_for(answer, 30)

    async def initialize(self, **options: Any) -> None:
        answer = self._waiting[1] = asyncio.get_running_loop().create_future()
        self.send(initialize(1, capabilities=EVERYTHING, initializationOptions={"warmOnOpen": False, **options}))
        await answer
        self.notify("initialized", {})

    def open(self, path: Path, text: str) -> str:
        path.write_text(text, encoding="utf-8", newline="")
        item = {"uri": path.as_uri(), "languageId": "dlm", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})
        return path.as_uri()

    def close_document(self, uri: str) -> None:
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def change(self, uri: str, text: str) -> None:
        item = {"uri": uri, "version": 2}
        self.notify("textDocument/didChange", {"textDocument": item, "contentChanges": [{"text": text}]})

    def save(self, path: Path, text: str) -> None:
        identifier = {"uri": path.as_uri()}
        self.change(path.as_uri(), text)
        self.notify("textDocument/willSave", {"textDocument": identifier, "reason": 1})
        path.write_text(text, encoding="utf-8", newline="")
        self.notify("textDocument/didSave", {"textDocument": identifier, "text": text})

    async def hover(self, uri: str, line: int = 0) -> str:
        where = {"textDocument": {"uri": uri}, "position": {"line": line, "character": 0}}
        found = await self.request("textDocument/hover", where)
        return str(found["contents"]["value"]) if found else ""

    def watcher_saw(self, *paths: Path) -> None:
        self.notify(
            "workspace/didChangeWatchedFiles", {"changes": [{"uri": path.as_uri(), "type": 2} for path in paths]}
        )

    def codes(self, uri: str) -> list[str]:
        """The codes of the diagnostics that are shown now."""
        shown: list[str] = []
        for message in self.told:
            if message["method"] == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri:
                shown = sorted(each["code"] for each in message["params"]["diagnostics"])
        return shown


@asynccontextmanager
async def inside(home: Path, learner: Learner, clock: Clock | None = None, **options: Any) -> AsyncIterator[Inside]:
    """A server that is initialized, and stopped at the end."""
    server = create_server(learner=lambda: learner, clock=clock)
    client = Inside(server)
    await client.initialize(home=str(home), **options)
    yield client
    await server.teardown.run()
    assert not server.teardown.unfinished
