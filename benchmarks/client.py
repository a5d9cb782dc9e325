"""A bare client: a server process, JSON-RPC frames, and nothing that would add to what is measured."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

SERVER = ("-m", "dlm_lsp")
PATIENCE = 60.0  # seconds that anything may take before a measurement is given up
DECLARED = {
    "window": {"workDoneProgress": True},
    "experimental": {"dlm": {"trainingStatus": True, "trainingProgress": True}},
}
T = TypeVar("T")


class Client:
    """Speaks to one server process over its standard streams.

    `news` are the notifications in their order, `heard` when each came (performance counter) and its bytes.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.news: list[tuple[str, Any]] = []
        self.heard: list[tuple[float, int]] = []
        self._more = asyncio.Event()
        self.began: list[float] = []  # when a progress began, by the performance counter
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.reader = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls,
        home: Path,
        *,
        server: Sequence[str] = SERVER,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> Client:
        """Starts the interpreter with the arguments `server`; what it logs goes to `log`, or is dropped."""
        # As on a person's machine: modules are compiled at their first import, and not again.
        env = {**os.environ, "DLM_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "", **(environment or {})}
        with (log or Path(os.devnull)).open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *server,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors, env=env,
            )  # fmt: skip
        return cls(process)

    async def request(self, method: str, params: Any) -> Any:
        number = next(self._ids)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return await self._waiting[number]

    def notify(self, method: str, params: Any) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    async def initialize(
        self, *, warm: bool = False, editor: int | None = None, declared: Any = DECLARED, **settings: Any
    ) -> Any:
        """`editor` is the process that the server is to watch, this one by default; `declared` what we can do.

        `settings` are those of docs/settings.md without `dlm.`; there is no debounce unless they say so.
        """
        result = await self.request(
            "initialize",
            {
                "processId": editor or os.getpid(),
                "rootUri": None,
                "capabilities": declared,
                "initializationOptions": {"debounceMs": 0, "warmOnOpen": warm, **settings},
            },
        )
        self.notify("initialized", {})
        return result

    def open(self, path: Path, text: str) -> None:
        item = {"uri": path.as_uri(), "languageId": "dlm", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def did_save(self, path: Path, text: str) -> None:
        """Saves, and waits for nothing."""
        path.write_text(text, encoding="utf-8")
        self.notify("textDocument/didSave", {"textDocument": {"uri": path.as_uri()}, "text": text})

    async def save(self, path: Path, text: str) -> None:
        """Saves; returns when the server is idle again."""
        self.did_save(path, text)
        await self.idle(path)

    async def idle(self, path: Path) -> Any:
        """The status of the document once nothing runs or waits."""
        return await self.request("dlm/waitForIdle", {"uri": path.as_uri()})

    def type(self, path: Path, version: int, line: int) -> None:
        """One keystroke at the begin of `line`."""
        place = {"line": line, "character": 0}
        params = {
            "textDocument": {"uri": path.as_uri(), "version": version},
            "contentChanges": [{"range": {"start": place, "end": place}, "text": "x"}],
        }
        self.notify("textDocument/didChange", params)

    async def until(self, look: Callable[[], T | None]) -> T:
        """Waits for news until `look` finds something."""

        async def wait() -> T:
            while not (found := look()):
                self._more.clear()
                await self._more.wait()
            return found

        return await asyncio.wait_for(wait(), PATIENCE)

    async def hover(self, path: Path, line: int) -> Any:
        return await self.request(
            "textDocument/hover",
            {"textDocument": {"uri": path.as_uri()}, "position": {"line": line, "character": 1}},
        )

    async def stop(self) -> int:
        await self.request("shutdown", None)
        self.notify("exit", None)
        code = await self.process.wait()
        self.reader.cancel()
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
                self.heard.append((time.perf_counter(), length))
                self._more.set()
                if message["method"] == "$/progress" and message["params"]["value"].get("kind") == "begin":
                    self.began.append(time.perf_counter())
