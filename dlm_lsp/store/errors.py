"""The one error of the store: a stable code and a sentence that says what, where and what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StoreError(Exception):
    """A store operation could not be done, and nothing that was committed was lost.

    `code` is one of: `disk-full`, `read-only`, `no-permission`, `disk-error`, `bad-id`, `bad-commit`,
    `weights-not-finite`, `lock-lost`, `store-busy`, `store-gone`, `cannot-revert`, `manifest-corrupt`,
    `manifest-newer`.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextmanager
def reported(doing: str, where: Path) -> Iterator[None]:
    """Turns an OSError of the block into a StoreError: `doing` is a verb phrase such as "write version 7"."""
    try:
        yield
    except OSError as error:
        raise _translated(error, doing, where) from error


def _translated(error: OSError, doing: str, where: Path) -> StoreError:
    place = error.filename or where
    if error.errno in _FULL:
        advice, code = "the disk is full; free some space and save again", "disk-full"
    elif error.errno == errno.EROFS:
        advice, code = "the file system is read-only; make it writable or set another dlm home", "read-only"
    elif isinstance(error, PermissionError):
        advice, code = "permission denied; check the owner and rights of the store", "no-permission"
    elif isinstance(error, FileNotFoundError):
        advice, code = "it is gone; bring the store back and save again", "store-gone"
    else:
        what = error.strerror or type(error).__name__
        advice, code = f"{what}; see to the disk, then save again", "disk-error"
    return StoreError(f"cannot {doing} ({place}): {advice}", code)
