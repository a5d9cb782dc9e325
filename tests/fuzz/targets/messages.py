"""The protocol's input: any split of a stream gives the same messages, and each request gets one answer."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from functools import cache
from typing import Any
from unittest import mock

from lsprotocol.types import METHOD_TO_TYPES
from pygls.protocol import default_converter

from dlm_lsp.runs.clock import Clock, Timer
from dlm_lsp.server.app import DlmServer, create_server
from dlm_lsp.server.framing import FrameDecoder, FramingError
from dlm_lsp.server.trust import WORKSPACE_TRUST
from tests.fakes import FakeLearner
from tests.fuzz.choices import Choices
from tests.fuzz.targets.documents import HEAD
from tests.fuzz.targets.files import folder, value
from tests.fuzz.targets.target import Target, built

_HEADERS = (
    "Content-Length: {}\r\n\r\n", "content-length:{}\r\n\r\n", "Content-Length: {}\n\n", "CONTENT-LENGTH:  {} \r\n\r\n",
    "Content-Type: x; charset=utf-8\r\nContent-Length: {}\r\n\r\n", "Content-Length: {}\r\nX: \r\n\r\n",
)  # fmt: skip
_ODD_HEADERS = (
    "Content-Length: {}\r\nContent-Length: {}\r\n\r\n", "Content-Length: {}, {}\r\n\r\n", "Content-Length: -{}\r\n\r\n",
    "Content-Length: 999999999999\r\n\r\n", "Content-Length: \u0661\r\n\r\n", "\r\n\r\n", "x\r\n\r\n", "X: {}\r\n\r\n",
    "Content-Length: 99999999999999999999\r\n\r\n", "Content-Length: {}\r\n\n",
)  # fmt: skip


def framing(data: bytes) -> None:
    choices = built(data)
    if choices is None:
        cut = data[1] if len(data) > 1 else 0
        stream = data[2:]
        _same_however_split(stream, [stream[:cut], stream[cut:]])
        return
    bodies, sound, pieces = [], True, []
    for _ in choices.several(12):
        body = choices.raw(60)
        odd = choices.flag(8)
        sound = sound and not odd
        header = choices.pick(_ODD_HEADERS if odd else _HEADERS).replace("{}", str(len(body)))
        pieces.append(header.encode() + body)
        bodies.append(body)
    stream = b"".join(pieces)
    parts, rest = [], stream
    for _ in choices.several(20):
        size = choices.below(len(rest) + 1)
        parts.append(rest[:size])
        rest = rest[size:]
    found, error = _same_however_split(stream, [*parts, rest])
    if sound:
        assert (found, error) == (bodies, None)
    if len(stream) < 500:
        _same_however_split(stream, [stream[at : at + 1] for at in range(len(stream))])


def messages(data: bytes) -> None:
    choices = built(data)
    bodies = [b.strip() for b in data[1:].split(b"\n")] if choices is None else list(_conversation(choices))
    _loop().run_until_complete(_spoken(bodies))


TARGETS = (
    Target("framing", framing),
    Target("messages", messages, ("dlm_lsp", "pygls")),
)


# --- framing ---------------------------------------------------------------------------------------------------------


def _same_however_split(stream: bytes, parts: list[bytes]) -> tuple[list[bytes], str | None]:
    whole, split = _decoded([stream]), _decoded(parts)
    assert whole[0] == split[0]
    assert (whole[1] is None) == (split[1] is None), (whole[1], split[1])
    return whole


def _decoded(parts: list[bytes]) -> tuple[list[bytes], str | None]:
    decoder = FrameDecoder()
    bodies: list[bytes] = []
    try:
        for part in parts:
            bodies.extend(decoder.feed(part))
    except FramingError as error:
        return bodies, str(error)
    return bodies, None


# --- messages --------------------------------------------------------------------------------------------------------

_URIS = ("a.dlm", "b.dlm", "%00.dlm", "..", "a%2f..%2fb.dlm")
_OFTEN = (
    "textDocument/didOpen", "textDocument/didChange", "textDocument/didChange", "textDocument/willSave",
    "textDocument/didSave", "textDocument/didSave", "workspace/executeCommand", "dlm/ask", "dlm/waitForIdle",
)  # fmt: skip
_BESIDES = ("$/cancelRequest", "$/setTrace", "no/such", "$/no")
_ASKED = ("no/such", "workspace/executeCommand")  # requests beside those that are registered


@cache
def served() -> tuple[str, ...]:
    """Every method that the server registers, whatever it learns to answer."""
    return tuple(sorted(_idle_server().protocol.fm.features))


@cache
def _methods() -> tuple[str, ...]:
    return (*_OFTEN, *served(), *_BESIDES)


@cache
def _commands() -> tuple[str, ...]:
    return (*sorted(_idle_server().protocol.fm.commands), "dlm.no")


@cache
def _idle_server() -> DlmServer:
    return create_server(learner=lambda: FakeLearner(steps=1), clock=_Standing())


def is_request(method: str) -> bool:
    """Whether it is answered: as the protocol has it, and each of ours but one."""
    known = METHOD_TO_TYPES.get(method)
    ours = method.startswith("dlm/") and method != WORKSPACE_TRUST
    return known[1] is not None if known else ours or method in _ASKED


_TEXTS = (
    HEAD + "\n::instruction::\n### Q\na\n### A\nb\n", HEAD + "prose \U0001f600\r\nmore\rand\u2028more", "", "\ud800",
    "\ufeff---\n", HEAD.replace("builtin:tiny", "hf:a/b"), HEAD + "::instruction::\n### Q\nx", "---\na: [\n---\n",
    HEAD[:-4] + "training:\n  adapters: {tone: {}}\n---\n::instruction#tone::\n### Q\na\n### A\nb\n",
)  # fmt: skip


_REFUSED = "FeatureNotificationError: pygls.exceptions.JsonRpc"  # a request without an id: nobody can be told


class _Sink:
    """Keeps what the server says."""

    backlog = 0

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        pass


class _Errors(logging.Handler):
    """Keeps what the server could not handle: a handler that failed is logged, not raised."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


class _Never(Timer):
    def cancel(self) -> None:
        pass


class _Standing(Clock):
    """A clock that stands: nothing happens later, so that an input means the same each time."""

    def now(self) -> float:
        return 1_800_000_000.0

    def monotonic(self) -> float:
        return 1_000.0

    def call_later(self, seconds: float, callback: Any) -> Timer:
        if seconds <= 0.5:
            _loop().call_soon(callback)
        return _Never()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@cache
def _converter() -> Any:
    return default_converter()  # a hundredth of a second, and the same for every server


async def _spoken(bodies: list[bytes]) -> None:
    errors, sink = _Errors(), _Sink()
    logger = logging.getLogger("dlm_lsp")
    logger.addHandler(errors)
    level = logger.level  # which a fuzzed `logLevel` changes
    home = folder() / "home"
    try:
        with (
            mock.patch("dlm_lsp.server.app.default_converter", _converter),
            mock.patch("dlm_lsp.runs.records.dlm_home", lambda override=None: home),
            mock.patch("dlm_lsp._teardown.threading.Timer"),  # `exit` would end this process a second later
        ):
            server = create_server(learner=lambda: FakeLearner(steps=1), clock=_Standing())
            server.connect(sink)
            for body in bodies:
                server.protocol.receive(body)
                await asyncio.sleep(0)
            await _settled(server)
    finally:
        logger.removeHandler(errors)
        logger.setLevel(level)
    unforeseen = [each for each in errors.told if _REFUSED not in each]
    assert not unforeseen, unforeseen
    _answered(bodies, sink.data)


async def _settled(server: DlmServer) -> None:
    """What was asked of the client is refused, runs are over, the worker has ended, and every answer was given."""
    for _ in range(10):
        await asyncio.sleep(0)
    _refuse(server)
    await server.teardown.run()
    await asyncio.wait_for(server.protocol.last_answer(), 5)
    deadline = _loop().time() + 5
    # Some answers come from other threads, and may want something of the client first.
    while (answering := _answering(server)) and _loop().time() < deadline:
        await asyncio.wait(answering, timeout=0.02)
        _refuse(server)
    for _ in range(20):
        await asyncio.sleep(0)


def _refuse(server: DlmServer) -> None:
    for identity in tuple(server.protocol._asked):
        refusal = {"jsonrpc": "2.0", "id": identity, "error": {"code": -32601, "message": "no"}}
        server.protocol.receive(json.dumps(refusal).encode())


def _answering(server: DlmServer) -> list[asyncio.Future[Any]]:
    futures = server.protocol._request_futures.values()
    return [each for each in futures if isinstance(each, asyncio.Future) and not each.done()]


def _answered(bodies: list[bytes], said: bytes) -> None:
    decoder = FrameDecoder()
    answers: Counter[Any] = Counter()
    for body in decoder.feed(said):
        message = json.loads(body)
        assert message["jsonrpc"] == "2.0"
        if "method" not in message:
            answers[repr(message["id"])] += 1
    asked: Counter[Any] = Counter()
    for body in bodies:
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            asked["None"] += 1
            continue
        if (
            not isinstance(message, dict)
            or message.get("jsonrpc") != "2.0"
            or ("method" in message and ("id" in message or not isinstance(message["method"], str)))
            or not {"method", "result", "error"} & set(message)
        ):
            asked[_id(message)] += 1
    assert answers == asked, (answers - asked, asked - answers)


def _id(message: Any) -> str:
    identity = message.get("id") if isinstance(message, dict) else None
    return repr(identity if isinstance(identity, int | str) and not isinstance(identity, bool) else None)


def _conversation(choices: Choices) -> list[bytes]:
    spoken: list[Any] = []
    if choices.flag(8) is False:
        spoken.append(
            _request("initialize", {"processId": None, "rootUri": None, "capabilities": _capabilities(choices)}, 0)
        )
        spoken.append(_request("initialized", {}, None))
        spoken.append(_request("textDocument/didOpen", {"textDocument": _item(choices)}, None))
    for number, _ in enumerate(choices.several(25), 1):
        method = choices.pick(_methods())
        params = value(choices) if choices.flag(8) else params_of(choices, method)
        identity = number if is_request(method) or choices.flag(10) else None
        message = _request(method, params, value(choices) if choices.flag(20) else identity)
        if choices.flag(20):
            message[choices.pick(("jsonrpc", "id", "method", "params", "result"))] = value(choices)
        spoken.append(message)
    return [_encoded(message) for message in spoken]


def _encoded(message: Any) -> bytes:
    return json.dumps(message).encode()


def _request(method: str, params: Any, identity: Any) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    return message if identity is None else {**message, "id": identity}


def _capabilities(choices: Choices) -> Any:
    window, workspace = {"workDoneProgress": choices.flag()}, {"configuration": choices.flag()}
    ours = {"dlm": {name: choices.flag() for name in ("trainingStatus", "trainingProgress", "sectionStates")}}
    return {"window": window, "workspace": workspace, "experimental": ours}


def _uri(choices: Choices) -> str:
    if choices.flag(12):
        return choices.text(20)
    return choices.pick(("file://", "file://", "file://", "untitled:", "FILE://")) + f"{folder()}/{choices.pick(_URIS)}"


def _position(choices: Choices) -> Any:
    numbers = (0, 1, 2, 3, 4, 5, 100, 2**31 - 1)
    return {"line": choices.pick(numbers), "character": choices.pick(numbers)}


def _item(choices: Choices) -> Any:
    return {"uri": _uri(choices), "languageId": "dlm", "version": choices.below(9), "text": choices.pick(_TEXTS)}


def params_of(choices: Choices, method: str) -> Any:
    """Parameters that fit the method; a request that takes a few of these fields passes the others over."""
    document = {"uri": _uri(choices), "version": choices.below(9)}
    place = {"start": _position(choices), "end": _position(choices)}
    params: Any = {
        "textDocument": document,
        "position": place["start"],
        "range": place,
        "uri": document["uri"],
        "context": {"diagnostics": [], "includeDeclaration": choices.flag(), "triggerKind": 1},
        "options": {"tabSize": choices.pick((2, 0, 2**31 - 1)), "insertSpaces": choices.flag()},
        "positions": [place["start"], place["end"]],
        "newName": choices.pick(("tone", "", "Not A Name", "a\ud800")),
        "query": choices.text(10),
        "prompt": choices.pick(("What?", "", "\ud800", "x" * 5_000)),
        "version": choices.pick((None, 0, 1, "live", "v0001", -1, "v")),
        **({"partialResultToken": "p"} if choices.flag() else {}),
        **({"workDoneToken": "w"} if choices.flag() else {}),
        **{name: value(choices) for name in ("earlier", "maxTokens", "since", "history", "data") if choices.flag(8)},
    }
    match method:
        case "textDocument/didOpen":
            params = {"textDocument": _item(choices)}
        case "textDocument/didChange":
            changes: list[Any] = []
            for _ in choices.several(4):
                text = choices.text(20) if choices.flag() else choices.pick(_TEXTS)
                changes.append({"text": text} if choices.flag(3) else {"range": place, "text": text})
            params["contentChanges"] = changes
        case "textDocument/willSave":
            params["reason"] = choices.below(5)
        case "textDocument/didSave" if choices.flag():
            params["text"] = choices.pick(_TEXTS)
        case "completionItem/resolve" | "inlayHint/resolve" | "workspaceSymbol/resolve":
            location = {"uri": document["uri"], "range": place}
            params |= {"label": choices.text(5), "name": choices.text(5), "kind": 1, "location": location}
        case "workspace/didChangeWorkspaceFolders":
            folder_of = {"uri": document["uri"], "name": "f"}
            params["event"] = {"added": [folder_of] * choices.below(3), "removed": [folder_of] * choices.below(3)}
        case "workspace/didChangeWatchedFiles":
            params["changes"] = [{"uri": document["uri"], "type": 1 + choices.below(3)} for _ in choices.several(3)]
        case "initialize":
            params = {"processId": None, "rootUri": None, "capabilities": _capabilities(choices)}
        case "workspace/executeCommand":
            argument = choices.pick(({**params, "confirmed": choices.flag()}, document["uri"], None, 5, []))
            params = {"command": choices.pick(_commands()), "arguments": [argument]}
        case "workspace/didChangeConfiguration":
            names = ("onSave", "maxSteps", "home", "logLevel", "warmOnOpen", "keepVersions", "debounceMs", "onsave")
            odd = {choices.pick(names): value(choices) for _ in choices.several(4)}
            params = {"settings": choices.pick(({"dlm": odd}, odd, None))}
        case "$/cancelRequest":
            params = {"id": choices.below(26)}
        case "window/workDoneProgress/cancel":
            params = {"token": choices.pick(("x", 1))}
        case "dlm/workspaceTrust":
            params = choices.pick(({"trusted": choices.flag()}, {}, None, [True], {"trusted": "yes"}))
    return params
