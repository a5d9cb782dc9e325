"""Cases 27 to 30 and 34: many saves, saves and other things in mid-run, kills, two servers, and a short soak."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from safetensors.numpy import load_file

from tests.fakes import Gate
from tests.protocol import declared
from tests.protocol.conftest import OPTIONS, Peer, Start, connect
from tests.protocol.paper import Paper, exchange
from tests.protocol.wire import Message, Wire, notification

PHASED = [sys.executable, str(Path(__file__).with_name("phased_server.py"))]
MIB = 2**20


def check_progress(wire: Wire) -> None:
    """Every progress that began has one end, and nothing after it."""
    told: dict[str, list[str]] = {}
    for each in wire.notifications("$/progress"):
        told.setdefault(each["token"], []).append(each["value"]["kind"])
    for kinds in told.values():
        counted = Counter(kinds)
        assert (kinds[0], kinds[-1], counted["begin"], counted["end"]) == ("begin", "end", 1, 1), kinds


def test_d27_a_hundred_saves_in_a_second(peer: Peer) -> None:
    """With the settings as they come: at most two runs, and the last text is what is learned."""
    wire, paper = peer.wire, peer.paper()
    configured(wire, {"debounceMs": 400})
    paper.open()
    peer.gate.allow(10)
    saves: list[Message] = []
    for number in range(100):
        saves += paper.saved(paper.head + exchange("What counts?", f"Save {number}."))
    wire.send(*saves)
    status = paper.idle()
    assert 1 <= len(set(paper.ended_runs())) <= 2
    assert [section["state"] for section in status["sections"]] == ["learned"]
    check_progress(wire)
    # The last text: saving it again finds nothing new, and the one before it is new.
    peer.gate.drain()
    configured(wire, {"debounceMs": 0})
    paper.save(paper.head + exchange("What counts?", "Save 99."))
    assert paper.idle()["last"]["outcome"] == "skipped"
    peer.gate.allow(5)
    paper.save(paper.head + exchange("What counts?", "Save 98."))
    assert paper.idle()["last"]["outcome"] == "finished"
    paper.close()


def configured(wire: Wire, settings: Message) -> None:
    """The client changes its configuration and is asked for it."""
    wire.replies["workspace/configuration"] = lambda params: [settings]
    wire.send(notification("workspace/didChangeConfiguration", {"settings": None}))
    wire.until(lambda message: message.get("method") == "workspace/configuration")


def test_d28_a_save_in_mid_run(peer: Peer) -> None:
    """The run takes the newest text in, or it is learned next: whichever step came first. One end each."""
    wire, paper = peer.wire, peer.paper()
    paper.open()
    paper.teach("A lesson.")
    peer.gate.allow(1)
    paper.training()
    paper.teach("A newer lesson.")
    paper.teach("The newest lesson.")
    peer.gate.allow(60)
    status = paper.idle()
    peer.gate.drain()
    assert (status["version"] in (1, 2), status["pending"]) == (True, 0)
    assert len(paper.ended_runs()) == len(set(paper.ended_runs())) == status["version"]
    check_progress(wire)
    paper.close()


def test_d28_a_close_in_mid_run(peer: Peer) -> None:
    wire, paper = peer.wire, peer.paper()
    paper.open()
    paper.teach("A lesson.")
    peer.gate.allow(1)
    paper.training()
    paper.close()
    wire.unclaimed()
    told = len(wire.received)
    peer.gate.allow(4)
    assert wire.ask("dlm/waitForIdle") is None
    wire.unclaimed()
    about = [each["method"] for each in wire.received[told:] if paper.uri in str(each.get("params"))]
    assert set(about) <= {"$/progress"}, "something was told of a closed document"
    check_progress(wire)
    paper.open(paper.text)
    assert paper.idle()["version"] == 1
    paper.close()


@pytest.mark.parametrize("how", ["rename", "delete"])
def test_d28_the_file_goes_in_mid_run(peer: Peer, how: str) -> None:
    """What was saved is learned; the document under its new name goes on where the old one ended."""
    wire, paper = peer.wire, peer.paper()
    paper.open()
    paper.teach("A lesson.")
    peer.gate.allow(1)
    paper.training()
    if how == "delete":
        paper.path.unlink()
        peer.gate.allow(4)
        assert paper.idle()["version"] == 1
        paper.close()
        return
    text, moved = paper.text, Paper(wire, paper.path.with_name("moved.dlm"), paper.dlm_id)
    paper.path.rename(moved.path)
    paper.close()
    moved.open(text, write=False)
    peer.gate.allow(4)
    assert wire.ask("dlm/waitForIdle") is None
    moved.save(text)
    status = moved.idle()
    assert (status["version"], status["last"]["outcome"]) == (1, "skipped")
    check_progress(wire)
    moved.close()


@pytest.mark.parametrize("transport", ["stdio"], indirect=True)
def test_d29_killed_in_every_phase(transport: str, tmp_path: Path) -> None:
    """The next server finds the version before, or the whole new one; it trains when it is told to, not before.

    The transports take turns: what is left behind is on the disk.
    """
    paper_path, version = tmp_path / "a.dlm", None
    dlm_id = None
    environment = {"DLM_HOME": str(tmp_path / "home"), "DLM_FAKE_GATE": str(tmp_path / "gate")}
    with Gate(tmp_path / "gate") as gate:
        for turn, phase in enumerate(("", "import", "load", "tokenise", "train", "write", "none")):
            with connect(("stdio", "tcp")[turn % 2], environment, PHASED) as wire:
                wire.start(declared.ALL, initializationOptions=OPTIONS)
                paper = Paper(wire, paper_path, dlm_id)
                dlm_id = paper.dlm_id
                paper.open(paper_path.read_text() if paper_path.exists() else None)
                status = paper.idle()
                wire.unclaimed()
                assert not wire.requests("window/workDoneProgress/create"), "it began to train by itself"
                assert status["run"] is None and status["last"] is None
                assert status["version"] in ((version, (version or 0) + 1) if phase == "none" else (version,))
                version = status["version"]
                if version is not None:
                    folder = Path(status["store"]) / "adapter" / "versions" / f"v{version:04d}"
                    assert load_file(folder / "adapter_model.safetensors")
                gate.drain()
                paper.teach(f"What happened in {phase}?")
                if phase in ("", "none"):
                    gate.allow(8)
                    newer = paper.idle()["version"]
                    assert newer == (version or 0) + 1
                    version = newer
                else:
                    kill_in(phase, wire, paper, gate, (version or 0) + 1)


def kill_in(phase: str, wire: Wire, paper: Paper, gate: Gate, newer: int) -> None:
    """Kills the server when it is in this phase of a run."""
    before = ("import", "load", "tokenise", "train", "write").index(phase)
    gate.allow(min(before, 3))
    wire.until(
        lambda message: (
            message.get("method") == "dlm/trainingProgress"
            and message["params"]["phase"] == ("train" if phase == "write" else phase)
        )
    )
    if phase == "write":
        gate.allow(5)
        home = Path(paper.path.parent / "home")
        deadline = time.monotonic() + 30
        while not list(home.rglob(f"*v{newer:04d}*")) and time.monotonic() < deadline:
            pass  # the new version appears within milliseconds
    wire.process.send_signal(signal.SIGKILL)
    wire.process.wait()


def test_d30_two_servers_on_one_file(start: Start, gate: Gate, tmp_path: Path) -> None:
    """One trains, the other says who does; when the first is killed, the other begins by itself."""
    first, second = start({"DLM_FAKE_GATE": str(gate.path)}), start()
    papers = []
    for wire in (first, second):
        wire.start(declared.ALL, initializationOptions=OPTIONS)
        papers.append(Paper(wire, tmp_path / "a.dlm", papers[0].dlm_id if papers else None))
        papers[-1].open()
    papers[0].teach("A lesson.")
    gate.allow(1)
    papers[0].training()
    papers[1].teach("A lesson.")
    locked = second.until(
        lambda message: (
            message.get("method") == "textDocument/publishDiagnostics"
            and any(each["code"] == "store-locked" for each in message["params"]["diagnostics"])
        )
    )
    (problem,) = [each for each in locked["params"]["diagnostics"] if each["code"] == "store-locked"]
    assert f"process {first.process.pid}" in problem["message"]
    assert not second.notifications("$/progress")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    status = papers[1].idle()
    assert (status["version"], status["lock"], status["last"]["outcome"]) == (1, None, "finished")
    published = second.notifications("textDocument/publishDiagnostics")[-1]
    assert "store-locked" not in [each["code"] for each in published["diagnostics"]]
    check_progress(second)


def test_d34_a_short_soak(start: Start, tmp_path: Path) -> None:
    """The long one is `make soak`. Tokens are checked one by one, so that none is used twice or left open."""
    wire = start()
    wire.start(declared.ALL, initializationOptions=OPTIONS)
    paper = Paper(wire, tmp_path / "a.dlm")
    paper.open()
    server = psutil.Process(wire.process.pid)
    seen = []
    for number in range(30):
        paper.teach(f"lesson {number}")
        assert paper.idle()["version"] == number + 1
        if number >= 15:
            seen.append((server.num_threads(), server.num_fds(), server.memory_info().rss))
    threads, descriptors, memory = zip(*seen, strict=True)
    assert max(threads) <= threads[0]
    assert max(descriptors) <= descriptors[0] + 1  # a store's lock that is being let go
    assert max(memory) - memory[0] < 4 * MIB
    check_progress(wire)
    tokens = [each["token"] for each in wire.requests("window/workDoneProgress/create")]
    assert len(set(tokens)) == len(tokens) == 30
    wire.send(notification("window/workDoneProgress/cancel", {"token": tokens[0]}))
    assert wire.unclaimed() == []
