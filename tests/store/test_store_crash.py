"""A crash or a disk error at any instant leaves the old or the new version complete, never a mixture."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from dlm_lsp.store import Store, StoreError, disk
from dlm_lsp.store.lock import BEING_WRITTEN_SECONDS
from tests.store import store_helpers
from tests.store.store_helpers import DLM_ID, T0, a_commit, assert_sound, held, run, section, step_of

CHANGES = ("_open", "_write", "_sync", "_sync_folder", "_mkdir", "_replace", "_unlink", "_rmdir")


@pytest.fixture(autouse=True)
def no_waiting_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process wrote is in the page cache; that it is flushed in time is tested by itself."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class Crash(BaseException):
    """The process is gone: nothing after it runs, no handler of errors sees it."""


class Faults:
    """Counts the calls that change the disk and makes the n-th (from 1) and all later ones fail."""

    def __init__(self, patch: pytest.MonkeyPatch, fail_at: int, error: Callable[[], BaseException], lasting: bool):
        self.count = itertools.count(1)
        self.fail_at = fail_at
        self.error = error
        self.lasting = lasting
        self.failed = False
        for name in CHANGES:
            patch.setattr(disk, name, self._wrapped(name, getattr(disk, name)))

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            number = next(self.count)
            if number == self.fail_at or (self.lasting and number > self.fail_at):
                if name == "_write" and not self.failed:  # a torn write
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                self.failed = True
                raise self.error()
            return real(*arguments)

        return call


def template(folder: Path, steps: int) -> Path:
    """A home whose store has committed `steps` steps."""
    store = Store(folder, DLM_ID)
    for step in range(1, steps + 1):
        run(store, step, keep=2)
    return folder


def after_crash(home: Path) -> None:
    """What the system does for a process that is gone: its locks are free, its lock file stays."""
    lock = home / "store" / DLM_ID / ".lock"
    if lock.exists():
        text = lock.read_text()
        if text.count("\n") == 3:
            lock.write_text("999999999\n" + text.split("\n", 1)[1])
        else:  # torn, and soon too old to be just being written
            os.utime(lock, (T0, T0))


def faults_until_done(
    tmp_path: Path, before: Path, error: Callable[[], BaseException], act: Callable[[Store], object], *, lasting: bool
) -> Iterator[tuple[Store, bool]]:
    """Runs `act` on a copy of `before` with a fault at the 1st, 2nd, … change, until there are no more changes."""
    for fail_at in itertools.count(1):
        home = tmp_path / f"try-{fail_at}"
        if before.exists():
            shutil.copytree(before, home)
        raised = False
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(patch, fail_at, error, lasting)
            try:
                act(Store(home, DLM_ID))
            except (Crash, StoreError):
                raised = True
        if not faults.failed:
            assert not raised
            assert fail_at > 15, "the faults must have been injected where the commit changes the disk"
            return
        yield Store(home, DLM_ID), raised
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.parametrize("steps", [0, 3])
def test_a_crash_at_any_change_leaves_the_old_or_the_new_version(tmp_path: Path, steps: int) -> None:
    before = template(tmp_path / "before", steps)
    seen = set()

    def act(store: Store) -> None:
        run(store, steps + 1, keep=2, full=True)

    for store, _ in faults_until_done(tmp_path, before, Crash, act, lasting=True):
        after_crash(store.root.parent.parent)
        if store.exists():
            with held(store) as lock:
                store.recover(lock)
                assert store.recover(lock) == ()
        after = assert_sound(store)
        seen.add(after)
        assert after in (steps or None, steps + 1)
        lock_file = store.dlm_lock()
        assert (lock_file["last_run_id"] if lock_file else None) == (after if after == steps + 1 else None)
        assert {entry.version for entry in store.journal() if entry.event == "finished"} == set(
            range(1, (after or 0) + 1)
        )
        run(store, steps + 2 if after == steps + 1 else steps + 1, keep=2)
        assert assert_sound(store) == (steps + 2 if after == steps + 1 else steps + 1)
    assert seen == {steps or None, steps + 1}


def half_way(tmp_path: Path, state: str) -> Path:
    """A home of three steps whose fourth commit was killed at the second instant that recovery calls `state`."""
    whole, seen = template(tmp_path / "whole", 3), 0
    for instant in itertools.count(20):
        home = tmp_path / f"half-{instant}"
        shutil.copytree(whole, home)
        with pytest.MonkeyPatch.context() as patch:
            Faults(patch, instant, Crash, lasting=True)
            with pytest.raises(Crash):
                run(Store(home, DLM_ID), 4, keep=2)
        after_crash(home)
        seen += any(state in what for what in Store(home, DLM_ID).inspect().leftovers)
        if seen == 2:
            return home
    raise AssertionError


@pytest.mark.parametrize(("state", "step"), [("interrupted before it was committed", 3), ("was not yet up to date", 4)])
def test_a_crash_during_recovery_is_recovered(tmp_path: Path, state: str, step: int) -> None:
    before = half_way(tmp_path, state)

    def act(store: Store) -> None:
        with held(store) as lock:
            store.recover(lock)

    for fail_at in itertools.count(1):
        home = tmp_path / f"try-{fail_at}"
        shutil.copytree(before, home)
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(patch, fail_at, Crash, lasting=True)
            with suppress(Crash):
                act(Store(home, DLM_ID))
        after_crash(home)
        act(Store(home, DLM_ID))
        assert assert_sound(Store(home, DLM_ID)) == step
        shutil.rmtree(home)
        if not faults.failed:
            assert fail_at > 8
            break


@pytest.mark.parametrize("lasting", [True, False])
def test_after_a_disk_error_at_any_change_training_goes_on(tmp_path: Path, lasting: bool) -> None:
    before = template(tmp_path / "before", 3)
    notes: list[str] = []

    def act(store: Store) -> None:
        notes[:] = run(store, 4, keep=2).notes

    errors = 0
    for store, raised in faults_until_done(
        tmp_path, before, lambda: OSError(errno.ENOSPC, "injected"), act, lasting=lasting
    ):
        current = store.current()
        assert current is not None
        if raised:
            errors += 1
            assert step_of(current) == 3
        else:
            assert step_of(current) == 4
        (store.root / ".lock").unlink(missing_ok=True)
        with held(store) as lock:
            store.recover(lock)
        assert assert_sound(store) == (3 if raised else 4)
    assert errors > 10


@pytest.mark.parametrize(
    ("number", "code", "advice"),
    [
        (errno.ENOSPC, "disk-full", "free some space"),
        (errno.EROFS, "read-only", "read-only"),
        (errno.EACCES, "no-permission", "check the owner and rights"),
        (errno.EIO, "disk-error", "Input/output error"),
    ],
)
def test_a_disk_error_says_what_where_and_what_to_do(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, code: str, advice: str
) -> None:
    run(store, 1)
    with held(store) as lock:
        Faults(monkeypatch, 4, lambda: OSError(number, os.strerror(number), "some/file"), lasting=True)
        with pytest.raises(StoreError, match=advice) as caught:
            store.commit(lock, a_commit(2))
    assert caught.value.code == code
    assert "write the next version" in str(caught.value)
    assert "some/file" in str(caught.value)


def test_everything_is_flushed_before_the_pointer_flips(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run(store, 1)
    flushed: set[tuple[int, int]] = set()
    replaced: list[str] = []

    def identity(found: os.stat_result) -> tuple[int, int]:
        return found.st_dev, found.st_ino

    def fsync(descriptor: int) -> None:
        flushed.add(identity(os.fstat(descriptor)))

    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if target.suffix == ".json" and target.parent.name == "logs":
            return real(source, target)  # the summary can be done without
        assert identity(source.stat()) in flushed, f"{target} gets its name before its content is flushed"
        if target.name == "v0002":
            assert all(identity(file.stat()) in flushed for file in source.iterdir())
            assert identity(store.layout.record(2).stat()) in flushed
            assert identity(store.layout.intent.stat()) in flushed
            assert identity(store.layout.ours.stat()) in flushed
        if target.name == "current.txt":
            assert identity(store.layout.versions.stat()) in flushed
        replaced.append(target.name)
        flushed.discard(identity(target.parent.stat()))
        return real(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    with held(store) as lock:
        store.commit(lock, a_commit(2, full=True))
    told = ["v0002.json", "intent.json", "v0002", "current.txt"]
    assert replaced == [*told, "corpus.zst", "index.json", "manifest.json", "dlm.lock"]


def test_what_cannot_be_finished_after_the_flip_is_told_and_finished_by_the_next_run(store: Store) -> None:
    run(store, 1)
    real = os.replace

    def refuse_manifest(source: Path, target: Path) -> None:
        if target.name == "manifest.json":
            raise OSError(errno.ENOSPC, "no space left")
        real(source, target)

    with pytest.MonkeyPatch.context() as patch, held(store) as lock:
        patch.setattr(os, "replace", refuse_manifest)
        version = store.commit(lock, a_commit(2))
        assert any("the next run completes its records" in note for note in version.notes)
        with pytest.raises(StoreError) as caught:
            store.commit(lock, a_commit(3))
        assert caught.value.code == "store-busy"
    assert store.current() == version
    assert store.ledger() is not None
    assert store.ledger().version == version.number  # type: ignore[union-attr]
    assert "version 2 was committed" in store.inspect().leftovers[0]
    with held(store) as lock:
        assert "completed" in store.recover(lock)[0]
    assert assert_sound(store) == 2


def test_kill_at_random_instants(home: Path, store: Store) -> None:
    choose = Random(4)
    # A lock file that was opened and not written yet is taken over when it has been so for ten seconds.
    later = Store(home, store.dlm_id, clock=lambda: time.time() + BEING_WRITTEN_SECONDS + 1)
    run(store, 1, keep=2)
    expected = 1
    for _ in range(10):
        program = [sys.executable, store_helpers.__file__, str(home), str(expected + 1)]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = process.stdout.readline()  # it is under way
            with suppress(subprocess.TimeoutExpired):  # lets it run on for a random while
                process.wait(choose.uniform(0.0, 0.12))
            process.kill()
            lines = [told, *process.stdout.readlines()]
            process.wait()  # its locks go with the last of it, which is after its output
        committed = max(int(line.split()[0]) for line in lines if line.endswith("\n"))
        with held(later) as lock:
            store.recover(lock)
        step = assert_sound(store)
        assert step in (committed, committed + 1), "what was told to be committed is there"
        expected = step
    run(store, expected + 1)
    assert assert_sound(store) == expected + 1
    assert not psutil.pid_exists(process.pid)
    manifest = store.manifest()
    assert manifest is not None
    assert [one.steps for one in manifest.training_runs] == list(range(1, expected + 2)), "no run is lost"
    assert section(expected) in manifest.content_hashes
