"""Servers for the cases: fresh ones, and one for each kind of client that many cases share.

`LSP_SERVER` names another server to be tested, as a command line; it has to understand `--tcp HOST:PORT`. The
default is this project's server with the fake learner of the tests.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes import Gate
from tests.protocol import declared
from tests.protocol.paper import Paper
from tests.protocol.wire import Message, Wire

FAKE = [sys.executable, str(Path(__file__).parents[1] / "server" / "fake_server.py")]
COMMAND = shlex.split(os.environ.get("LSP_SERVER", "")) or FAKE
OPTIONS = {"debounceMs": 0, "warmOnOpen": False}

TRANSPORTS = ("stdio", "tcp")
# How a client connects, and what it declares.
PEERS: dict[str, tuple[str, Message]] = {
    "stdio": ("stdio", declared.ALL),
    "tcp": ("tcp", declared.ALL),
    "bare": ("stdio", {}),
    "neovim": ("stdio", declared.CLIENTS["neovim"]),
    "vscode": ("tcp", declared.CLIENTS["vscode"]),
    "emacs": ("stdio", declared.CLIENTS["emacs"]),
}
every_client = pytest.mark.parametrize("peer", PEERS, indirect=True)

_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


Start = Callable[..., Wire]


@dataclass
class Peer:
    """A session that goes on over many cases: its runs take a step for each that the gate allows."""

    name: str
    wire: Wire
    gate: Gate
    folder: Path

    def paper(self, name: str = "a.dlm") -> Paper:
        """A new document in a folder of its own."""
        self.folder = self.folder.with_name(f"{self.wire.new_id()}")
        self.folder.mkdir(parents=True)
        return Paper(self.wire, self.folder / name)


def connect(transport: str, environment: dict[str, str], command: list[str]) -> Wire:
    return (Wire.over_stdio if transport == "stdio" else Wire.over_tcp)(command, environment)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(tmp_path: Path, transport: str) -> Iterator[Start]:
    """Starts servers that are not initialized yet. `command` replaces the server, `environment` adds to it."""
    started: list[Wire] = []

    def begin(environment: dict[str, str] | None = None, command: list[str] | None = None) -> Wire:
        home = {"DLM_HOME": str(tmp_path / "home")}
        wire = connect(transport, {**home, **(environment or {})}, command or COMMAND)
        started.append(wire)
        return wire

    yield begin
    for wire in started:
        wire.__exit__(None, None, None)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as gate:
        yield gate


@pytest.fixture(scope="session")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Peer]]:
    """One running session for each kind of client, begun when first asked for."""
    running: dict[str, Peer] = {}

    def get(name: str) -> Peer:
        if name not in running or running[name].wire.process.poll() is not None:
            transport, capabilities = PEERS[name]
            folder = tmp_path_factory.mktemp(name)
            gate = Gate(folder / "gate")
            wire = connect(transport, {"DLM_HOME": str(folder / "home"), "DLM_FAKE_GATE": str(gate.path)}, COMMAND)
            wire.start(capabilities, initializationOptions=OPTIONS)
            running[name] = Peer(name, wire, gate, folder / "papers" / "0")
        return running[name]

    yield get
    for peer in running.values():
        peer.wire.__exit__(None, None, None)
        peer.gate.close()


@pytest.fixture(params=TRANSPORTS)
def peer(request: pytest.FixtureRequest, peers: Callable[[str], Peer]) -> Iterator[Peer]:
    """The shared session of a client. A case leaves nothing unanswered, nothing going on, and a living server."""
    peer = peers(request.param)
    peer.wire.replies.clear()
    peer.wire.received.clear()
    yield peer
    try:
        if not request.node.stash.get(_failed, False):
            assert peer.wire.unclaimed() == []
            assert peer.wire.ask("dlm/waitForIdle") is None
            request.node.stash[_failed] = False
    finally:
        if request.node.stash.get(_failed, True):
            peer.wire.process.kill()  # the next case begins with another
            peer.wire.process.wait()


@pytest.fixture
def wire(peer: Peer) -> Wire:
    return peer.wire
