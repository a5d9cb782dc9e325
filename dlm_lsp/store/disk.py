"""The store's one door to the disk: atomic, durable writes and renames. No other module here opens a file.

A write is durable when the function returns: the content is flushed to the device, then the name, then the
folder that holds the name. The small `_` functions at the end are the only system calls that change anything,
so that faults can be injected under everything above them.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
import stat as stat_bits
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import TypeVar

from dlm_lsp.store.regular import MOST, Signature, read_regular, signature_of

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

OWNER_FILE = 0o600
OWNER_FOLDER = 0o700
AT_ONCE = 8

T = TypeVar("T")

_TEMPORARY = re.compile(r"^\..+\.[0-9a-f]{12}\.lsp-tmp$")


def is_temporary(name: str) -> bool:
    """Whether `name` is one that only `temporary` makes: nothing committed ever has it."""
    return _TEMPORARY.match(name) is not None


def temporary(beside: Path) -> Path:
    """A fresh hidden name in the folder of `beside`, recognised by `is_temporary`."""
    return beside.with_name(f".{beside.name}.{secrets.token_hex(6)}.lsp-tmp")


# --- reading ------------------------------------------------------------------------------------------------


def read(path: Path, limit: int = MOST) -> bytes | None:
    """The bytes of a file, or None when there is no such file. Raises OSError for a pipe, a device, a longer file."""
    try:
        return read_regular(path, limit)
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_text(path: Path) -> str | None:
    """The UTF-8 text of a file, undecodable bytes replaced, or None when there is no such file."""
    data = read(path)
    return None if data is None else data.decode("utf-8", "replace")


def facts(path: Path) -> os.stat_result | None:
    """What the file system knows of `path` (links followed), or None when there is nothing."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def signature(path: Path) -> Signature | None:
    """That of a file as it is now, None when there is none. Raises OSError where it cannot be looked at."""
    found = facts(path)
    return None if found is None else signature_of(found)


def is_folder(path: Path) -> bool:
    found = facts(path)
    return found is not None and stat_bits.S_ISDIR(found.st_mode)


def is_regular(found: os.stat_result) -> bool:
    return stat_bits.S_ISREG(found.st_mode)


def names(path: Path) -> list[str]:
    """The sorted names in a folder; empty when there is no such folder."""
    try:
        return sorted(os.listdir(path))  # noqa: PTH208 - names are wanted, not paths
    except (FileNotFoundError, NotADirectoryError):
        return []


# --- changing -----------------------------------------------------------------------------------------------


def make_folders(path: Path) -> None:
    """Creates `path` and its missing parents, readable by their owner only."""
    if is_folder(path):
        return
    if path.parent != path:
        make_folders(path.parent)
    with suppress(FileExistsError):
        _mkdir(path)
        _sync_folder(path.parent)


def write(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replaces `path` by `data` whole or not at all. A file that existed keeps its permission bits.

    Without `durable` a power cut (not a killed process) may lose it: for what can be done without.
    """
    found = facts(path)
    mode = OWNER_FILE if found is None else stat_bits.S_IMODE(found.st_mode)
    beside = temporary(path)
    try:
        create(beside, data, mode, durable=durable)
        _replace(beside, path)
    except OSError:
        with suppress(OSError):
            _unlink(beside)
        raise
    if durable:
        _sync_folder(path.parent)


def create(path: Path, data: bytes, mode: int = OWNER_FILE, *, durable: bool = True) -> None:
    """Creates a file that must not exist yet (FileExistsError); with `durable`, its content is flushed."""
    descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with _naming(path):
            _write(descriptor, data)
            if durable:
                _sync(descriptor)
    finally:
        os.close(descriptor)


def make_new_folder(path: Path) -> None:
    """Creates a folder that must not exist yet (FileExistsError). Not durable: a rename of it is."""
    _mkdir(path)


def write_all(
    replaced: Mapping[Path, bytes], *, created: Mapping[Path, bytes] | None = None, flushed: Sequence[Path] = ()
) -> list[Signature]:
    """Creates the files `created`, and replaces those in `replaced` whole or not at all, in their order; all durable.

    Before any of `replaced` gets its name all are flushed, and the files `flushed` with them, at the same time: a
    journaling file system does that in about the time of one. Returns the signatures of `replaced`.
    """
    beside = {temporary(path): path for path in replaced}
    new = {**(created or {}), **{name: replaced[path] for name, path in beside.items()}}
    try:
        signatures: dict[Path, Signature] = {}
        with ExitStack() as opened:
            descriptors = []
            for path, data in new.items():
                found = facts(beside[path]) if path in beside else None
                mode = OWNER_FILE if found is None else stat_bits.S_IMODE(found.st_mode)
                descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
                opened.callback(os.close, descriptor)
                with _naming(path):
                    _write(descriptor, data)
                descriptors.append((path, descriptor))
                signatures[path] = signature_of(os.fstat(descriptor))
            for path in flushed:
                descriptor = _open(path, os.O_WRONLY, OWNER_FILE)
                opened.callback(os.close, descriptor)
                descriptors.append((path, descriptor))
            _at_once(_flush, descriptors)
        for name, path in beside.items():
            _replace(name, path)
    except OSError:
        for name in beside:
            with suppress(OSError):
                _unlink(name)
        raise
    _at_once(_sync_folder, sorted({path.parent for path in (*new, *flushed)}))
    return [signatures[name] for name in beside]


def _flush(opened: tuple[Path, int]) -> None:
    path, descriptor = opened
    with _naming(path):
        _sync(descriptor)


def _at_once(work: Callable[[T], object], items: Sequence[T]) -> None:
    """Does `work`, which waits for the device, on all `items` at the same time. Raises what one of them raised."""
    if len(items) < 2:
        for item in items:
            work(item)
        return
    done = [_waiters().submit(work, item) for item in items]
    wait(done)
    for each in done:
        each.result()


def exercise() -> None:
    """Starts the threads that wait for the device, as far as they are free."""
    together = Barrier(AT_ONCE, timeout=0.1)
    with suppress(BrokenBarrierError):
        _at_once(lambda each: each.wait(), [together] * AT_ONCE)


@cache
def _waiters() -> ThreadPoolExecutor:
    """Threads that wait for the device, kept: starting them takes as long as what they wait for."""
    return ThreadPoolExecutor(AT_ONCE, "dlm-disk")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_waiters.cache_clear)  # a child has none of its parent's threads


def append(path: Path, data: bytes, *, durable: bool = True) -> int:
    """Adds `data` at the end of a file (created when missing). Returns the offset where it begins.

    On an error the file is cut back to its old length; where that fails too, dead bytes stay at its end.
    """
    new = facts(path) is None
    descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, OWNER_FILE)
    try:
        start = os.lseek(descriptor, 0, os.SEEK_END)
        try:
            with _naming(path):
                _write(descriptor, data)
                if durable:
                    _sync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, start)
            raise
    finally:
        os.close(descriptor)
    if new and durable:
        _sync_folder(path.parent)
    return start


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """The system does not say which file a descriptor's error is about; the author is to be told."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def replace(source: Path, target: Path) -> None:
    """Gives a durable file the name `target` in the same folder, durably. A file that had it leaves its rights."""
    if (found := facts(target)) is not None and stat_bits.S_IMODE(found.st_mode) != OWNER_FILE:
        source.chmod(stat_bits.S_IMODE(found.st_mode))
    _replace(source, target)
    _sync_folder(target.parent)


def rename(source: Path, target: Path, *, durable: bool = True) -> None:
    """Gives a file or folder another name on the same disk, durably. Never replaces (FileExistsError)."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "already exists", str(target))
    _replace(source, target)
    if not durable:
        return
    _sync_folder(target.parent)
    if source.parent != target.parent:
        _sync_folder(source.parent)


def remove(path: Path) -> bool:
    """Removes a file; False when there was none."""
    try:
        _unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def remove_all(paths: Sequence[Path]) -> None:
    """Removes files, at the same time; those that are not there are passed over."""
    _at_once(_removed, paths)


def _removed(path: Path) -> None:
    remove(path)


def discard(path: Path, *, durable: bool = True) -> None:
    """Removes a file or a folder. A folder first gets a temporary name, so that half of it is never seen.

    Without `durable` a power cut (not a killed process) may leave some of it.
    """
    if path.is_symlink() or not is_folder(path):
        remove(path)
        return
    doomed = path
    if not is_temporary(path.name):
        doomed = temporary(path)
        rename(path, doomed, durable=durable)
    _remove_tree(doomed)


def _remove_tree(path: Path) -> None:
    files = []
    for name in names(path):
        child = path / name
        if is_folder(child) and not child.is_symlink():
            _remove_tree(child)
        else:
            files.append(child)
    _at_once(_unlink, files)
    _rmdir(path)


def set_aside(path: Path, why: str, when: str) -> Path:
    """Renames something that cannot be judged to `<name>.<why>-<when>` beside it. Returns the new path."""
    target = _free_name(path, why, when)
    rename(path, target)
    return target


def keep_copy(path: Path, data: bytes, why: str, when: str) -> Path:
    """Writes `data`, which `path` held so far, to `<name>.<why>-<when>` beside it. Returns that path."""
    target = _free_name(path, why, when)
    write(target, data)
    return target


def _free_name(path: Path, why: str, when: str) -> Path:
    for count in range(1000):
        target = path.with_name(f"{path.name}.{why}-{when}" + (f"-{count}" if count else ""))
        if not os.path.lexists(target):
            return target
    raise FileExistsError(errno.EEXIST, "too many files set aside", str(path))


@contextmanager
def exclusive(path: Path) -> Iterator[bool | None]:
    """Holds the operating system's lock on the file `path` (created, empty, never removed) during the block.

    Yields True when it is held, False when someone else holds it, None when this file system has no such
    locks. Never waits. The system itself releases it when the process ends, however it ends.
    """
    descriptor = _open(path, os.O_RDWR | os.O_CREAT, OWNER_FILE)
    try:
        yield _try_system_lock(descriptor)
    finally:
        os.close(descriptor)  # closing releases


def _try_system_lock(descriptor: int) -> bool | None:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def listen(path: Path) -> socket.socket:
    """A socket that listens at `path`, which only its owner may connect to. Raises OSError: too long, or taken."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(OSError):  # Linux makes the name with these bits; elsewhere its folder protects it until chmod
            os.fchmod(listening.fileno(), OWNER_FILE)
        listening.bind(os.fspath(path))
        path.chmod(OWNER_FILE)
        listening.listen()
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def anybody(path: Path) -> bool:
    """Whether a living process listens at `path`. Never waits."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trying:
        trying.setblocking(False)
        try:
            trying.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # it is busy, or not ours to judge
    return True


# --- the system calls that change something -----------------------------------------------------------------


def _open(path: Path, flags: int, mode: int) -> int:
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), mode)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync(descriptor: int) -> None:
    full = None if sys.platform == "win32" else getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:  # macOS: fsync alone leaves the data in the drive's cache
        with suppress(OSError):
            fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)


def _sync_folder(path: Path) -> None:
    if sys.platform == "win32":  # a folder cannot be opened there; NTFS journals names itself
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _mkdir(path: Path) -> None:
    path.mkdir(mode=OWNER_FOLDER)


def _replace(source: Path, target: Path) -> None:
    os.replace(source, target)  # noqa: PTH105 - one spelling for files and folders


def _unlink(path: Path) -> None:
    path.unlink()


def _rmdir(path: Path) -> None:
    path.rmdir()
