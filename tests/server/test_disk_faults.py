"""A disk that fails under a running server: one diagnostic, the version before stays, the next save trains again."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dlm_lsp.store import Store
from dlm_lsp.store.versions import Checker
from tests.fakes import Gate
from tests.faults import Orders, Switch
from tests.server.editor import DLM_ID, HEAD, Editor, exchange

Begin = Callable[..., Awaitable[Editor]]

FAULTY = Path(__file__).with_name("faulty_server.py")
WRITING = ("open", "write", "sync", "sync_folder", "mkdir", "replace")


def text(exchanges: int) -> str:
    return HEAD + "".join(exchange(f"What is {number}?", f"A number, {number}.") for number in range(exchanges))


def sound(home: Path, version: int) -> Store:
    """The store under `home`, with `version` current and complete."""
    store = Store(home, DLM_ID)
    current = store.current()
    assert current is not None
    assert current.number == version
    assert Checker().fault(store.layout, version) is None
    return store


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def switch(tmp_path: Path) -> Switch:
    return Switch(tmp_path / "orders.json")


class Author:
    """Saves longer and longer texts, and says what comes of it."""

    def __init__(self, editor: Editor, path: Path) -> None:
        self.editor = editor
        self.path = path
        self.exchanges = 0
        self.uri = editor.open(path, HEAD)

    async def learns(self, version: int) -> dict[str, object]:
        """A save that is learned, without a trace of what went wrong before."""
        self.save()
        status = await self.editor.idle(self.uri)
        assert (status["version"], status["pending"]) == (version, 0), status["last"]
        assert status["last"]["outcome"] == "finished"
        await self.editor.until(lambda: "run-failed" not in self.editor.codes(self.uri))
        return status

    async def fails(self, *parts: str, version: int | None) -> str:
        """A save whose run fails with one diagnostic, and nothing pops up."""
        self.save()
        return await self.failed(*parts, version=version)

    async def failed(self, *parts: str, version: int | None) -> str:
        status = await self.editor.idle(self.uri)
        assert (status["version"], status["last"]["outcome"]) == (version, "failed"), status["last"]
        await self.editor.until(lambda: "run-failed" in self.editor.codes(self.uri))
        codes = self.editor.codes(self.uri)
        assert [code for code in codes if code != "not-learned"] == ["run-failed"]
        message = self.editor.message(self.uri, "run-failed")
        assert all(part in message for part in parts), message
        assert self.editor.messages == []
        return message

    def save(self) -> None:
        self.exchanges += 1
        self.editor.save(self.path, text(self.exchanges))


async def author(begin: Begin, switch: Switch, tmp_path: Path, **how: object) -> Author:
    environment = {"DLM_FAULTS": str(switch.path)}
    return Author(await begin(server=(str(FAULTY),), environment=environment, **how), tmp_path / "a.dlm")


FAULTS = {
    "full": (Orders(error="ENOSPC", changes=WRITING), "the disk is full; free some space and save again"),
    "failing": (Orders(error="EIO"), "Input/output error; see to the disk, then save again"),
    "read-only": (Orders(error="EROFS"), "the file system is read-only; make it writable"),
    "forbidden": (Orders(error="EACCES"), "permission denied; check the owner and rights of the store"),
    "torn write": (
        Orders(error="EIO", changes=("write",), where="adapter_model", torn=True),
        "adapter_model.safetensors): Input/output error",
    ),
    "fsync": (Orders(error="EIO", changes=("sync",), where="training_state.pt$"), "Input/output error"),
    "fsync of a folder": (Orders(error="EIO", changes=("sync_folder",)), "Input/output error"),
    "rename": (Orders(error="EIO", changes=("replace",), where="versions/vN$"), "Input/output error"),
    "flip": (Orders(error="EIO", changes=("replace",), where="current.txt"), "current.txt"),
    "reading": (Orders(error="EIO", changes=("read",), where="manifest.json"), "manifest.json): Input/output error"),
}


async def test_a_fault_is_one_diagnostic_and_training_goes_on_when_it_is_gone(
    begin: Begin, switch: Switch, tmp_path: Path, home: Path
) -> None:
    writer = await author(begin, switch, tmp_path)
    await writer.learns(1)
    for version, (orders, sentence) in enumerate(FAULTS.values(), 1):
        switch.set(orders)
        message = await writer.fails("cannot ", str(home / "store" / DLM_ID), version=version)
        assert sentence in message
        await writer.fails(sentence, version=version)
        sound(home, version)
        switch.off()
        await writer.learns(version + 1)
        assert sound(home, version + 1).inspect().leftovers == ()
    await writer.learns(len(FAULTS) + 2)
    assert writer.editor.codes(writer.uri) == []


async def test_a_disk_that_goes_read_only_in_mid_run_does_not_leave_the_store_locked(
    begin: Begin, gate: Gate, switch: Switch, tmp_path: Path, home: Path
) -> None:
    """The lock file cannot be removed then, and names a process that lives on."""
    writer = await author(begin, switch, tmp_path, gate=gate)
    writer.save()
    await writer.editor.state(writer.uri, "training")
    switch.set(Orders(error="EROFS"))
    gate.allow(5)
    await writer.failed("read-only", version=None)
    assert (home / "store" / DLM_ID / ".lock").exists()
    switch.off()
    gate.allow(5)
    await writer.learns(1)
    assert sound(home, 1).holder() is None


async def test_what_fails_after_the_flip_is_told_and_completed_by_the_next_run(
    begin: Begin, switch: Switch, tmp_path: Path, home: Path
) -> None:
    writer = await author(begin, switch, tmp_path)
    await writer.learns(1)
    switch.set(Orders(error="ENOSPC", changes=("replace",), where="manifest.json"))
    await writer.learns(2)
    await writer.editor.until(lambda: writer.editor.codes(writer.uri) == ["store-repaired"])
    message = writer.editor.message(writer.uri, "store-repaired")
    assert "Version 2 is committed; the next run completes its records" in message
    assert "the disk is full" in message
    switch.off()
    await writer.learns(3)
    message = writer.editor.message(writer.uri, "store-repaired")
    assert "Version 2 was committed, but the store was not yet up to date: completed" in message
    assert "was not yet up to date: completed" in await writer.editor.hover(writer.uri, 0)
    await writer.learns(4)
    assert writer.editor.codes(writer.uri) == []
    manifest = sound(home, 4).manifest()
    assert manifest is not None
    assert [run.adapter_version for run in manifest.training_runs] == [1, 2, 3, 4]


async def test_a_disk_that_loses_half_of_what_it_was_given_costs_that_version_only(
    begin: Begin, switch: Switch, tmp_path: Path, home: Path
) -> None:
    """It said that all was written: the next run sees that it was not."""
    writer = await author(begin, switch, tmp_path)
    await writer.learns(1)
    switch.set(Orders(torn=True, where="adapter_model"))
    await writer.learns(2)
    switch.off()
    status = await writer.learns(3)
    message = writer.editor.message(writer.uri, "store-repaired")
    assert "The current version 2 cannot be used (adapter_model.safetensors has " in message
    assert "version 1 is current now" in message
    assert "v0002 was set aside as v0002.damaged-" in message
    assert [section["state"] for section in status["sections"]] == ["learned"] * 3  # type: ignore[attr-defined]
    sound(home, 3)


def namespaces(folder: Path) -> list[str] | None:
    """A command that runs another one with a tmpfs of its own at `folder`; None where that is refused."""
    for how in (["unshare", "-Urm"], ["unshare", "-m"]):
        mounting = 'mount -t tmpfs -o size=384k tmpfs "$0" && exec "$@"'
        command = [*how, "sh", "-c", mounting, str(folder)]
        if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    return None


async def test_a_file_system_that_is_really_full_and_really_read_only(
    begin: Begin, switch: Switch, tmp_path: Path, home: Path
) -> None:
    home.mkdir()
    command = namespaces(home)
    if command is None:
        warnings.warn("no tmpfs can be mounted here: a full one is NOT tested", stacklevel=1)
        return
    start = f"import os; os.execvp({command[0]!r}, {[*command, sys.executable, str(FAULTY)]!r})"
    editor = await begin(server=("-c", start), environment={"DLM_FAULTS": str(switch.path)})
    writer = Author(editor, tmp_path / "a.dlm")
    await writer.learns(1)
    seen = Path(f"/proc/{editor.process.pid}/root{home}")  # as the server sees it
    ballast = seen / "ballast"
    for version, free in enumerate((0, 3, 6, 9), 1):
        blocks = os.statvfs(seen)
        ballast.write_bytes(bytes((blocks.f_bavail - free) * blocks.f_bsize))
        await writer.fails("the disk is full; free some space and save again", version=version)
        sound(seen, version)
        ballast.unlink()
        await writer.learns(version + 1)
        assert sound(seen, version + 1).inspect().leftovers == ()

    def remount(how: str) -> None:
        inside = ["nsenter", "-t", str(editor.process.pid), "-U", "-m", "--preserve-credentials"]
        subprocess.run([*inside, "mount", "-o", f"remount,{how}", str(home)], check=True)

    remount("ro")
    await writer.fails("the file system is read-only", version=5)
    remount("rw")
    await writer.learns(6)


async def test_a_limit_of_the_system_on_the_size_of_files(
    begin: Begin, switch: Switch, tmp_path: Path, home: Path
) -> None:
    writer = await author(begin, switch, tmp_path)
    await writer.learns(1)
    pid = writer.editor.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
    await writer.fails("File too large", version=1)
    sound(home, 1)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    await writer.learns(2)


@pytest.mark.parametrize("how", ["moved", "deleted"])
async def test_a_store_that_is_gone_is_missed_and_nothing_is_written_in_its_place(
    begin: Begin, switch: Switch, tmp_path: Path, home: Path, how: str
) -> None:
    writer = await author(begin, switch, tmp_path)
    await writer.learns(1)
    root = home / "store" / DLM_ID
    shutil.copytree(root, tmp_path / "backup")
    root.rename(tmp_path / "moved") if how == "moved" else shutil.rmtree(root)
    await writer.fails(f"the store {root} is gone; it held v0001. Bring it back and save again", version=None)
    await writer.fails("run Train Now to begin anew", version=None)
    assert not root.exists()
    (tmp_path / "backup").rename(root)
    status = await writer.learns(2)
    assert status["last"]["notes"] == []  # type: ignore[index]
    shutil.rmtree(root)
    writer.save()
    await writer.failed("it held v0002", version=None)
    assert await writer.editor.command("dlm.trainNow") == {"ok": True, "message": "training is queued"}
    assert (await writer.editor.idle(writer.uri))["version"] == 1
    await writer.learns(2)


@pytest.mark.parametrize("how", ["moved", "deleted"])
async def test_a_store_that_goes_while_training(
    begin: Begin, gate: Gate, switch: Switch, tmp_path: Path, home: Path, how: str
) -> None:
    writer = await author(begin, switch, tmp_path, gate=gate)
    gate.allow(5)
    await writer.learns(1)
    root = home / "store" / DLM_ID
    writer.save()
    await writer.editor.state(writer.uri, "training")
    shutil.copytree(root, tmp_path / "backup")
    root.rename(tmp_path / "moved") if how == "moved" else shutil.rmtree(root)
    gate.allow(5)
    await writer.failed(f"the store {root} was moved or deleted during the run; nothing was committed", version=None)
    assert not root.exists()
    await writer.fails("is gone; it held v0001", version=None)
    (tmp_path / ("moved" if how == "moved" else "backup")).rename(root)  # with the lock file that it had then
    gate.allow(5)
    await writer.learns(2)
    sound(home, 2)


@pytest.mark.parametrize("day", [86_400.0, -86_400.0])
async def test_a_clock_that_jumps_is_not_noticed(
    begin: Begin, gate: Gate, switch: Switch, tmp_path: Path, home: Path, day: float
) -> None:
    writer = await author(begin, switch, tmp_path, gate=gate)
    gate.allow(5)
    await writer.learns(1)
    switch.set(Orders(clock=day))
    gate.allow(5)
    await writer.learns(2)
    writer.save()
    await writer.editor.state(writer.uri, "training")
    switch.set(Orders(clock=-day))
    gate.allow(5)
    status = await writer.editor.idle(writer.uri)
    assert (status["version"], status["last"]["seconds"] < 60) == (3, True)
    switch.off()
    gate.allow(5)
    await writer.learns(4)
    assert writer.editor.codes(writer.uri) == []
    store = sound(home, 4)
    assert store.inspect().leftovers == ()
    assert [entry.version for entry in store.journal() if entry.event == "finished"] == [1, 2, 3, 4]
