"""More than one process, or more than one URI, for the same document."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lsprotocol import types

from dlm_lsp.store import Store, dlm_home
from tests.fakes import Gate
from tests.server.editor import DLM_ID, HEAD, Editor, exchange

Begin = Callable[..., Awaitable[Editor]]

ONE = HEAD + exchange("What is a save?", "A lesson.")
TWO = ONE + exchange("What is a lesson?", "A save.")

# Another process that takes a store's lock, says so, and holds it until its input ends.
HOLDER = """
import sys
from pathlib import Path
from dlm_lsp.store import Holder, Store
lock = Store(Path(sys.argv[1]), sys.argv[2]).try_lock()
assert not isinstance(lock, Holder), lock
with lock:
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holding(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock of the documents here."""
    command = [sys.executable, "-c", HOLDER, str(home), DLM_ID]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield holder


async def test_r14_a_locked_store_names_its_holder_and_the_run_begins_when_it_is_free(
    editor: Editor, tmp_path: Path
) -> None:
    with holding(tmp_path / "home") as holder:
        path = tmp_path / "a.dlm"
        uri = editor.open(path, HEAD)
        editor.save(path, ONE)
        await editor.until(lambda: "store-locked" in editor.codes(uri))
        warning = editor.message(uri, "store-locked")
        assert f"process {holder.pid} on " in warning
        assert " since 2" in warning
        mark = next(each for each in editor.diagnostics[uri] if each.code == "store-locked")
        assert mark.severity is types.DiagnosticSeverity.Warning
        assert mark.range.start.line == 1
        refused = await editor.command("dlm.unlock", {"uri": uri, "quiet": True})
        assert str(holder.pid) in refused["message"]
        assert editor.shown() == []
        assert holder.stdin is not None
        holder.stdin.close()
        status = await editor.idle(uri)
    assert status["version"] == 1
    assert editor.codes(uri) == []
    assert len(editor.shown()) == 1
    assert editor.messages == []


async def test_r14_waiting_for_a_lock_can_be_cancelled(editor: Editor, tmp_path: Path) -> None:
    store = Store(dlm_home(tmp_path / "home"), DLM_ID)
    with store.try_lock():  # type: ignore[union-attr]
        path = tmp_path / "a.dlm"
        uri = editor.open(path, HEAD)
        editor.save(path, ONE)
        await editor.until(lambda: "store-locked" in editor.codes(uri))
        await editor.command("dlm.cancel", uri)
        status = await editor.idle(uri)
    assert (status["version"], status["state"]) == (None, "idle")
    assert "store-locked" not in editor.codes(uri)


async def test_r14_two_servers_on_one_document_do_not_get_in_each_others_way(
    begin: Begin, gate: Gate, tmp_path: Path
) -> None:
    first, second = await begin(gate=gate), await begin()
    path = tmp_path / "a.dlm"
    uri = first.open(path, HEAD)
    second.open(path, HEAD)
    first.save(path, ONE)
    await first.state(uri, "training")
    second.save(path, TWO)
    await second.until(lambda: "store-locked" in second.codes(uri))
    assert f"process {first.process.pid} on " in second.message(uri, "store-locked")
    gate.allow(5)
    assert (await first.idle(uri))["version"] == 1
    status = await second.idle(uri)
    assert (status["version"], status["pending"]) == (2, 0)
    assert [section["version"] for section in status["sections"]] == [1, 2]


async def test_two_uris_of_one_file_are_one_document(editor: Editor, tmp_path: Path) -> None:
    path, link = tmp_path / "a.dlm", tmp_path / "link.dlm"
    uri = editor.open(path, HEAD)
    link.symlink_to(path)
    other = editor.open(link, HEAD)
    editor.save(link, ONE)
    await editor.idle()
    await editor.until(lambda: editor.codes(uri) == editor.codes(other) == [])
    assert len(editor.shown()) == 1
