"""A client of raw bytes: what no client library would send, and exactly what came back."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SERVER = Path(__file__).with_name("fake_server.py")
PATIENCE = 30.0


def frame(message: Any) -> bytes:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def request(identity: Any, method: str, params: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


def notification(method: str, params: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def initialize(identity: Any = 1, **fields: Any) -> dict[str, Any]:
    return request(identity, "initialize", {"processId": None, "capabilities": {}, "rootUri": None, **fields})


class Wire:
    """A server process and its two pipes."""

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "DLM_HOME": str(home), **(environment or {})},
        )
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def send(self, *messages: Any) -> None:
        self.send_bytes(b"".join(map(frame, messages)))

    def send_bytes(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """The next message. Its frame is checked to the byte."""
        head, body = self._upto(b"\r\n\r\n")
        fields = dict(line.split(b": ") for line in head.split(b"\r\n"))
        length = int(fields[b"Content-Length"])
        while len(body) < length:
            body += self._read()
        self._rest = body[length:]
        message = json.loads(body[:length])
        assert message["jsonrpc"] == "2.0"
        return message  # type: ignore[no-any-return]

    def answer(self, identity: Any) -> dict[str, Any]:
        """The answer to a request; notifications before it are passed over."""
        while (message := self.receive()).get("id", self) != identity or "method" in message:
            assert "id" not in message or "method" in message, message
        return message

    def error(self, identity: Any) -> int:
        """The error code of the answer."""
        return int(self.answer(identity)["error"]["code"])

    def start(self) -> None:
        self.send(initialize(), notification("initialized", {}))
        assert "capabilities" in self.answer(1)["result"]

    def close_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE)

    def _upto(self, mark: bytes) -> tuple[bytes, bytes]:
        while mark not in self._rest:
            self._rest += self._read()
        head, _, rest = self._rest.partition(mark)
        return head, rest

    def _read(self) -> bytes:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        deadline = time.monotonic() + PATIENCE
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(fd, 65536) if ready else b""
        assert data, "the server said nothing more"
        return data
