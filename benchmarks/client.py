"""A bare client: a server process, JSON-RPC frames, and nothing that would add to what is measured."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


class Client:
    """Speaks to one server process over its standard streams."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.news: list[tuple[str, Any]] = []
        self.began: list[float] = []  # when a progress began, by the performance counter
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, home: Path, *arguments: str) -> Client:
        # As on a person's machine: modules are compiled at their first import, and not again.
        environment = {**os.environ, "DLM_HOME": str(home), "PYTHONDONTWRITEBYTECODE": ""}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dlm_lsp", *arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=environment,
        )  # fmt: skip
        return cls(process)

    async def request(self, method: str, params: Any) -> Any:
        number = next(self._ids)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return await self._waiting[number]

    def notify(self, method: str, params: Any) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    async def initialize(self, *, warm: bool = False, **settings: Any) -> Any:
        result = await self.request(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": None,
                "capabilities": {
                    "window": {"workDoneProgress": True},
                    "experimental": {"dlm": {"trainingStatus": True}},
                },
                "initializationOptions": {"debounceMs": 0, "warmOnOpen": warm, **settings},
            },
        )
        self.notify("initialized", {})
        return result

    def open(self, path: Path, text: str) -> None:
        item = {"uri": path.as_uri(), "languageId": "dlm", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    async def save(self, path: Path, text: str) -> None:
        """Saves; returns when the server is idle again."""
        path.write_text(text, encoding="utf-8")
        self.notify("textDocument/didSave", {"textDocument": {"uri": path.as_uri()}, "text": text})
        await self.request("dlm/waitForIdle", {"uri": path.as_uri()})

    async def hover(self, path: Path, line: int) -> Any:
        return await self.request(
            "textDocument/hover",
            {"textDocument": {"uri": path.as_uri()}, "position": {"line": line, "character": 1}},
        )

    async def stop(self) -> int:
        await self.request("shutdown", None)
        self.notify("exit", None)
        code = await self.process.wait()
        self._reader.cancel()
        return code

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while True:
            head = await self.process.stdout.readuntil(b"\r\n\r\n")
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            message = json.loads(await self.process.stdout.readexactly(length))
            if "method" not in message:
                future = self._waiting.pop(message["id"])
                if "error" in message:
                    future.set_exception(RuntimeError(message["error"]))
                else:
                    future.set_result(message.get("result"))
            elif "id" in message:
                self._send({"jsonrpc": "2.0", "id": message["id"], "result": None})
            else:
                self.news.append((message["method"], message.get("params")))
                if message["method"] == "$/progress" and message["params"]["value"].get("kind") == "begin":
                    self.began.append(time.perf_counter())
