"""The lock: real other processes, dead ones, reused process ids, other machines, and races for a stale file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from dlm_lsp.store import Held, Holder, Store, StoreError, disk
from tests.store import store_locker
from tests.store.store_helpers import DLM_ID, a_commit, held, run

HOST = socket.gethostname()


@contextmanager
def other_process(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that holds the lock, and the line in which it told so."""
    command = [sys.executable, "-m", store_locker.__name__, "hold", str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def write_lock(store: Store, text: str, *, age: float = 3600.0) -> Path:
    path = store.root / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def refused(store: Store) -> Holder:
    got = store.try_lock()
    assert isinstance(got, Holder)
    return got


def gone_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_the_file_names_process_host_and_moment(store: Store) -> None:
    with held(store) as lock:
        pid, host, since = (store.root / ".lock").read_text().splitlines()
        assert int(pid) == os.getpid()
        assert host == HOST
        assert abs(float(since) - time.time()) < 60
        assert lock.notes == ()
        lock.check()
        busy = refused(Store(store.root.parent.parent, DLM_ID))
        assert busy.state == "alive"
        assert "this process" in busy.detail
    assert not (store.root / ".lock").exists()
    held(store).release()


def test_a_living_process_is_waited_for_and_never_robbed(home: Path, store: Store) -> None:
    with other_process(home) as (process, told):
        assert told == f"held {process.pid} 0\n"
        busy = refused(store)
        assert (busy.pid, busy.host, busy.state) == (process.pid, HOST, "alive")
        assert f"process {process.pid} on {HOST} since 20" in busy.detail
        assert store.holder() == busy
        assert store.unlock().startswith("the store stays locked: ")
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        held(store).release()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP")
def test_a_suspended_holder_is_alive(home: Path, store: Store) -> None:
    with other_process(home) as (process, _):
        process.send_signal(signal.SIGSTOP)
        assert refused(store).state == "alive"


def test_a_living_holder_of_ours_is_safe_from_a_jumping_clock(home: Path, store: Store) -> None:
    """After a jump forward its process seems to have started after it took the lock, as if the id were reused."""
    with other_process(home) as (process, _):
        path = store.root / ".lock"
        pid, host, since = path.read_text().splitlines()
        path.write_text(f"{pid}\n{host}\n{float(since) - 7200}\n")
        holder = store.holder()
        assert holder is not None
        assert holder.state == "dead"
        assert refused(store).state == "alive"
        assert "stays locked" in store.unlock()
        assert process.poll() is None


def test_a_killed_holder_is_recovered_and_said_so(home: Path, store: Store) -> None:
    with other_process(home) as (process, _):
        process.kill()
        process.wait()
        assert (store.root / ".lock").exists()
        with held(store) as lock:
            assert len(lock.notes) == 1
            assert f"process {process.pid} on this machine no longer exists" in lock.notes[0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no zombies")
def test_a_killed_holder_that_nobody_buried_is_dead(home: Path, store: Store) -> None:
    with other_process(home) as (process, _):
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
        assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
        with held(store) as lock:
            assert "has ended" in lock.notes[0]


def test_a_reused_process_id_is_no_holder(store: Store) -> None:
    write_lock(store, f"{os.getpid()}\n{HOST}\n{psutil.Process().create_time() - 60}\n")
    with held(store) as lock:
        assert "is another program, started later" in lock.notes[0]


def test_a_process_that_started_before_is_a_holder(store: Store) -> None:
    write_lock(store, f"{os.getppid()}\n{HOST}\n{time.time()}\n")
    assert refused(store).state == "alive"


def test_another_machine_is_never_robbed(store: Store) -> None:
    path = write_lock(store, f"{gone_pid()}\nelsewhere.example\n1770000000.5\n")
    busy = refused(store)
    assert (busy.state, busy.host, busy.since) == ("foreign", "elsewhere.example", 1770000000.5)
    assert "on elsewhere.example since 2026-02-02 02:40:00 UTC" in busy.detail
    assert str(path) in busy.detail
    assert "stays locked" in store.unlock()
    assert path.exists()


@pytest.mark.parametrize("text", ["", "12", "12\n", f"12\n{HOST}\n", f"12\n{HOST}\n177"])
def test_a_half_written_file_is_a_holder_while_it_is_young(store: Store, text: str) -> None:
    write_lock(store, text, age=0.0)
    assert refused(store).state == "unreadable"
    write_lock(store, text, age=60.0)
    with held(store) as lock:
        assert "half-written" in lock.notes[0]


def test_a_file_that_is_no_lock_file_is_left_alone(store: Store) -> None:
    path = write_lock(store, "dear diary\ntoday\nI wrote\na lock file\n")
    busy = refused(store)
    assert busy.state == "unreadable"
    assert f"{path} does not say who holds it; delete it" in busy.detail
    assert "stays locked" in store.unlock()
    assert path.read_text().startswith("dear diary")


def test_a_lock_file_that_cannot_be_read_is_told_and_left_alone(store: Store) -> None:
    path = store.root / ".lock"
    path.mkdir(parents=True)
    with pytest.raises(StoreError) as caught:
        store.try_lock()
    assert str(path) in str(caught.value)
    assert path.is_dir()
    path.rmdir()
    held(store).release()


def test_unlock_removes_a_dead_holders_lock(store: Store) -> None:
    pid = gone_pid()
    path = write_lock(store, f"{pid}\n{HOST}\n{time.time()}\n")
    assert store.unlock().startswith(f"unlocked the store: process {pid} on this machine no longer exists")
    assert not path.exists()
    assert store.unlock() == "the store is not locked"


def test_release_leaves_a_lock_that_is_not_ours(store: Store) -> None:
    lock = held(store)
    path = write_lock(store, f"1\n{HOST}\n{time.time()}\n")
    assert not lock.valid
    with pytest.raises(StoreError) as caught:
        lock.check()
    assert caught.value.code == "lock-lost"
    lock.release()
    assert path.exists()


def test_nothing_is_committed_without_the_lock(store: Store) -> None:
    run(store, 1)
    lock = held(store)
    (store.root / ".lock").unlink()
    for act in (lambda: store.commit(lock, a_commit(2)), lambda: store.recover(lock)):
        with pytest.raises(StoreError) as caught:
            act()
        assert caught.value.code == "lock-lost"
    lock.release()
    with pytest.raises(StoreError, match="removed or replaced"):
        store.commit(lock, a_commit(2))
    assert [version.number for version in store.versions()] == [1]


def test_a_lock_lost_during_the_commit_takes_the_version_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run(store, 1)
    real = disk.rename

    def rename(source: Path, target: Path, *, durable: bool = True) -> None:
        real(source, target, durable=durable)
        if target.name == "v0002":
            (store.root / ".lock").unlink()

    monkeypatch.setattr(disk, "rename", rename)
    with held(store) as lock, pytest.raises(StoreError, match="removed or replaced"):
        store.commit(lock, a_commit(2))
    assert [version.number for version in store.versions()] == [1]
    assert store.inspect().leftovers == ()


def test_many_processes_race_for_a_stale_lock(home: Path, store: Store) -> None:
    write_lock(store, f"{gone_pid()}\n{HOST}\n{time.time() - 60}\n")
    told = raced(home)
    assert told.count("took over") == 1, "only one of them recovers the stale lock"
    assert not (store.root / ".lock").exists()


def test_many_processes_race_where_creating_the_file_is_all_that_decides(home: Path, store: Store) -> None:
    assert raced(home, "bare") == ""
    assert not (store.root / ".lock").exists()


def raced(home: Path, *how: str) -> str:
    """Three processes take the lock twenty times each, and fail if two are inside; the notes of all."""
    command = [sys.executable, "-m", store_locker.__name__, "race", str(home), *how]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    told = [racer.communicate()[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    return "".join(told)


def test_where_the_system_has_no_locks_nothing_is_taken_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_try_system_lock", lambda descriptor: None)
    held(store).release()
    write_lock(store, f"{gone_pid()}\n{HOST}\n{time.time()}\n")
    busy = refused(store)
    assert busy.state == "dead"
    assert "no longer exists" in busy.detail
    assert "run Unlock" in busy.detail
    assert str(store.layout.lock) in busy.detail
    assert store.unlock().startswith("unlocked")
    assert isinstance(store.try_lock(), Held)


def test_a_full_disk_does_not_lock_the_store_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    held(store).release()

    def full(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:5])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "_write", full)
        with pytest.raises(StoreError) as caught:
            store.try_lock()
    assert caught.value.code == "disk-full"
    assert not (store.root / ".lock").exists()
    held(store).release()
