"""Cases 8 to 17: what is a message, what is none, and one answer for every request."""

from __future__ import annotations

import json
from typing import Any

import psutil
import pytest

from tests.protocol.conftest import PEERS, Peer, Start, every_client
from tests.protocol.wire import SILENT, Message, Wire, frame, notification, request

HOVER = {"textDocument": {"uri": "file:///a.dlm"}, "position": {"line": 0, "character": 0}}
MIB = 2**20
with_configuration = pytest.mark.parametrize("peer", [name for name in PEERS if name != "bare"], indirect=True)


def alive(wire: Wire) -> None:
    assert wire.ask("textDocument/hover", HOVER) is None


def test_d08_malformed_json(wire: Wire) -> None:
    for body in (b'{"jsonrpc": "2.0", ', b"\xff\xfe", b"", b"[" * 100_000, b'{"a": ' * 100_000, b"9" * 5000, b"{} {}"):
        wire.send(body)
        assert wire.error(None) == -32700
    alive(wire)


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "1.0", "id": 3, "method": "textDocument/hover"},
        {"id": 3, "method": "textDocument/hover"},
        {"jsonrpc": "2.0", "id": 3},
        {"jsonrpc": "2.0", "id": 3, "method": 5},
        {"jsonrpc": "2.0", "id": None, "method": "textDocument/hover"},
        {"jsonrpc": "2.0", "id": 1.5, "method": "textDocument/hover"},
        {"jsonrpc": "2.0", "id": True, "method": "textDocument/hover"},
        {"jsonrpc": "2.0", "id": ["3"], "method": "textDocument/hover"},
        "text",
        3,
        None,
    ],
)
def test_d08_what_is_json_and_no_message(wire: Wire, message: Any) -> None:
    wire.send(message)
    identity = message.get("id") if isinstance(message, dict) else None
    assert wire.error(identity if identity == 3 else None) == -32600
    alive(wire)


def test_d09_truncated_body(start: Start) -> None:
    wire = start()
    wire.start()
    wire.send_bytes(b"Content-Length: 500\r\n\r\n" + b'{"jsonrpc": "2.0", "id": 2')
    alive_before = wire.process.poll()
    wire.close_input()
    assert alive_before is None
    assert wire.exit_code() == 1


def test_d09_no_length_that_can_be_believed(start: Start, transport: str) -> None:
    """Other such headers are in tests/server/test_framing.py."""
    wire = start()
    wire.start()
    wire.send_bytes(b"Content-Length: %d\r\n\r\n{}" % (-1 if transport == "stdio" else 10**11))
    assert wire.error(None) == -32700
    assert wire.exit_code() == 1


def test_d09_bounded_memory(wire: Wire) -> None:
    """A body takes memory as it arrives, not as it is declared; afterwards the memory is free again."""
    size = psutil.Process(wire.process.pid).memory_info
    before, declared = size().rss, 200 * MIB
    wire.send_bytes(b"Content-Length: %d\r\n\r\n" % declared)
    wire.send_bytes(b"[" + b" " * (MIB - 1))
    grown = size().rss - before
    assert grown < 8 * MIB, f"{grown / MIB:.0f} MiB for a body of which 1 MiB came"
    for _ in range(declared // MIB - 2):
        wire.send_bytes(b" " * MIB)
    wire.send_bytes(b" " * (MIB - 1) + b"]")
    assert wire.error(None) == -32600
    alive(wire)
    kept = size().rss - before
    assert kept < 32 * MIB, f"{kept / MIB:.0f} MiB kept"


@pytest.mark.parametrize(
    "header",
    [
        b"content-length: %d\r\n\r\n",
        b"CONTENT-LENGTH:%d\r\n\r\n",
        b"Content-Type: application/vscode-jsonrpc; charset=utf8\r\nContent-Length: %d\r\n\r\n",
        b"Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n",
        b"X-Other: a: b\r\nContent-Length: %d\r\n\r\n",
        b"Content-Length: %d\n\n",
        b"Content-Length: %d\n\r\n",
        b"Content-Length: 0%d\r\n\r\n",
    ],
)
def test_d10_headers(wire: Wire, header: bytes) -> None:
    for piece in (1, 7, 10_000):
        identity = wire.new_id()
        body = json.dumps(request(identity, "textDocument/hover", HOVER)).encode()
        stream = header % len(body) + body
        for at in range(0, len(stream), piece):
            wire.send_bytes(stream[at : at + piece])
        assert wire.answer(identity)["result"] is None
    alive(wire)


def test_d10_messages_in_any_chunks(wire: Wire) -> None:
    """Many frames in one chunk, and each byte on its own, without any answer lost or out of order."""
    first = [wire.new_id() for _ in range(200)]
    wire.send(*(request(identity, "textDocument/hover", HOVER) for identity in first))
    second = wire.new_id()
    for byte in frame(request(second, "textDocument/hover", HOVER)):
        wire.send_bytes(bytes([byte]))
    answered = [wire.until(lambda message: "id" in message)["id"] for _ in range(201)]
    assert answered == [*first, second]
    for identity in answered:
        wire.answer(identity)


def test_d11_batch(wire: Wire) -> None:
    for batch in ([], [request(2, "textDocument/hover", HOVER)], [notification("exit"), request(3, "shutdown")]):
        wire.send(batch)
        assert wire.error(None) == -32600
    alive(wire)


@every_client
def test_d12_unknown_methods(wire: Wire) -> None:
    wire.send(notification("$/unknown", {}), notification("unknown", [1]), notification("textDocument/unknown"))
    for method in ("unknown/method", "$/unknown", "textDocument/moniker", "", "ÿ\ud800"):
        identity = wire.new_id()
        wire.send(request(identity, method, {"a": 1}))
        assert wire.error(identity) == -32601
    alive(wire)


@every_client
@pytest.mark.parametrize(
    "params",
    [{}, None, "text", 7, [], {"textDocument": 3, "position": []}, {**HOVER, "position": {"line": -1, "character": 0}}],
)
def test_d13_params_that_do_not_fit(wire: Wire, params: Any) -> None:
    identity = wire.new_id()
    wire.send(request(identity, "textDocument/hover", params))
    assert wire.error(identity) == -32602
    for method in ("textDocument/didOpen", "textDocument/didChange", "textDocument/didSave", "$/cancelRequest"):
        wire.send(notification(method, params))
    alive(wire)


@every_client
def test_d13_params_of_commands(wire: Wire) -> None:
    for params in ({"command": "dlm.unknown"}, {"command": 5}, {}):
        identity = wire.new_id()
        wire.send(request(identity, "workspace/executeCommand", params))
        assert wire.error(identity) == -32602
    for argument in (5, [], {"uri": 5}, {"uri": "untitled:x"}, "no uri"):
        argument = {**argument, "quiet": True} if isinstance(argument, dict) else {"uri": argument, "quiet": True}
        found = wire.ask("workspace/executeCommand", {"command": "dlm.showStatus", "arguments": [argument]})
        assert found["ok"] is False and found["message"]


@every_client
def test_d14_argument_that_looks_like_a_message(wire: Wire) -> None:
    inner = {"jsonrpc": "2.0", "id": 9, "method": "exit", "params": {}, "quiet": True}
    for argument in (inner, {**inner, "deeper": [inner]}, {"quiet": True, "jsonrpc": [], "result": inner}):
        found = wire.ask("workspace/executeCommand", {"command": "dlm.showStatus", "arguments": [argument]})
        assert found["ok"] is False
    alive(wire)


@every_client
@pytest.mark.parametrize(
    "identity", [0, -1, 2**31, 2**53 + 1, 10**30, "", "0", "5", "ä😀\x00", "\ud800", "x" * 100_000]
)
def test_d15_ids_come_back_exactly(wire: Wire, identity: Any) -> None:
    for method, expected in (("textDocument/hover", "result"), ("unknown/method", "error")):
        wire.send(request(identity, method, HOVER))
        assert expected in wire.answer(identity)


@every_client
def test_d16_duplicate_id_in_flight(peer: Peer) -> None:
    """The second is refused, and the first is answered all the same; a string is another id than its number."""
    wire, paper = peer.wire, peer.paper()
    paper.open()
    paper.teach("A lesson.")
    wire.send(request(7, "dlm/waitForIdle"), request(7, "dlm/waitForIdle"), request("7", "textDocument/hover", HOVER))
    assert wire.error(7) == -32600
    assert wire.answer("7")["result"] is None
    peer.gate.allow(5)
    assert wire.answer(7)["result"] is None
    wire.send(request(7, "textDocument/hover", HOVER))
    assert wire.answer(7)["result"] is None
    paper.close()


@every_client
@pytest.mark.parametrize("when", ["before", "during", "after", "unknown", "at once", "twice"])
def test_d17_cancelled_requests_have_one_answer(peer: Peer, when: str) -> None:
    wire, paper = peer.wire, peer.paper()
    paper.open()
    paper.teach(when)
    identity, cancel = wire.new_id(), lambda target: notification("$/cancelRequest", {"id": target})
    asked = request(identity, "dlm/waitForIdle", {"uri": paper.uri})
    match when:
        case "before":
            wire.send(cancel(identity), asked)
        case "during":
            wire.send(asked)
            alive(wire)
            wire.send(cancel(identity))
        case "at once":
            wire.send(asked, cancel(identity))
        case "twice":
            wire.send(asked, cancel(identity), cancel(identity))
        case _:
            wire.send(asked, cancel(99_999), cancel("unknown"), cancel(str(identity)))
    if when in ("during", "at once", "twice"):
        assert wire.error(identity) == -32800
    assert wire.unclaimed() == []
    peer.gate.allow(5)
    if when in ("before", "after", "unknown"):
        assert wire.answer(identity)["result"]["version"] == 1
    if when == "after":
        wire.send(cancel(identity))
    paper.idle()
    assert wire.unclaimed() == []
    paper.close()


@with_configuration
def test_d17_a_client_cannot_cancel_what_the_server_asks(peer: Peer) -> None:
    """The request goes on: its answer, whose one value is none, is read when it comes."""
    wire = peer.wire
    wire.replies["workspace/configuration"] = lambda params: SILENT
    wire.send(notification("workspace/didChangeConfiguration", {"settings": {}}))
    asked = wire.until(lambda message: message.get("method") == "workspace/configuration")["id"]
    wire.send(notification("$/cancelRequest", {"id": asked}))
    wrong = f"none of them {wire.new_id()}"
    wire.send({"jsonrpc": "2.0", "id": asked, "result": [{"onSave": wrong}]})
    wire.log.until(wrong)
    assert wire.unclaimed() == []


@every_client
def test_d17_answers_to_nothing_are_passed_over(wire: Wire) -> None:
    wire.send({"jsonrpc": "2.0", "id": "nobody's", "result": {}}, {"jsonrpc": "2.0", "id": None, "error": {}})
    wire.send({"jsonrpc": "2.0", "id": 5, "error": {"code": "no number"}}, {"jsonrpc": "2.0", "id": [], "result": 1})
    assert wire.unclaimed() == []


@with_configuration
@pytest.mark.parametrize("answer", [{"result": 5}, {"result": [5]}, {"error": "no"}, {"error": {"code": 1}}, {}])
def test_d17_answers_that_do_not_fit(peer: Peer, answer: Message) -> None:
    """To the server's own questions: the settings stay, and the next question is asked and answered."""
    wire = peer.wire
    wire.replies["workspace/configuration"] = lambda params: SILENT
    wire.send(notification("workspace/didChangeConfiguration", {"settings": {}}))
    asked = wire.until(lambda message: message.get("method") == "workspace/configuration")["id"]
    wire.send({"jsonrpc": "2.0", "id": asked, **answer})
    wire.replies.clear()
    wire.send(notification("workspace/didChangeConfiguration", {"settings": {}}))
    wire.until(lambda message: message.get("method") == "workspace/configuration")
    assert wire.unclaimed() == []
