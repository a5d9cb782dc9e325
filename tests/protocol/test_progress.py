"""Cases 18 to 21: progress and its cancel, clients that declare little, refuse or never answer, or stop reading."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes import Gate
from tests.protocol import declared
from tests.protocol.conftest import OPTIONS, Peer, Start, every_client
from tests.protocol.paper import Paper
from tests.protocol.wire import REFUSED, SILENT, Message, Wire, notification, request

CREATE = "window/workDoneProgress/create"
AFTER_EXIT = 1.5  # seconds
MIB = 2**20
with_progress = pytest.mark.parametrize(
    "peer", ["stdio", "tcp", "neovim", "vscode", "emacs"], indirect=True
)  # all but the one that declares nothing


def kinds(wire: Wire, token: Any) -> list[str]:
    """What was told of one progress, in order."""
    return [each["value"]["kind"] for each in wire.notifications("$/progress") if each["token"] == token]


def cancelled(token: Any) -> Message:
    return notification("window/workDoneProgress/cancel", {"token": token})


def begin_of(wire: Wire, token: Any) -> None:
    wire.until(
        lambda message: (
            message.get("method") == "$/progress"
            and message["params"]["token"] == token
            and message["params"]["value"]["kind"] == "begin"
        )
    )


def next_token(wire: Wire) -> Any:
    """Waits until the server asks for a progress."""
    return wire.until(lambda message: message.get("method") == CREATE)["params"]["token"]


@with_progress
def test_d18_progress_cancelled_before_it_began(peer: Peer) -> None:
    wire, paper = peer.wire, peer.paper()
    wire.replies[CREATE] = lambda params: SILENT
    paper.open()
    paper.teach("A lesson.")
    token = next_token(wire)
    created = wire.received[-1]["id"]
    wire.send(cancelled(token))
    assert paper.idle()["version"] is None
    wire.send({"jsonrpc": "2.0", "id": created, "result": None})
    assert wire.unclaimed() == []
    assert kinds(wire, token) in ([], ["begin", "end"])
    paper.close()


@with_progress
def test_d18_progress_cancelled_twice_and_after_its_end(peer: Peer) -> None:
    wire, paper = peer.wire, peer.paper()
    paper.open()
    paper.teach("A lesson.")
    token = next_token(wire)
    begin_of(wire, token)
    wire.send(cancelled(token), cancelled(token))
    assert paper.idle()["version"] is None
    wire.send(cancelled(token))
    assert wire.unclaimed() == []
    assert (kinds(wire, token)[0], kinds(wire, token)[-1], Counter(kinds(wire, token))["end"]) == ("begin", "end", 1)

    # The next run has a token of its own, which the old one does not cancel.
    paper.teach("Another lesson.")
    newer = next_token(wire)
    wire.send(cancelled(token))
    peer.gate.allow(5)
    assert paper.idle()["version"] == 1
    assert newer != token
    assert (kinds(wire, newer)[0], kinds(wire, newer)[-1], Counter(kinds(wire, newer))["end"]) == ("begin", "end", 1)
    paper.close()


@every_client
def test_d18_foreign_tokens(peer: Peer) -> None:
    wire, paper = peer.wire, peer.paper()
    paper.open()
    paper.teach("A lesson.")
    wire.send(cancelled("of somebody else"), cancelled(0), cancelled(-5), cancelled(None), cancelled({"a": 1}))
    peer.gate.allow(5)
    assert paper.idle()["version"] == 1
    paper.close()


@every_client
def test_d19_a_client_is_sent_only_what_it_declared(peer: Peer) -> None:
    """Every message of every case is checked on arrival (declared.py); here are the contents of the answers."""
    wire, paper = peer.wire, peer.paper()
    declares = lambda dotted: bool(declared.value(wire.capabilities, dotted))  # noqa: E731
    paper.open()
    paper.teach("What is 😀?")
    peer.gate.allow(5)
    assert paper.idle()["version"] == 1
    paper.save(paper.text)  # nothing new
    paper.idle()

    offered = wire.result["capabilities"]
    assert bool(offered["textDocumentSync"].get("willSave")) == declares("textDocument.synchronization.willSave")
    literal = declares("textDocument.codeAction.codeActionLiteralSupport")
    assert isinstance(offered["codeActionProvider"], dict) == literal
    everything = {"start": {"line": 0, "character": 0}, "end": {"line": 9, "character": 0}}
    context = {"textDocument": {"uri": paper.uri}, "range": everything, "context": {"diagnostics": []}}
    actions = wire.ask("textDocument/codeAction", context)
    commands = [each for each in actions if "command" in each]
    assert commands and all(isinstance(each["command"], dict) == literal for each in commands)
    markdown = "markdown" in (declared.value(wire.capabilities, "textDocument.hover.contentFormat") or ())
    assert paper.hover()["contents"]["kind"] == ("markdown" if markdown else "plaintext")
    assert wire.ask("textDocument/codeLens", {"textDocument": {"uri": paper.uri}})
    encodings = declared.value(wire.capabilities, "general.positionEncodings") or ["utf-16"]
    assert offered["positionEncoding"] == encodings[0]

    told = {message["method"] for message in wire.received if "method" in message}
    assert "workspace/applyEdit" not in told and "window/logMessage" not in told
    if not wire.capabilities:
        assert told == {"textDocument/publishDiagnostics"}
    paper.close()


@every_client
@pytest.mark.parametrize("answer", [REFUSED, SILENT])
def test_d20_a_client_that_refuses_progress_or_never_answers(peer: Peer, answer: object) -> None:
    wire, paper = peer.wire, peer.paper()
    wire.replies[CREATE] = lambda params: answer
    before = len(wire.received)
    paper.open()
    paper.teach("A lesson.")
    peer.gate.allow(5)
    assert paper.idle()["version"] == 1
    tokens = [each["params"]["token"] for each in wire.received[before:] if each.get("method") == CREATE]
    assert len(tokens) == (1 if declared.value(wire.capabilities, "window.workDoneProgress") else 0)
    if tokens and answer is REFUSED:
        wire.log.until("the client refused the progress of run")
    wire.replies.clear()

    # It is asked again for the next run, and may say yes then.
    paper.teach("Another lesson.")
    peer.gate.allow(5)
    assert paper.idle()["version"] == 2
    for token in tokens:
        assert kinds(wire, token) == []
        assert next_of(wire, token)[-1] == "end"
    assert "Traceback" not in wire.log.text
    paper.close()


@with_progress
def test_d20_a_client_that_leaves_out_a_result_that_is_null(peer: Peer) -> None:
    """It meant to accept the progress, and is shown it."""
    wire, paper = peer.wire, peer.paper()
    wire.replies[CREATE] = lambda params: SILENT
    paper.open()
    paper.teach("A lesson.")
    token = next_token(wire)
    wire.send({"jsonrpc": "2.0", "id": wire.received[-1]["id"]})
    begin_of(wire, token)
    peer.gate.allow(5)
    assert paper.idle()["version"] == 1
    assert kinds(wire, token)[-1] == "end"
    paper.close()


def next_of(wire: Wire, token: Any) -> list[str]:
    """What was told of the progress that was created after this one."""
    created = [each["token"] for each in wire.requests(CREATE)]
    return kinds(wire, created[created.index(token) + 1])


def test_d21_a_client_that_stops_reading(start: Start, gate: Gate, tmp_path: Path) -> None:
    """What it was asked is answered when it reads again; of progress and states only the newest was kept."""
    wire = start({"DLM_FAKE_GATE": str(gate.path), "DLM_FAKE_STEPS": "1000"})
    wire.start(declared.ALL, initializationOptions={**OPTIONS, "maxSteps": 1000})
    paper = Paper(wire, tmp_path / "a.dlm")
    paper.open()
    paper.teach("A lesson.")
    gate.allow(1)
    paper.training()
    paper.wire.received.clear()
    memory = psutil.Process(wire.process.pid).memory_info
    before = memory().rss

    unread = fill(wire, gate, paper)
    # The run goes on for a while and ends, saves come, and all of it is only asked about, never read.
    steps, until = 0, time.monotonic() + 1.5
    while time.monotonic() < until:
        gate.allow(1)
        steps += 1
        unread += questions(wire, 1)
    gate.allow(1000)
    while not list((tmp_path / "home").rglob("versions/v0001/adapter_config.json")):
        unread += questions(wire, 1)
    for number in range(50):
        paper.change({"text": paper.head + f"\ntext {number}\n"})
        unread += questions(wire, 1)
    grown, owed = memory().rss - before, sum(map(len, unread))
    assert grown < 16 * MIB + 3 * owed, f"{grown / MIB:.0f} MiB, with {owed / MIB:.0f} MiB of answers unread"

    assert paper.idle()["version"] == 1
    for identity in unread:
        wire.answer(identity)
    assert wire.unclaimed() == []
    progress = [each["value"]["kind"] for each in wire.notifications("$/progress")]
    assert progress[-1] == "end" and progress.count("end") == 1
    assert steps > 100
    assert progress.count("report") <= 4, f"{progress.count('report')} reports over {steps} steps"
    assert len(wire.notifications("dlm/trainingProgress")) <= 4
    assert len(wire.notifications("dlm/trainingStatus")) <= 12
    wire.log.until("the client reads again")


def test_d21_exit_of_a_client_that_does_not_read(start: Start, gate: Gate, tmp_path: Path) -> None:
    wire = start({"DLM_FAKE_GATE": str(gate.path), "DLM_FAKE_STEPS": "1000"})
    wire.start(declared.ALL, initializationOptions={**OPTIONS, "maxSteps": 1000})
    paper = Paper(wire, tmp_path / "a.dlm")
    paper.open()
    paper.teach("A lesson.")
    gate.allow(1)
    paper.training()
    fill(wire, gate, paper)
    began = time.monotonic()
    wire.send(request("end", "shutdown"), notification("exit"))
    assert wire.exit_code() == 0
    assert time.monotonic() - began < AFTER_EXIT


def test_d21_a_client_that_never_reads_again(start: Start) -> None:
    """It asks and asks; there is an end to what is kept for it."""
    wire = start()
    wire.start()
    memory = psutil.Process(wire.process.pid).memory_info
    before, most = memory().rss, 0
    question = request("x" * MIB, "unknown/method")
    for _ in range(200):
        try:
            wire.send(question)
        except OSError:  # it has hung up
            break
        most = max(most, memory().rss - before)
    assert wire.exit_code() == 1
    assert "the client has stopped reading" in wire.log.until("ending with exit code 1: .*")[0]
    assert most < 128 * MIB, f"{most / MIB:.0f} MiB"


def questions(wire: Wire, number: int) -> list[str]:
    """Asks without waiting for the answers; returns the ids."""
    asked = [f"{wire.new_id()} {'.' * 1000}" for _ in range(number)]
    wire.send(*(request(identity, "unknown/method") for identity in asked))
    return asked


def fill(wire: Wire, gate: Gate, paper: Paper) -> list[str]:
    """Asks without reading until the server says that its client does not read."""
    asked: list[str] = []
    while "the client does not read" not in wire.log.text:
        gate.allow(1)
        asked += questions(wire, 20)
        assert len(asked) < 20_000
    return asked
