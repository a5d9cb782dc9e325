"""Cases 31 to 33: noise on standard output, every way to run Python, and many threads that have something to say."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from pathlib import Path

import pytest

from dlm_lsp.server.stdio import FdWriter
from tests.fakes import NOISE
from tests.protocol import declared, posting_server
from tests.protocol.conftest import FAKE, OPTIONS, Peer, Start
from tests.protocol.paper import Paper

POSTING = [sys.executable, str(Path(posting_server.__file__))]
OPTIONS_OF_PYTHON: dict[str, tuple[list[str], dict[str, str]]] = {
    "unbuffered by environment": ([], {"PYTHONUNBUFFERED": "1"}),
    "-u": (["-u"], {}),
    "-X dev": (["-X", "dev"], {}),
    "-W error": (["-W", "error"], {}),
    "locale without UTF-8": ([], {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
}


def test_d31_noise_on_standard_output(peer: Peer) -> None:
    """Each frame is checked by the client, so that one byte of noise between them would fail."""
    paper = peer.paper()
    paper.open()
    peer.gate.allow(5)
    paper.teach(NOISE)
    assert paper.idle()["version"] == 1
    assert peer.wire.unclaimed() == []
    if peer.name == "stdio":
        for source in ("library", "system call", "C library", "child process 0"):
            peer.wire.log.until(f"noise of a {source}")
    paper.close()


@pytest.mark.parametrize("transport", ["stdio"], indirect=True)
@pytest.mark.parametrize("way", OPTIONS_OF_PYTHON)
def test_d32_every_way_to_run_python(start: Start, tmp_path: Path, way: str) -> None:
    arguments, environment = OPTIONS_OF_PYTHON[way]
    wire = start(environment, [FAKE[0], *arguments, *FAKE[1:]])
    wire.start(declared.ALL, initializationOptions=OPTIONS)
    paper = Paper(wire, tmp_path / "ä 😀.dlm")
    paper.open()
    paper.teach("Ein Lächeln: 😀.")
    status = paper.idle()
    assert (status["version"], Path(status["document"])) == (1, paper.path.resolve())
    assert wire.end() == 0
    # In development mode asyncio also tells what was slow, which the machine decides.
    assert not re.search("Traceback|[a-z]Warning|never awaited|never retrieved", wire.log.text), wire.log.text


def test_d33_six_threads_write_at_once() -> None:
    """The transport's own writer: whole messages, in the order of each thread."""
    reading, writing = os.pipe()
    writer = FdWriter(writing, lambda: None)
    received = bytearray()

    def read() -> None:
        while chunk := os.read(reading, 65536):
            received.extend(chunk)

    def write(name: int) -> None:
        for number in range(50):
            writer.write(json.dumps([name, number, str(name) * 20_000]).encode() + b"\n")

    reader = threading.Thread(target=read)
    reader.start()
    threads = [threading.Thread(target=write, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert writer.join(30)
    os.close(writing)
    reader.join()
    os.close(reading)
    lines = [json.loads(line) for line in received.splitlines()]
    assert all(text == str(name) * 20_000 for name, _, text in lines)
    for name in range(6):
        assert [number for each, number, _ in lines if each == name] == list(range(50))
    assert writer.backlog == 0


def test_d33_six_threads_post_at_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the server's one outbound door, while answers leave by it, too."""
    monkeypatch.setitem(declared.NEEDED, "test/posted", "experimental.posted")
    wire = start(command=POSTING)
    wire.start({"experimental": {"posted": True}})
    asked = wire.new_id()
    wire.send({"jsonrpc": "2.0", "id": asked, "method": "test/post"})
    answered = [wire.ask("dlm/waitForIdle") for _ in range(20)]
    assert answered == [None] * 20
    assert wire.answer(asked)["result"] is None
    assert wire.unclaimed() == []
    posted = wire.notifications("test/posted")
    assert len(posted) == posting_server.THREADS * posting_server.EACH
    for thread in range(posting_server.THREADS):
        mine = [each for each in posted if each["thread"] == thread]
        assert [each["number"] for each in mine] == list(range(posting_server.EACH))
        assert all(each["text"] == str(thread) * posting_server.SIZE for each in mine)
