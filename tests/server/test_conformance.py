"""The protocol to the byte: the order of life, exact errors, and a stream that never gets out of step.

Each case is one that pygls 2.1.1 alone gets wrong; when one of its repairs in dlm_lsp/server/protocol.py is
taken out, the test of the same subject fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.wire import Wire, frame, initialize, notification, request

HOVER = {"textDocument": {"uri": "file:///a.dlm"}, "position": {"line": 0, "character": 0}}


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with Wire(tmp_path / "home") as wire:
        yield wire


def test_nothing_is_done_before_initialize(wire: Wire) -> None:
    wire.send(notification("textDocument/didOpen", {"nonsense": 1}), request(7, "textDocument/hover", HOVER))
    assert wire.error(7) == -32002
    wire.start()
    wire.send(initialize(8))
    assert wire.error(8) == -32600


def test_an_orderly_end(wire: Wire) -> None:
    wire.start()
    wire.send(request(2, "shutdown"))
    assert wire.answer(2)["result"] is None
    wire.send(request(3, "textDocument/hover", HOVER), notification("exit"))
    assert wire.error(3) == -32600
    assert wire.exit_code() == 0


@pytest.mark.parametrize("started", [False, True])
def test_exit_without_shutdown_is_told_by_the_exit_code(wire: Wire, started: bool) -> None:
    if started:
        wire.start()
    wire.send(notification("exit"))
    assert wire.exit_code() == 1


def test_what_is_no_message_is_answered_and_survived(wire: Wire) -> None:
    wire.start()
    wire.send(b'{"jsonrpc": "2.0", ')
    assert wire.error(None) == -32700
    wire.send(b"\xff\xfe")
    assert wire.error(None) == -32700
    wire.send(b"[" * 100_000)
    assert wire.error(None) == -32700
    wire.send([request(2, "shutdown")])
    assert wire.error(None) == -32600
    wire.send({"jsonrpc": "1.0", "id": 3, "method": "shutdown"})
    assert wire.error(3) == -32600
    wire.send({"jsonrpc": "2.0", "id": None, "method": "shutdown"})
    assert wire.error(None) == -32600
    wire.send(request(4, "textDocument/hover", HOVER))
    assert wire.answer(4)["result"] is None


def test_headers_in_any_case_and_order(wire: Wire) -> None:
    body = frame(initialize()).partition(b"\r\n\r\n")[2]
    head = b"content-type: application/vscode-jsonrpc; charset=utf8\r\nCONTENT-LENGTH: %d\r\n\r\n"
    wire.send_bytes(head % len(body) + body)
    assert "capabilities" in wire.answer(1)["result"]
    wire.send(request(2, "shutdown"))
    assert wire.answer(2)["result"] is None


def test_a_stream_out_of_step_is_closed(wire: Wire) -> None:
    wire.start()
    wire.send_bytes(b"Content-Length: -1\r\n\r\n")
    assert wire.error(None) == -32700
    assert wire.exit_code() == 1


@pytest.mark.parametrize("params", [{}, None, "text", {"textDocument": 3, "position": []}])
def test_params_that_do_not_fit_are_refused_with_the_requests_id(wire: Wire, params: object) -> None:
    wire.start()
    wire.send(request(5, "textDocument/hover", params))
    assert wire.error(5) == -32602
    wire.send(notification("textDocument/didSave", params), request(6, "textDocument/hover", HOVER))
    assert wire.answer(6)["result"] is None


@pytest.mark.parametrize("identity", [0, 5, "a string", "5", 2**53])
def test_an_id_comes_back_as_it_was(wire: Wire, identity: object) -> None:
    wire.start()
    wire.send(request(identity, "shutdown"))
    assert wire.answer(identity)["result"] is None


def test_what_is_unknown(wire: Wire) -> None:
    wire.start()
    wire.send(notification("$/unknown", {}), notification("unknown", [1]))
    wire.send(request(2, "unknown/method", {"a": 1}), request(3, "$/unknown"))
    assert [wire.error(2), wire.error(3)] == [-32601, -32601]
    wire.send(request(4, "workspace/executeCommand", {"command": "dlm.unknown"}))
    assert wire.error(4) == -32602


def test_an_argument_may_look_like_a_message(wire: Wire) -> None:
    wire.start()
    argument = {"jsonrpc": "2.0", "id": 9, "method": "exit"}
    wire.send(request(2, "workspace/executeCommand", {"command": "dlm.showStatus", "arguments": [argument]}))
    assert wire.answer(2)["result"]["ok"] is False


def test_documents_that_are_not_open_are_passed_over(wire: Wire) -> None:
    wire.start()
    item = {"uri": "file:///nowhere.dlm", "version": 2}
    wire.send(
        notification("textDocument/didChange", {"textDocument": item, "contentChanges": [{"text": "x"}]}),
        notification("textDocument/didSave", {"textDocument": item}),
        notification("textDocument/didClose", {"textDocument": item}),
        request(2, "shutdown"),
    )
    assert wire.receive() == {"jsonrpc": "2.0", "id": 2, "result": None}


@pytest.mark.parametrize("when", ["waiting", "answered", "unknown"])
def test_a_cancelled_request_has_one_answer(wire: Wire, when: str) -> None:
    wire.start()
    wire.send(request(2, "dlm/waitForIdle"))
    if when == "answered":
        assert wire.answer(2)["result"] is None
    wire.send(notification("$/cancelRequest", {"id": 99 if when == "unknown" else 2}), request(3, "shutdown"))
    expected = [3] if when == "answered" else [2, 3]
    assert [wire.receive()["id"] for _ in expected] == expected


def test_stray_responses_are_passed_over(wire: Wire) -> None:
    wire.start()
    wire.send({"jsonrpc": "2.0", "id": "nobody's", "result": {}}, {"jsonrpc": "2.0", "id": None, "error": {}})
    wire.send(request(2, "shutdown"))
    assert wire.receive()["id"] == 2
