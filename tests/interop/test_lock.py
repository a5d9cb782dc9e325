"""Our server and the original's holders of the store's lock: one works, the other waits and says so."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from dlm_lsp.store import Held, Store
from tests.fakes import Gate
from tests.interop.original import Original
from tests.server.conftest import Begin, begin, gate
from tests.server.editor import DLM_ID, HEAD, Editor, exchange

__all__ = ["begin", "gate"]  # the fixtures of a server with the fake learner

ONE = HEAD + exchange("What is a save?", "A lesson.")
TWO = ONE + exchange("What is a lesson?", "A save.")


async def learned(editor: Editor, path: Path) -> str:
    """A document with one version, as the original packs it; its URI."""
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    assert (await editor.idle(uri))["version"] == 1
    return uri


async def test_a_save_waits_for_its_holder_and_begins_when_it_is_gone(
    begin: Begin, original: Original, tmp_path: Path
) -> None:
    editor, path = await begin(), tmp_path / "a.dlm"
    with original.holding(DLM_ID) as holder:
        uri = editor.open(path, HEAD)
        editor.save(path, ONE)
        await editor.until(lambda: "store-locked" in editor.codes(uri))
        assert f"process {holder.pid} on " in editor.message(uri, "store-locked")
        refused = await editor.command("dlm.unlock", {"uri": uri, "quiet": True})
        assert "stays locked" in refused["message"]
        holder.process.send_signal(signal.SIGSTOP)
        assert "stays locked" in (await editor.command("dlm.unlock", {"uri": uri, "quiet": True}))["message"]
        holder.process.send_signal(signal.SIGCONT)
        assert holder.go_on() == 0
        status = await editor.idle(uri)
    assert (status["version"], status["last"]["notes"]) == (1, [])
    assert editor.codes(uri) == []


async def test_a_save_takes_over_from_its_holder_that_was_killed(
    begin: Begin, original: Original, tmp_path: Path
) -> None:
    editor, path = await begin(), tmp_path / "a.dlm"
    with original.holding(DLM_ID) as holder:
        uri = editor.open(path, HEAD)
        editor.save(path, ONE)
        await editor.until(lambda: "store-locked" in editor.codes(uri))
        holder.process.kill()
        holder.process.wait()
        status = await editor.idle(uri)
    assert status["version"] == 1
    assert f"process {holder.pid} on this machine no longer exists" in status["last"]["notes"][0]
    with original.holding(DLM_ID) as next_one:
        assert next_one.go_on() == 0


async def test_a_save_waits_for_dlm_pack_and_the_pack_is_of_the_version_before(
    begin: Begin, original: Original, tmp_path: Path
) -> None:
    editor, path, out = await begin(), tmp_path / "a.dlm", tmp_path / "a.dlm.pack"
    uri = await learned(editor, path)
    with original.process("pack", str(path), str(out)) as packing:
        assert packing.hear() == {"held": True}
        editor.save(path, TWO)
        await editor.until(lambda: "store-locked" in editor.codes(uri))
        assert f"process {packing.pid} on " in editor.message(uri, "store-locked")
        assert packing.go_on() == 0
    assert (await editor.idle(uri))["version"] == 2
    original.at(tmp_path / "elsewhere").dlm("unpack", out, "--out", tmp_path / "elsewhere")
    assert Store(tmp_path / "elsewhere", DLM_ID).current().number == 1  # type: ignore[union-attr]


async def test_dlm_pack_and_its_lock_are_refused_while_a_run_goes_on(
    begin: Begin, gate: Gate, original: Original, tmp_path: Path
) -> None:
    editor, path, out = await begin(gate=gate), tmp_path / "a.dlm", tmp_path / "a.dlm.pack"
    gate.allow(5)
    uri = await learned(editor, path)
    editor.save(path, TWO)
    await editor.state(uri, "training")
    with original.process("hold", str(original.home), DLM_ID) as refused:
        assert refused.hear() == {"refused": "LockHeldError", "holder": editor.process.pid}
    original.dlm("pack", path, "--out", out, code=1)
    assert not out.exists()
    with original.process("hold", str(original.home), DLM_ID, "60") as waiting:
        gate.allow(5)
        assert (await editor.idle(uri))["version"] == 2
        assert waiting.hear() == {"held": waiting.pid}, "it waits, and has its turn when the run is over"
        assert waiting.go_on() == 0
    original.dlm("pack", path, "--out", out)
    assert out.exists()


async def test_our_killed_server_leaves_a_lock_that_its_tool_will_not_steal_and_ours_recovers(
    begin: Begin, gate: Gate, original: Original, tmp_path: Path
) -> None:
    editor, path = await begin(gate=gate), tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    await editor.state(uri, "training")
    editor.process.kill()
    await editor.process.wait()
    with original.process("hold", str(original.home), DLM_ID) as refused:
        assert refused.hear() == {"refused": "StaleLockError", "holder": editor.process.pid}
    second = await begin()
    second.open(path, ONE)
    second.save(path, ONE)
    assert (await second.idle(uri))["version"] == 1
    with original.holding(DLM_ID) as holder:
        assert holder.go_on() == 0


def test_its_holders_and_ours_never_hold_it_together(original: Original) -> None:
    """Turn about, each tried while the other holds it."""
    store = Store(original.home, DLM_ID)
    for _ in range(3):
        lock = store.try_lock()
        assert isinstance(lock, Held)
        with lock, original.process("hold", str(original.home), DLM_ID) as refused:
            assert refused.hear() == {"refused": "LockHeldError", "holder": os.getpid()}
        with original.holding(DLM_ID):
            assert not isinstance(store.try_lock(), Held)
        # It was killed, as `holding` ends it: taken over, and said so.
        lock = store.try_lock()
        assert isinstance(lock, Held)
        with lock:
            assert len(lock.notes) == 1
