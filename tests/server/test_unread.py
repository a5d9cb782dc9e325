"""A client that never reads: what the server keeps for it is bounded, and it can still be ended."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from tests.server.editor import HEAD, exchange
from tests.server.inside import EVERYTHING
from tests.server.wire import Wire, initialize, notification, request


def peak(folder: Path, saves: int) -> tuple[float, int]:
    """Megabytes at the most until the server has ended, and its exit code; nothing is read after `initialize`."""
    folder.mkdir()
    path = folder / "a.dlm"
    text = HEAD + "".join(exchange(f"What is number {number}?", f"It is {number}.") for number in range(100))
    identifier = {"uri": path.as_uri()}
    with Wire(folder / "home") as wire:
        wire.send(initialize(capabilities=EVERYTHING, initializationOptions={"debounceMs": 60_000}))
        wire.answer(1)
        item = {**identifier, "languageId": "dlm", "version": 1, "text": text}
        wire.send(notification("initialized", {}), notification("textDocument/didOpen", {"textDocument": item}))
        for number in range(saves):
            saved = text + exchange("Which?", f"Number {number}.")
            wire.send(notification("textDocument/didSave", {"textDocument": identifier, "text": saved}))
        wire.send(request(2, "shutdown"), notification("exit"))
        server, most = psutil.Process(wire.process.pid), 0
        while True:
            with suppress(psutil.NoSuchProcess):
                most = max(most, server.memory_info().rss)
            with suppress(subprocess.TimeoutExpired):
                return most / 1e6, wire.process.wait(0.01)


def test_a_storm_of_statuses_that_nobody_reads_is_not_kept(tmp_path: Path) -> None:
    """Each save tells some 60 kB of statuses and diagnostics, so that 100 would be 6 MB."""
    few, _ = peak(tmp_path / "few", 10)
    many, code = peak(tmp_path / "many", 100)
    assert code == 0
    assert many - few < 2, f"{few:.0f} MB after 10 saves, {many:.0f} MB after 100"
