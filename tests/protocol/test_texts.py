"""Cases 22 to 26: texts that are huge, change in odd ways, are not open, or have odd names."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.protocol import edits, reference
from tests.protocol.conftest import Peer, every_client
from tests.protocol.paper import Paper, exchange
from tests.protocol.wire import Message, notification

MIB = 2**20
# Seconds on two slow, shared cores; about a tenth of it is usual.
OPENED, CHANGED = 12.0, 5.0


def at(line: int, character: int, text: str, end: tuple[int, int] | None = None) -> Message:
    end_line, end_character = end or (line, character)
    places = {"start": {"line": line, "character": character}, "end": {"line": end_line, "character": end_character}}
    return {"range": places, "text": text}


@pytest.mark.parametrize("shape", ["prose", "sections", "one line"])
def test_d22_huge_documents(peer: Peer, shape: str) -> None:
    """10 MB in 10,000 lines, 2,500 exchanges in 10,000 lines, and a line of 1 MB: opened, changed, asked about."""
    paper = peer.paper()
    if shape == "prose":
        text = paper.head + ("é😀 word " * 88 + "\n") * 10_000
        assert len(text.encode()) > 9 * MIB
    elif shape == "sections":
        text = paper.head + "".join(exchange(f"What is {number}?", f"{number}.") for number in range(1_450))
    else:
        text = paper.head + "é😀a" * (MIB // 7) + "\nend\n"
    began = time.monotonic()
    paper.open(text, write=False)
    paper.diagnostics()
    opened = time.monotonic() - began
    last = text.count("\n") - 1
    began = time.monotonic()
    paper.change(at(last, 1, "😀"), at(5, 2, "x"), at(5, 2, "y", (5, 3)))
    assert paper.hover(last) is not None
    changed = time.monotonic() - began
    assert opened < OPENED and changed < CHANGED, f"opened in {opened:.2f} s, changed in {changed:.2f} s"
    paper.close()


def mirror_is(peer: Peer, paper: Paper, text: str) -> bool:
    """Whether the server holds `text`: it says so in its log when a saved text is another than it believed."""
    wire = peer.wire
    said = len(wire.log.lines)
    wire.send(notification("textDocument/didSave", {"textDocument": {"uri": paper.uri}, "text": text}))
    probe = f"probe/{wire.new_id()}"
    wire.ask("workspace/executeCommand", {"command": "dlm.cancel", "arguments": [{"uri": paper.uri, "quiet": True}]})
    identity = wire.new_id()
    wire.send({"jsonrpc": "2.0", "id": identity, "method": probe})
    assert wire.error(identity) == -32601
    wire.log.until(probe)
    return not any("differs from what the client's changes made" in line for line in wire.log.lines[said:])


@every_client
def test_d23_incremental_edits(peer: Peer) -> None:
    """The clients ask for UTF-8 (Neovim), UTF-32 (Emacs) and UTF-16 (the others)."""
    encoding = str(peer.wire.result["capabilities"]["positionEncoding"])

    @settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(text=edits.texts, history=edits.histories())
    def play(text: str, history: list[list[Message]]) -> None:
        paper = peer.paper()
        paper.open(text)
        for changes in history:
            for change in changes:
                text = reference.changed(text, change, encoding)
            paper.change(*changes)
            assert mirror_is(peer, paper, text)
        paper.close()

    play()


def test_d23_the_mirror_can_be_seen(peer: Peer) -> None:
    """What the case above looks at is there when the texts differ."""
    paper = peer.paper()
    paper.open("a text")
    assert mirror_is(peer, paper, "a text")
    assert not mirror_is(peer, paper, "another")
    assert mirror_is(peer, paper, "another")
    paper.close()


@pytest.mark.parametrize("encoding", ["neovim", "vscode", "emacs"])
def test_d23_ranges_are_told_in_the_clients_units(peers: Any, encoding: str) -> None:
    peer = peers(encoding)
    units = {"neovim": "utf-8", "vscode": "utf-16", "emacs": "utf-32"}[encoding]
    paper = peer.paper()
    line = "\ufeffé😀\x0c\u2028𝒳 prose"
    paper.open(f"---\r\ndlm_id: {paper.dlm_id}\r\nbase_model: builtin:tiny\r---\n\r\n{line}\r\n")
    (found,) = [each for each in paper.diagnostics()["diagnostics"] if each["code"] == "not-learned"]
    width = sum(reference.width(character, units) for character in line)
    assert found["range"] == {"start": {"line": 5, "character": 0}, "end": {"line": 5, "character": width}}
    paper.close()


def test_d24_several_changes_in_one_notification_and_odd_versions(peer: Peer) -> None:
    """Changes apply in order of arrival whatever their versions; diagnostics carry the version of their text."""
    paper = peer.paper()
    text = paper.head + "\nabc\n"
    paper.open(text)
    paper.diagnostics()
    line = 5
    paper.change(at(line, 1, "X"), at(line, 1, "Y"), at(line, 0, "", (line, 1)), version=10)
    assert mirror_is(peer, paper, paper.head + "\nYXbc\n")
    paper.change(at(line, 0, "Z"), version=4)
    assert mirror_is(peer, paper, paper.head + "\nZYXbc\n")
    paper.change(version=5)
    paper.change({"text": paper.head + "\nwhole\n"}, at(line, 5, "!"), version=5)
    paper.hover()
    assert paper.wire.notifications("textDocument/publishDiagnostics")[-1]["version"] == 5
    assert mirror_is(peer, paper, paper.head + "\nwhole!\n")
    paper.close()


def test_d24_after_changes_that_could_not_be_read_a_save_brings_back_the_truth(peer: Peer) -> None:
    paper = peer.paper()
    paper.open(paper.head + "\nabc\n")
    paper.change(at(5, -1, "lost"))
    paper.change({"range": "none", "text": "lost"})
    assert paper.hover() is not None
    assert not mirror_is(peer, paper, paper.head + "\nthe truth\n")
    assert mirror_is(peer, paper, paper.head + "\nthe truth\n")
    paper.close()


def test_d25_documents_that_are_not_open(peer: Peer) -> None:
    wire, paper = peer.wire, peer.paper()
    told, logged = len(wire.received), len(wire.log.lines)
    for _ in range(2):
        paper.change({"text": "a text"})
        paper.save("a text")
        paper.close()
        assert paper.hover() is None
        wire.send(notification("textDocument/willSave", {"textDocument": {"uri": paper.uri}, "reason": 1}))
        paper.open("a text")  # the second round finds it closed again
        paper.close()
    told_since = [each for each in wire.received[told:] if each.get("method") == "textDocument/publishDiagnostics"]
    assert told_since[-1]["params"]["diagnostics"] == []
    assert wire.unclaimed() == []
    assert not [line for line in wire.log.lines[logged:] if "WARNING" in line or "ERROR" in line]


def test_d25_a_document_that_is_opened_twice(peer: Peer) -> None:
    """The newer text counts; one close ends it."""
    paper = peer.paper()
    paper.open("first")
    paper.open("second", write=False)
    assert mirror_is(peer, paper, "second")
    paper.close()
    assert paper.hover() is None
    paper.close()


def uris(real: Path, link: Path) -> list[str]:
    quoted = real.as_uri()
    return [
        quoted,
        f"file://{real}",  # not quoted at all
        quoted.replace("%C3%A4", "%c3%a4"),
        quoted.replace("file:///", "file://localhost/"),
        quoted.replace("file:", "FILE:"),
        quoted.replace("/r", "/%72"),
        f"{real.parent.as_uri()}/./x/../{quoted.rpartition('/')[2]}",
        link.as_uri(),
    ]


def test_d26_one_file_under_many_uris(peer: Peer) -> None:
    """Each spelling is a document of its own for the client, and all are one file to be trained once."""
    wire, paper = peer.wire, peer.paper("räum e+1.dlm")
    link = paper.path.with_name("link.dlm")
    paper.path.write_text(paper.head)
    link.symlink_to(paper.path)
    (paper.path.parent / "x").mkdir()
    spelled = []
    for uri in uris(paper.path, link):
        other = Paper(wire, paper.path, paper.dlm_id)
        other.uri = uri
        other.open()
        spelled.append(other)
    for number, other in enumerate(spelled, start=1):
        peer.gate.allow(5)
        other.teach(f"lesson {number}")
        status = other.idle()
        assert status["version"] == number, other.uri
        assert Path(status["document"]) == paper.path.resolve()
        assert [each.uri for each in spelled if each.idle()["version"] != number] == []
    for other in spelled:
        other.close()


@pytest.mark.parametrize(
    "uri",
    [
        "untitled:Untitled-1",
        "git:/a.dlm?ref=HEAD",
        "https://example.org/a.dlm",
        "a.dlm",
        "",
        "file:",
        "file:a.dlm",
        "file:///%00",
    ],
)
def test_d26_what_is_no_file_is_checked_and_never_trained(peer: Peer, uri: str) -> None:
    wire, paper = peer.wire, peer.paper()
    paper.uri = uri
    paper.open("---\nnot: sound\n---\n")
    assert [each["code"] for each in paper.diagnostics()["diagnostics"]]
    paper.teach("A lesson.")
    command = {"command": "dlm.trainNow", "arguments": [{"uri": uri, "quiet": True}]}
    if uri:
        assert wire.ask("workspace/executeCommand", command)["ok"] is False
    assert wire.ask("dlm/waitForIdle") is None
    assert not wire.requests("window/workDoneProgress/create")
    paper.close()
