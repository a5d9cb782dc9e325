"""What an author sees of a store that is locked: who holds it, what to do, and that the run begins by itself."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from lsprotocol import types

from dlm_lsp.store import Store
from tests.cli.conftest import SLOW, Command
from tests.fakes import Gate
from tests.server.editor import DLM_ID, HEAD, Editor, exchange

Begin = Callable[..., Awaitable[Editor]]

ONE = HEAD + exchange("What is a save?", "A lesson.")
TWO = ONE + exchange("What is a lesson?", "A save.")
WITHOUT_SYSTEM_LOCKS = {"DLM_FAKE_NO_SYSTEM_LOCKS": "1"}


def the_lock(tmp_path: Path) -> Path:
    return Store(tmp_path / "home", DLM_ID).layout.lock


def locked(tmp_path: Path, content: str) -> Path:
    """A lock file that is there before anybody of ours comes."""
    path = the_lock(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    return path


async def told(editor: Editor, uri: str, *words: str) -> str:
    """Waits for the warning that has all these words."""

    def look() -> str | None:
        marks = [each.message for each in editor.diagnostics.get(uri, ()) if each.code == "store-locked"]
        return marks[0] if marks and all(word in marks[0] for word in words) else None

    return await editor.until(look)


async def test_a_server_waits_for_dlm_lsp_train(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, ONE.replace("builtin:tiny\n", f"builtin:tiny\n{SLOW}"))
    with Command(tmp_path / "home", "train", str(path), "--watch-max-steps", "100000") as training:
        training.until("step 1/100000")
        editor.save(path, TWO)
        await told(editor, uri, f"held by process {training.process.pid} on ", "begins by itself")
        training.process.send_signal(signal.SIGINT)
        training.until("cancelled")
        status = await editor.idle(uri)
        assert training.end() == 130
    assert (status["version"], status["pending"]) == (1, 0)
    assert editor.codes(uri) == []


async def test_dlm_lsp_train_waits_for_a_server(begin: Begin, gate: Gate, tmp_path: Path) -> None:
    editor, path = await begin(gate=gate), tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    await editor.state(uri, "training")
    with Command(tmp_path / "home", "train", str(path)) as training:
        training.until(f"waiting for the store: held by process {editor.process.pid} on ")
        gate.allow(5)
        assert (await editor.idle(uri))["version"] == 1
        training.until("no new content")
        assert training.end() == 0, training.lines


async def test_a_suspended_server_is_waited_for_and_loses_nothing(begin: Begin, gate: Gate, tmp_path: Path) -> None:
    """Its machine was sent to sleep, or a debugger holds it: it lives, and nobody may take over from it."""
    first, second = await begin(gate=gate), await begin()
    path = tmp_path / "a.dlm"
    uri = first.open(path, HEAD)
    second.open(path, HEAD)
    first.save(path, ONE)
    await first.state(uri, "training")
    first.process.send_signal(signal.SIGSTOP)
    try:
        second.save(path, TWO)
        await told(second, uri, f"held by process {first.process.pid} on ")
        assert "stays locked" in (await second.command("dlm.unlock", {"uri": uri, "quiet": True}))["message"]
    finally:
        first.process.send_signal(signal.SIGCONT)
    gate.allow(5)
    assert (await first.idle(uri))["version"] == 1
    status = await second.idle(uri)
    assert (status["version"], status["last"]["notes"]) == (2, [])
    assert [section["version"] for section in status["sections"]] == [1, 2]


async def test_without_system_locks_a_dead_holder_is_told_and_unlock_goes_on(
    begin: Begin, gate: Gate, tmp_path: Path
) -> None:
    first = await begin(gate=gate, environment=WITHOUT_SYSTEM_LOCKS)
    second = await begin(environment=WITHOUT_SYSTEM_LOCKS)
    path = tmp_path / "a.dlm"
    uri = first.open(path, HEAD)
    second.open(path, HEAD)
    first.save(path, ONE)
    await first.state(uri, "training")
    second.save(path, TWO)
    await told(second, uri, f"held by process {first.process.pid} on ")
    assert "stays locked" in (await second.command("dlm.unlock", {"uri": uri, "quiet": True}))["message"]
    first.process.kill()
    await first.process.wait()
    await told(second, uri, f"process {first.process.pid} on this machine no longer exists", "run Unlock")
    place = types.Range(types.Position(1, 0), types.Position(1, 0))
    actions = await second.text_document_code_action_async(
        types.CodeActionParams(
            types.TextDocumentIdentifier(uri), place, types.CodeActionContext(second.diagnostics[uri])
        )
    )
    assert "dlm.unlock" in [each["command"]["command"] for each in actions or () if "command" in each]  # type: ignore[index]
    assert (await second.command("dlm.unlock", {"uri": uri, "quiet": True}))["message"].startswith("unlocked")
    status = await second.idle(uri)
    assert (status["version"], status["pending"]) == (1, 0)
    assert second.codes(uri) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("4711\nelsewhere.example\n1770000000.5\n", "held by process 4711 on elsewhere.example since 2026-02-02"),
        ("dear diary\ntoday\nI wrote\na lock file\n", "does not say who holds it"),
    ],
)
async def test_what_nobody_here_can_judge_names_the_file_to_delete(
    editor: Editor, tmp_path: Path, content: str, says: str
) -> None:
    lock, path = locked(tmp_path, content), tmp_path / "a.dlm"
    old = lock.stat().st_mtime - 3600

    os.utime(lock, (old, old))
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    await told(editor, uri, says, f"delete {lock}" if "elsewhere" in says else str(lock))
    assert "stays locked" in (await editor.command("dlm.unlock", {"uri": uri, "quiet": True}))["message"]
    assert lock.exists()
    lock.unlink()
    assert (await editor.idle(uri))["version"] == 1


async def test_a_lock_file_that_cannot_be_read_is_told_and_training_resumes_without_it(
    editor: Editor, tmp_path: Path
) -> None:
    lock, path = the_lock(tmp_path), tmp_path / "a.dlm"
    lock.mkdir(parents=True)
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    await editor.until(lambda: "run-failed" in editor.codes(uri))
    assert str(lock) in editor.message(uri, "run-failed")
    lock.rmdir()
    editor.save(path, ONE)
    assert (await editor.idle(uri))["version"] == 1
    assert editor.codes(uri) == []


async def test_a_reused_process_id_is_taken_over_and_said_so(editor: Editor, tmp_path: Path) -> None:
    """The holder's machine was restarted, and another program has its number: this editor's own, for example."""

    pid = editor.process.pid
    since = psutil.Process(pid).create_time() - 3600
    locked(tmp_path, f"{pid}\n{socket.gethostname()}\n{since}\n")
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    status = await editor.idle(uri)
    assert status["version"] == 1
    assert f"process {pid} on this machine is another program" in status["last"]["notes"][0]
