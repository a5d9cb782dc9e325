"""The questions of earlier sessions: a file of the author's alone, which stays small."""

from __future__ import annotations

import os
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from dlm_lsp.store import read_regular

_LIMIT = 2**20  # bytes; beyond it the older half goes
_ENTRY = b"\n# "  # how the library begins an entry: a blank line and the moment in a comment


def history(path: Path) -> History:
    """That of the file at `path`; one that lasts as long as the session where there can be no such file."""
    try:
        _prepare(path)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


def _prepare(path: Path) -> None:
    """Raises OSError for what is no regular file, or cannot be written."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o600))
    content = read_regular(path, 64 * _LIMIT)
    if len(content) > _LIMIT:
        begin = content.find(_ENTRY, len(content) - _LIMIT // 2)
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content[begin:] if begin >= 0 else b"")
        fresh.replace(path)
