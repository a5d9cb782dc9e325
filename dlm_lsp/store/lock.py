"""The store's lock: the original's `.lock` file, which other tools see, and the system's lock behind it.

`.lock` says who holds the store, but a file outlives its process. So every holder of ours also keeps the
operating system's lock on `lsp/lock`, which ends with the process, and only who has that one may remove a
dead holder's `.lock`: two processes that find the same stale file cannot both win, and a living holder of
ours is never taken for dead, whatever the clock or the process ids do.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psutil

from dlm_lsp.store import disk
from dlm_lsp.store.errors import StoreError, reported
from dlm_lsp.store.paths import Layout
from dlm_lsp.store.times import readable

HolderState = Literal["alive", "dead", "foreign", "unreadable"]

LOCK_MODE = 0o644
BEING_WRITTEN_SECONDS = 10.0  # a younger lock file without content belongs to a process just writing it
START_TOLERANCE_SECONDS = 3.0  # the system gives a process's start in whole seconds, give or take one

# Without the system's lock two processes that find the same dead holder could both take over from it.
_NO_SYSTEM_LOCKS = "this file system has no system locks, so that nothing is taken over by itself: run Unlock,"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the store instead of us. `since` in seconds since the epoch; `detail` is one sentence.

    `dead`: its process is gone, so that the next run takes over where the file system has system locks.
    `foreign`: on another machine, where nobody here can see whether it lives. `unreadable`: the file names nobody.
    """

    pid: int | None
    host: str
    since: float | None
    state: HolderState
    detail: str


# What this process wrote into lock files that it could not remove. They name a living process, so that nobody would
# ever take them over; whoever is alone on the system's lock knows better.
_left_behind: set[bytes] = set()


class Held:
    """The store is ours until `release` (or the end of the `with` block). `notes`: what was recovered."""

    def __init__(self, layout: Layout, content: bytes, keep: ExitStack, notes: tuple[str, ...]) -> None:
        self.layout = layout
        self.notes = notes
        self._content = content
        self._keep = keep
        self._open = True

    @property
    def valid(self) -> bool:
        """Whether the lock file is still the one we wrote."""
        return self._open and disk.read(self.layout.lock) == self._content

    def check(self) -> None:
        """Raises StoreError `lock-lost` when someone removed or replaced our lock file."""
        with reported("read the store's lock", self.layout.lock):
            valid = self.valid
        if not valid and not disk.is_folder(self.layout.root):
            raise StoreError(
                f"the store {self.layout.root} was moved or deleted during the run; nothing was committed. "
                "Bring it back and save again, or run Train Now to begin anew.",
                "store-gone",
            )
        if not valid:
            raise StoreError(
                f"the lock file {self.layout.lock} was removed or replaced by someone else during the run; "
                "nothing was committed, save again",
                "lock-lost",
            )

    def release(self) -> None:
        """Gives the store back: removes the lock file if it is still ours. May be repeated; never raises.

        A file that cannot be removed now (a disk gone read-only, a store moved away) is taken over by our next run, or
        by anybody once this process is gone.
        """
        if not self._open:
            return
        removed = False
        try:
            with suppress(OSError):
                removed = self.valid and disk.remove(self.layout.lock)
            if not removed:
                _left_behind.add(self._content)
        finally:
            self._open = False
            self._keep.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def try_acquire(layout: Layout, clock: Callable[[], float] = time.time) -> Held | Holder:
    """Takes the store's lock at once, or says who holds it; never waits. A dead holder's lock is taken over.

    Raises StoreError when the store's folder cannot be written.
    """
    with reported("lock the store", layout.lock), ExitStack() as keep:
        disk.make_folders(layout.ours)
        alone = keep.enter_context(disk.exclusive(layout.system_lock))
        if alone is False:
            return _someone_of_ours(layout, clock)
        notes: tuple[str, ...] = ()
        content = f"{os.getpid()}\n{socket.gethostname()}\n{clock()}\n".encode()
        if not _create(layout.lock, content):
            found = holder(layout, clock)
            if disk.read(layout.lock) in _left_behind:
                disk.remove(layout.lock)
            elif found is not None:
                if found.state != "dead":
                    return found
                if alone is None:
                    return replace(found, detail=f"{found.detail}; {_NO_SYSTEM_LOCKS} or delete {layout.lock}")
                disk.remove(layout.lock)
                notes = (f"took over the store's lock: {found.detail}",)
            if not _create(layout.lock, content):  # another tool was quicker
                return holder(layout, clock) or _just_being_taken()
        return Held(layout, content, keep.pop_all(), notes)


def holder(layout: Layout, clock: Callable[[], float] = time.time) -> Holder | None:
    """Who holds the store by what the lock file says, or None. Only reads."""
    found = disk.facts(layout.lock)
    data = disk.read(layout.lock)
    if found is None or data is None:
        return None
    named = _parsed(data)
    if named is None:
        return _unnamed(layout.lock, data, found.st_mtime, clock())
    pid, host, since = named
    if host.casefold() != socket.gethostname().casefold():
        return Holder(
            pid, host, since, "foreign",
            f"held by process {pid} on {host} since {readable(since)}; "
            f"if that machine no longer works on it, delete {layout.lock}",
        )  # fmt: skip
    gone = _why_gone(pid, since)
    if gone is not None:
        return Holder(pid, host, since, "dead", f"{gone} (it took the lock at {readable(since)})")
    who = "this process" if pid == os.getpid() else f"process {pid}"
    return Holder(pid, host, since, "alive", f"held by {who} on {host} since {readable(since)}")


def unlock(layout: Layout, clock: Callable[[], float] = time.time) -> str:
    """For the author's command: removes the lock of a dead holder only. Says what it did, or why not."""
    if disk.facts(layout.lock) is None:
        return "the store is not locked"
    with reported("unlock the store", layout.lock), ExitStack() as keep:
        disk.make_folders(layout.ours)
        alone = keep.enter_context(disk.exclusive(layout.system_lock))
        found = _someone_of_ours(layout, clock) if alone is False else holder(layout, clock)
        if found is None:
            return "the store is not locked"
        if found.state != "dead":
            return f"the store stays locked: {found.detail}"
        disk.remove(layout.lock)
        return f"unlocked the store: {found.detail}"


def _create(path: Path, content: bytes) -> bool:
    try:
        disk.create(path, content, LOCK_MODE, durable=False)
    except FileExistsError:
        return False
    except OSError:
        with suppress(OSError):  # a file that we created and could not fill would lock us out
            if (disk.read(path) or b"") != content and content.startswith(disk.read(path) or b""):
                disk.remove(path)
        raise
    return True


def _parsed(data: bytes) -> tuple[int, str, float] | None:
    lines = data.decode("utf-8", "replace").split("\n")
    if len(lines) < 4:  # each of the three lines is ended, so a torn write is seen
        lines = lines if len(lines) == 3 and "." in lines[2] else []
    try:
        pid, host, since = int(lines[0]), lines[1].strip(), float(lines[2])
    except (IndexError, ValueError):
        return None
    if pid <= 0 or not host or not 0 <= since < float("inf"):
        return None
    return pid, "".join(letter for letter in host if letter.isprintable())[:255], since


def _unnamed(path: Path, data: bytes, modified: float, now: float) -> Holder:
    """A lock file without holder: just being written, left by a crash in that instant, or something else."""
    if abs(now - modified) < BEING_WRITTEN_SECONDS:
        return Holder(None, "", modified, "unreadable", "another process is just taking the store's lock")
    if data.count(b"\n") < 3 and len(data) < 512:
        return Holder(
            None, "", modified, "dead",
            f"the lock file was left half-written at {readable(modified)}, and nobody is writing it any more",
        )  # fmt: skip
    return Holder(
        None, "", modified, "unreadable",
        f"the lock file {path} does not say who holds it; delete it if no program works on this store",
    )  # fmt: skip


def _why_gone(pid: int, since: float) -> str | None:
    """Why the process that wrote the lock no longer runs on this machine, or None when it may."""
    try:
        process = psutil.Process(pid)
        started = process.create_time()
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return f"process {pid} on this machine has ended"
    except psutil.NoSuchProcess:
        return f"process {pid} on this machine no longer exists"
    except (psutil.Error, OSError):  # it exists, and belongs to someone else
        return None
    if started > since + START_TOLERANCE_SECONDS:
        return f"process {pid} on this machine is another program, started later"
    return None


def _someone_of_ours(layout: Layout, clock: Callable[[], float]) -> Holder:
    """The holder while a living process keeps the system's lock, however dead its lock file looks."""
    found = holder(layout, clock)
    if found is None or found.pid is None:
        return _just_being_taken()
    if found.state == "dead":
        since = "" if found.since is None else f" since {readable(found.since)}"
        return replace(found, state="alive", detail=f"held by a running process on this machine{since}")
    return found


def _just_being_taken() -> Holder:
    detail = "another process on this machine is just taking or leaving the store"
    return Holder(None, socket.gethostname(), None, "alive", detail)
