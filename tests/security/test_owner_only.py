"""What has been learned is its owner's alone, however careless the environment is."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from dlm_lsp.cli.doctor import examine
from tests.server.editor import DLM_ID, HEAD, exchange
from tests.server.wire import Wire, notification, request


@pytest.fixture
def careless() -> Iterator[None]:
    """No permission is taken away from new files by the environment."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): stat.S_IMODE(path.lstat().st_mode) for path in [root, *root.rglob("*")]}


def test_every_file_and_folder_of_a_store_is_its_owners_alone(tmp_path: Path, careless: None) -> None:
    """After cycles, a full retrain, pruning, a failure and what recovery set aside."""
    home = tmp_path / "home"
    path = tmp_path / "notes.dlm"
    text = HEAD + exchange("a", "b")
    path.write_text(text)
    document = {"uri": path.as_uri()}
    with Wire(home, {"DLM_FAKE_STEPS": "1"}) as wire:
        wire.start()
        wire.send(
            notification(
                "workspace/didChangeConfiguration", {"settings": {"dlm": {"debounceMs": 0, "keepVersions": 2}}}
            )
        )
        item = {"uri": path.as_uri(), "languageId": "dlm", "version": 1, "text": text}
        wire.send(notification("textDocument/didOpen", {"textDocument": item}))
        for step in range(4):
            text += exchange(f"question {step}", "FAIL" if step == 2 else f"answer {step}")
            text = text.replace("FAIL", "calm") if step == 3 else text
            path.write_text(text)
            wire.send(notification("textDocument/didSave", {"textDocument": document, "text": text}))
            wire.send(request(f"idle {step}", "dlm/waitForIdle", document))
            wire.answer(f"idle {step}")
            if step == 0:
                (home / "store" / DLM_ID / "manifest.json").write_text("damaged")
        wire.send(
            request(
                "full",
                "workspace/executeCommand",
                {"command": "dlm.fullRetrain", "arguments": [{**document, "confirmed": True}]},
            )
        )
        assert wire.answer("full")["result"]["ok"]
        wire.send(request("idle", "dlm/waitForIdle", document))
        assert wire.answer("idle")["result"]["version"] == 4
        lock_seen = modes(home)
    found = modes(home)
    assert any("manifest.json." in name for name in found), "something was set aside"
    assert len(found) > 25
    for name, mode in (found | lock_seen).items():
        folder = (home / name).is_dir()
        expected = {0o700} if folder else {0o644} if name.endswith("/.lock") else {0o600}
        assert mode in expected, f"{name} has {mode:o}"


def test_a_home_that_others_can_write_is_told_by_doctor(tmp_path: Path) -> None:
    for mode, told in ((0o777, True), (0o770, True), (0o700, False), (0o1777, False)):
        tmp_path.chmod(mode)
        said = io.StringIO()
        examine(tmp_path, Console(file=said))
        assert ("can be written by others" in said.getvalue()) is told, oct(mode)
    tmp_path.chmod(0o700)
