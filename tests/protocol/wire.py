"""A client of raw bytes: what no client library would send, exactly what came back, over pipes or a socket.

It knows the Language Server Protocol and nothing of any server or library. Whatever arrives is checked on
arrival: frames to the byte, one answer for one request, no message of a kind that the client did not declare,
and no popup.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Protocol, Self

from tests.protocol import declared

PATIENCE = 30.0
Message = dict[str, Any]
Reply = Callable[[Any], Any]


# What a reply returns when the client refuses the server's request, or never answers it.
REFUSED = object()
SILENT = object()


def frame(message: Any) -> bytes:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def request(identity: Any, method: str, params: Any = None) -> Message:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


def notification(method: str, params: Any = None) -> Message:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def initialize(identity: Any = 1, **fields: Any) -> Message:
    return request(identity, "initialize", {"processId": None, "capabilities": {}, "rootUri": None, **fields})


class Channel(Protocol):
    """Two directions of bytes."""

    def send(self, data: bytes) -> None: ...

    def read(self, seconds: float) -> bytes:
        """What arrives within `seconds`, or nothing: then the time is over, or the other side has closed."""

    def end(self) -> None:
        """Nothing more will be sent."""

    def close(self) -> None: ...


class Pipes:
    """The standard input and output of a process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    def send(self, data: bytes) -> None:
        self._in.write(data)
        self._in.flush()

    def read(self, seconds: float) -> bytes:
        fd = self._out.fileno()
        return os.read(fd, 65536) if select.select([fd], [], [], seconds)[0] else b""

    def end(self) -> None:
        self._in.close()

    def close(self) -> None:
        for stream in (self._in, self._out):
            with suppress(OSError):
                stream.close()


class Socket:
    """A connection. Its receive buffer is small, so that a client that does not read is noticed soon."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self._socket.settimeout(PATIENCE)
        self._socket.connect((host, port))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self, seconds: float) -> bytes:
        if not select.select([self._socket], [], [], seconds)[0]:
            return b""
        try:
            return self._socket.recv(65536)
        except ConnectionResetError:
            return b""

    def end(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()


class Log:
    """What a server writes to standard error, line by line."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def until(self, pattern: str) -> re.Match[str]:
        """Waits for a line that holds `pattern`."""
        with self._more:
            self._more.wait_for(lambda: re.search(pattern, self.text), PATIENCE)
        found = re.search(pattern, self.text)
        assert found is not None, f"the log never said {pattern!r}:\n{self.text[-2000:]}"
        return found

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            with self._more:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._more.notify_all()
        stream.close()


class Wire:
    """A connection to a server, and the server's process and log if it was started here."""

    def __init__(
        self, channel: Channel, process: subprocess.Popen[bytes] | None = None, log: Log | None = None
    ) -> None:
        self.channel = channel
        self._process = process
        self._log = log
        self.capabilities: Message = {}
        self.result: Message = {}  # of initialize
        self.received: list[Message] = []
        self.popups: list[str] | None = None  # a list where popups are in order
        self.replies: dict[str, Reply] = {}
        self._begun = False
        self._rest = bytearray()
        self._answers: dict[tuple[type, Any], list[Message]] = {}  # 1 and True and "1" are different ids
        self._ids = 1000

    # -- connecting

    @classmethod
    def over_stdio(cls, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Self:
        """Starts a server that speaks on its standard input and output."""
        process = _start(command, environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stderr is not None
        return cls(Pipes(process), process, Log(process.stderr))

    @classmethod
    def over_tcp(cls, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Self:
        """Starts a server with `--tcp 127.0.0.1:0`; its log has to say `listening on HOST:PORT`."""
        process = _start(
            [*command, "--tcp", "127.0.0.1:0"], environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        assert process.stderr is not None
        log = Log(process.stderr)
        host, port = log.until(r"listening on (\S+):(\d+)").groups()
        return cls(Socket(host, int(port)), process, log)

    @classmethod
    def to_port(cls, port: int, host: str = "127.0.0.1") -> Self:
        """Connects to a server that is running already."""
        return cls(Socket(host, port))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.channel.close()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "this server was not started here"
        return self._process

    @property
    def log(self) -> Log:
        assert self._log is not None, "this server was not started here"
        return self._log

    # -- sending

    def send(self, *messages: Any) -> None:
        for message in messages:
            if not self._begun and isinstance(message, dict) and message.get("method") == "initialize":
                self._begun = True
                self.capabilities = message["params"].get("capabilities", {})
        self.send_bytes(b"".join(map(frame, messages)))

    def send_bytes(self, data: bytes) -> None:
        self.channel.send(data)

    def close_input(self) -> None:
        self.channel.end()

    def new_id(self) -> int:
        self._ids += 1
        return self._ids

    # -- receiving

    def receive(self) -> Message:
        """The next message. Its frame is checked to the byte; a request of the server is answered."""
        message = self._next()
        self._check(message)
        self.received.append(message)
        if "method" in message and "id" in message:
            self._reply(message)
        elif "id" in message:
            self._answers.setdefault((type(message["id"]), message["id"]), []).append(message)
        return message

    def until(self, look: Callable[[Message], Any]) -> Message:
        """Receives until `look` finds a message."""
        while not look(message := self.receive()):
            pass
        return message

    def answer(self, identity: Any) -> Message:
        """The answer to a request, whatever came before it."""
        while (found := self._claim(identity)) is None:
            self.receive()
        return found

    def error(self, identity: Any) -> int:
        """The error code of the answer."""
        answer = self.answer(identity)
        assert "error" in answer, answer
        return int(answer["error"]["code"])

    def ask(self, method: str, params: Any = None) -> Any:
        """The result of a request."""
        identity = self.new_id()
        self.send(request(identity, method, params))
        answer = self.answer(identity)
        assert "result" in answer, answer
        return answer["result"]

    def unclaimed(self) -> list[Message]:
        """Answers that nobody has asked for, once everything sent so far was handled."""
        barrier = f"barrier-{self.new_id()}"
        self.send(request(barrier, "barrier/unknown"))
        assert self.error(barrier) == -32601
        return [answer for answers in self._answers.values() for answer in answers]

    def notifications(self, method: str) -> list[Any]:
        return [each["params"] for each in self.received if each.get("method") == method and "id" not in each]

    def requests(self, method: str) -> list[Any]:
        return [each["params"] for each in self.received if each.get("method") == method and "id" in each]

    # -- a session

    def start(self, capabilities: Message | None = None, **fields: Any) -> None:
        self.send(initialize(1, capabilities=capabilities or {}, **fields), notification("initialized", {}))
        self.result = self.answer(1)["result"]
        assert "capabilities" in self.result

    def end(self) -> int:
        """An orderly end; returns the exit code."""
        assert self.ask("shutdown") is None
        self.send(notification("exit"))
        return self.exit_code()

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE)

    # -- inside

    def _next(self) -> Message:
        while (end := self._rest.find(b"\r\n\r\n")) < 0:
            self._rest += self._read()
        fields = dict(line.split(b": ", 1) for line in bytes(self._rest[:end]).split(b"\r\n"))
        assert set(fields) <= {b"Content-Length", b"Content-Type"}, fields
        length = int(fields[b"Content-Length"])
        while len(self._rest) < end + 4 + length:
            self._rest += self._read()
        body = bytes(self._rest[end + 4 : end + 4 + length])
        del self._rest[: end + 4 + length]
        message = json.loads(body.decode("utf-8"))
        assert isinstance(message, dict) and message["jsonrpc"] == "2.0", body[:200]
        return message

    def _read(self) -> bytes:
        deadline = time.monotonic() + PATIENCE
        data = self.channel.read(max(0.0, deadline - time.monotonic()))
        assert data, "the server said nothing more"
        return data

    def _check(self, message: Message) -> None:
        if "method" not in message:
            assert "id" in message and ("result" in message) != ("error" in message), message
            if (error := message.get("error")) is not None:
                assert isinstance(error["code"], int) and isinstance(error["message"], str) and error["message"]
            return
        method, params = message["method"], message.get("params")
        if method in declared.POPUPS:
            assert self.popups is not None, f"a popup: {params}"
            self.popups.append(params["message"])
        complaint = declared.undeclared(message, self.capabilities)
        assert complaint is None, complaint

    def _reply(self, message: Message) -> None:
        default: Reply = {"workspace/configuration": lambda params: [None for _ in params["items"]]}.get(
            message["method"], lambda params: None
        )
        result = self.replies.get(message["method"], default)(message.get("params"))
        if result is SILENT:
            return
        outcome = {"error": {"code": -32803, "message": "no"}} if result is REFUSED else {"result": result}
        reply: Message = {"jsonrpc": "2.0", "id": message["id"], **outcome}
        with suppress(BrokenPipeError, ConnectionResetError):  # a server that is ending reads no more
            self.send(reply)

    def _claim(self, identity: Any) -> Message | None:
        answers = self._answers.get((type(identity), identity))
        return answers.pop(0) if answers else None


def _start(
    command: Sequence[str], environment: Mapping[str, str] | None, *, stdin: int, stdout: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(command), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}
    )
