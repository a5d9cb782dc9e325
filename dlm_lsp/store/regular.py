"""Reading files that anybody may have put there: regular ones only, without waiting, and never more than is asked for.

A pipe would wait for a writer, a device could give bytes for ever or act on being opened, and between a look at a name
and its opening the file behind it can be another one.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

# Where the system lacks one of these, what it protects from does not exist there or is looked for afterwards.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY", "O_BINARY"))
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0)
_CHUNK = 1 << 20
MOST = sys.maxsize - 1  # bytes: no limit

Signature = tuple[int, int, int]
"""What tells one state of a file from another: when it was written, its size, and which file it is."""


def signature(path: Path) -> Signature | None:
    """That of a file as it is now; None where there is none, or it cannot be looked at."""
    try:
        return signature_of(path.stat())
    except OSError:
        return None


def signature_of(found: os.stat_result) -> Signature:
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_regular(path: Path, limit: int = MOST) -> bytes:
    """The bytes of a regular file; links are followed. Raises OSError: `EFBIG` for one of more than `limit` bytes."""
    _check(path.stat().st_mode, path)
    descriptor = os.open(path, _FLAGS)
    try:
        return _read(descriptor, limit, path)
    finally:
        os.close(descriptor)


def read_start(path: Path, count: int) -> bytes:
    """The first `count` bytes of a regular file, fewer if it is shorter; links are followed. Raises OSError."""
    _check(path.stat().st_mode, path)
    descriptor = os.open(path, _FLAGS)
    try:
        return _read_some(descriptor, count, path)
    finally:
        os.close(descriptor)


def read_beneath(path: Path, fence: Path | None, limit: int) -> bytes:
    """The same for a path as `Path.resolve` gives it, without links and `..`: what became a link since is refused.

    With `fence`, a folder that `path` lies in, every folder on the way down from it is held open, so that none of them
    can be replaced by a link to somewhere else. Raises OSError.
    """
    _check(path.lstat().st_mode, path)
    if fence is None or os.open not in os.supports_dir_fd:
        descriptor = os.open(path, _FLAGS | _NO_LINK)
    else:
        descriptor = _descend(fence, path.relative_to(fence).parts)
    try:
        return _read(descriptor, limit, path)
    finally:
        os.close(descriptor)


def _descend(fence: Path, names: tuple[str, ...]) -> int:
    descriptor = os.open(fence, _FLAGS | _FOLDER | _NO_LINK)
    for depth, name in enumerate(names, 1):
        flags = _FLAGS | _NO_LINK | (_FOLDER if depth < len(names) else 0)
        try:
            below = os.open(name, flags, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def _read(descriptor: int, limit: int, path: Path) -> bytes:
    data = _read_some(descriptor, limit + 1, path)
    if len(data) > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data


def _read_some(descriptor: int, count: int, path: Path) -> bytes:
    found = os.fstat(descriptor)
    _check(found.st_mode, path)
    data = bytearray()
    # A size of 0 means no text; in the kernel's file systems reading on could take for ever.
    while found.st_size and len(data) < count:
        chunk = os.read(descriptor, min(_CHUNK, count - len(data)))
        if not chunk:
            break
        data += chunk
    return bytes(data)


def _check(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
