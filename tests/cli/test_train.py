"""`dlm-lsp train`, with the real model: watching every way of saving, and the ends that an author can choose."""

from __future__ import annotations

import http.client
import http.server
import signal
import threading
from pathlib import Path

from dlm_lsp.store import Store
from tests.cli.conftest import DLM_ID, SLOW, Command, text

FERRY = ("When does the ferry leave?", "At seven.")
BAKER = ("Who bakes the bread?", "Ulla bakes it.")
KEEPER = ("Who keeps the lamp?", "Mira keeps it.")
MILLER = ("Who owns the mill?", "Old Henk does.")


class Put(http.server.BaseHTTPRequestHandler):
    """Writes what is PUT, as a WebDAV server or a web editor's backend does."""

    folder: Path

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        (self.folder / Path(self.path).name).write_bytes(content)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def put(path: Path, content: str) -> None:
    handler = type("Here", (Put,), {"folder": path.parent})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = http.client.HTTPConnection(*server.server_address[:2])
        client.request("PUT", f"/{path.name}", content.encode())
        assert client.getresponse().status == 204
        client.close()
        server.shutdown()


def test_watching_learns_what_changes_in_its_sources_and_takes_new_hooks(home: Path, notes: Path) -> None:
    hooks, source = notes.with_name("notes.hooks.py"), notes.with_name("ferry.md")
    notes.write_text(text(settings="training:\n  sources:\n  - path: ferry.md\n"))
    source.write_text("The ferry leaves at seven.\n")
    hooks.write_text("def on_finish(version, message):\n    1 / 0\n")
    with Command(home, "train", str(notes), "--watch", "--hooks", "--watch-max-steps", "60") as command:
        command.until("notes.hooks.py:2:5: error: on_finish: ZeroDivisionError: division by zero [hooks-error]")
        command.until("v0001")
        command.until("watching notes.dlm")
        hooks.write_text("def on_finish(version:\n")
        command.until("notes.hooks.py:1:1: error: SyntaxError")
        source.write_text("The ferry leaves at eight.\n")
        command.until("a source has changed")
        command.until("v0002")


def test_watching_learns_every_way_of_saving_and_skips_what_is_not_new(home: Path, notes: Path) -> None:
    notes.write_text(text(FERRY))
    with Command(home, "train", str(notes), "--watch", "--watch-max-steps", "60") as command:
        command.until("v0001")
        command.until("watching notes.dlm")

        notes.write_text(text(FERRY, BAKER))  # in place
        command.until("v0002")

        fresh = notes.with_name("notes.dlm.new")  # a new file, renamed over the old one
        fresh.write_text(text(FERRY, BAKER, KEEPER))
        fresh.replace(notes)
        command.until("v0003")

        put(notes, text(FERRY, BAKER, KEEPER, MILLER))  # by a server
        command.until("v0004")

        put(notes, text(FERRY, BAKER, KEEPER, MILLER) + "\n\n")
        command.until("no new content, skipping")

        notes.write_text("---\nbase_model: nowhere\n---\n")
        command.until("notes.dlm:1:1: error")

        command.process.send_signal(signal.SIGINT)
        assert command.end() == 130
    current = Store(home, DLM_ID).current()
    assert current is not None
    assert current.number == 4


def test_an_interrupt_during_a_cycle_ends_it_after_the_step_in_flight_and_rolls_it_back(
    home: Path, notes: Path
) -> None:
    notes.write_text(text(FERRY, settings=SLOW))
    with Command(home, "train", str(notes), "--watch", "--watch-max-steps", "100000") as command:
        command.until("step 1/100000")
        command.process.send_signal(signal.SIGINT)
        command.until("cancelled")
        assert command.end() == 130
    store = Store(home, DLM_ID)
    assert store.current() is None
    assert store.holder() is None


def test_a_second_interrupt_leaves_at_once_with_the_store_intact(home: Path, notes: Path) -> None:
    notes.write_text(text(FERRY))
    with Command(home, "train", str(notes)) as command:
        assert command.end() == 0, command.lines
    notes.write_text(text(FERRY, BAKER, settings=SLOW))
    with Command(home, "train", str(notes), "--watch-max-steps", "100000") as command:
        command.until("step 1/100000")
        command.process.send_signal(signal.SIGINT)
        command.process.send_signal(signal.SIGINT)
        assert command.end() == 130
    store = Store(home, DLM_ID)
    current = store.current()
    assert current is not None
    assert current.number == 1
    assert not store.inspect().leftovers

    notes.write_text(text(FERRY, BAKER))
    with Command(home, "train", str(notes)) as command:
        command.until("v0002")
        assert command.end() == 0, command.lines


def test_full_starts_over_and_is_committed_as_the_next_version(home: Path, notes: Path) -> None:
    notes.write_text(text(FERRY, settings="training:\n  num_epochs: 2\n"))
    with Command(home, "train", str(notes), "--full") as command:
        command.until("full retrain of 1 lesson")
        command.until("2 steps (v0001)")
        assert command.end() == 0, command.lines
    assert Store(home, DLM_ID).dlm_lock() is not None


def test_a_broken_document_is_not_trained_and_says_where_it_is_broken(home: Path, notes: Path) -> None:
    notes.write_text(text(FERRY) + "\n::instruction::\n### Q\nand?\n")
    with Command(home, "train", str(notes)) as command:
        assert command.end() == 1
    assert any(line.startswith("notes.dlm:13:1: error") for line in command.lines), command.lines
    assert not home.exists()


def test_what_is_wrong_with_a_source_is_told(home: Path, notes: Path) -> None:
    notes.write_text(text(FERRY, settings="training:\n  sources:\n  - path: nowhere\n"))
    with Command(home, "train", str(notes)) as command:
        assert command.end() == 0, command.lines
    told = [line for line in command.lines if "[source-missing]" in line]
    assert len(told) == 1, command.lines
    assert told[0].startswith("notes.dlm:6:") and "nowhere" in told[0]
