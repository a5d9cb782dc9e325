"""Cases 1 to 7: the order of life, from before initialize to the exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.fakes import STUBBORN, Gate
from tests.protocol import declared
from tests.protocol.conftest import COMMAND, OPTIONS, Start
from tests.protocol.paper import Paper
from tests.protocol.wire import Log, Message, Pipes, Wire, notification, request

HOVER = {"textDocument": {"uri": "file:///a.dlm"}, "position": {"line": 0, "character": 0}}
AFTER_END_OF_INPUT = 3.0  # seconds
AFTER_EXIT = 1.5


def test_d01_request_before_initialize(start: Start) -> None:
    wire = start()
    for identity, method in enumerate(
        ("textDocument/hover", "unknown/method", "$/unknown", "workspace/executeCommand")
    ):
        wire.send(request(identity, method, HOVER))
        assert wire.error(identity) == -32002
    wire.send(request("s", "shutdown"))
    assert wire.error("s") == -32002
    wire.start()
    # Nothing was executed: neither is the server shut down, nor does an id count as used.
    wire.send(request(0, "textDocument/hover", HOVER))
    assert wire.answer(0)["result"] is None
    assert wire.end() == 0


def test_d02_notification_before_initialize(start: Start, tmp_path: Path) -> None:
    wire = start()
    paper = Paper(wire, tmp_path / "a.dlm")
    paper.open("---\nnot: sound\n---\n")
    wire.send(notification("initialized", {}), notification("unknown"), notification("textDocument/didSave", 5))
    wire.start(declared.ALL)
    assert paper.hover() is None, "the document was opened before the session began"
    assert wire.notifications("textDocument/publishDiagnostics") == []
    assert wire.unclaimed() == []


def test_d03_second_initialize(wire: Wire) -> None:
    again = {"processId": None, "capabilities": {}, "rootUri": None}
    wire.send(request(wire.new_id(), "initialize", again))
    assert wire.error(wire._ids) == -32600
    assert wire.ask("textDocument/hover", HOVER) is None


def test_d04_request_after_shutdown(start: Start) -> None:
    wire = start()
    wire.start()
    wire.send(request("end", "shutdown"), request(2, "textDocument/hover", HOVER))
    assert wire.answer("end")["result"] is None
    assert wire.error(2) == -32600
    for method in ("shutdown", "initialize", "unknown/method", "textDocument/hover"):
        wire.send(request(method, method, {}), notification("textDocument/didOpen", {}))
        assert wire.error(method) == -32600
    wire.send(notification("exit"))
    assert wire.exit_code() == 0


def test_d05_exit_after_shutdown(start: Start, transport: str) -> None:
    """Whatever a client gives as params of messages that have none."""
    wire = start()
    wire.start()
    given: Message = {} if transport == "stdio" else {"params": {}}
    began = time.monotonic()
    # Both at once: the answer still comes before the end.
    wire.send({"jsonrpc": "2.0", "id": 2, "method": "shutdown", **given}, {"jsonrpc": "2.0", "method": "exit", **given})
    assert wire.answer(2)["result"] is None
    assert wire.exit_code() == 0
    assert time.monotonic() - began < AFTER_EXIT


def test_d05_the_last_answers_arrive(start: Start) -> None:
    """A client that sends all it has to say at once, exit included, and reads only then."""
    wire = start()
    wire.start()
    long = [f"{number} {'x' * 2**20}" for number in range(6)]
    asked = [request(identity, "unknown/method") for identity in long]
    wire.send(*asked, request("end", "shutdown"), notification("exit"))
    assert wire.answer("end")["result"] is None
    assert [wire.error(identity) for identity in long] == [-32601] * 6
    assert wire.exit_code() == 0


def test_d05_exit_without_shutdown(start: Start, transport: str) -> None:
    """In a session, and before there is one."""
    wire = start()
    if transport == "stdio":
        wire.start()
    wire.send(notification("exit"))
    assert wire.exit_code() == 1


@pytest.mark.parametrize("busy", [False, True])
def test_d06_end_of_input(start: Start, transport: str, tmp_path: Path, gate: Gate, busy: bool) -> None:
    """Idle, in a run that stops at its next step (stdio), and in one that never looks up (tcp)."""
    wire = start({"DLM_FAKE_GATE": str(gate.path)})
    wire.start(declared.ALL, initializationOptions=OPTIONS)
    if busy:
        gate.allow(1)
        paper = Paper(wire, tmp_path / "a.dlm")
        paper.open()
        paper.teach("A lesson." if transport == "stdio" else STUBBORN)
        paper.training()
    began = time.monotonic()
    wire.close_input()
    assert wire.exit_code() == 1
    assert time.monotonic() - began < AFTER_END_OF_INPUT


def test_d07_parent_killed_while_a_wrapper_holds_the_pipe(tmp_path: Path, gate: Gate) -> None:
    """A wrapper that hands its pipes on is killed in mid-run; this test still holds the other ends."""
    wrapper = f"import subprocess; subprocess.Popen({COMMAND!r}).wait()"
    process = subprocess.Popen(
        [sys.executable, "-c", wrapper],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "DLM_HOME": str(tmp_path / "home"), "DLM_FAKE_GATE": str(gate.path)},
    )
    assert process.stderr is not None
    with Wire(Pipes(process), process, Log(process.stderr)) as wire:
        gate.allow(1)
        wire.start(declared.ALL, initializationOptions=OPTIONS, processId=process.pid)
        paper = Paper(wire, tmp_path / "a.dlm")
        paper.open()
        paper.teach("A lesson.")
        paper.training()
        (server,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGKILL)
        server.wait(AFTER_END_OF_INPUT)
        assert not server.is_running()
