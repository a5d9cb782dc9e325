"""Where the servers that have a document can be listened to: one file each in `<store>/lsp/live/` names a socket.

The socket is in a short folder of the user's alone: its path has room for about a hundred bytes, and a socket among a
store's files would break what copies or packs them. What the dead left behind goes when another one comes. There are no
such sockets on Windows.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket

from dlm_lsp.store import disk
from dlm_lsp.store.paths import Layout

SUPPORTED = sys.platform != "win32"
MOST = 64  # servers of one document that are looked at
_LONGEST = 100  # bytes; Linux has room for 107, macOS for 103
_POINTER = ".at"


@dataclass(frozen=True, slots=True)
class Door:
    """A socket that listens, and what has to go with it."""

    listening: socket
    path: Path
    names: tuple[Path, ...]

    def close(self) -> None:
        self.listening.close()
        for name in self.names:
            with suppress(OSError):
                disk.remove(name)


def open_door(layout: Layout) -> Door | None:
    """A socket for the document; None where the store does not exist. Raises OSError. Sweeps what the dead left."""
    if not disk.is_folder(layout.ours):
        return None
    disk.make_folders(layout.live)
    for name, path in _named(layout):
        if not _ours(path) or not disk.anybody(path):
            with suppress(OSError):
                disk.remove(layout.live / name)
                if _ours(path):
                    disk.remove(path)
    name = secrets.token_hex(4)
    path = _short_folder() / f"{name}.sock"
    listening = disk.listen(path)
    pointer = layout.live / f"{name}{_POINTER}"
    try:
        disk.create(pointer, os.fsencode(path), durable=False)
    except OSError:
        Door(listening, path, (path,)).close()
        raise
    return Door(listening, path, (path, pointer))


def doors(layout: Layout) -> dict[str, Path]:
    """The sockets of all servers that have the document, and of some that had it, by their names."""
    if not SUPPORTED:
        return {}
    return {name: path for name, path in _named(layout) if _ours(path)}


def _named(layout: Layout) -> list[tuple[str, Path]]:
    found = []
    for name in disk.names(layout.live)[:MOST]:
        if name.endswith(_POINTER):
            with suppress(OSError):
                at = disk.read(layout.live / name) or b""
                if at.startswith(b"/") and len(at) <= _LONGEST and b"\0" not in at:
                    found.append((name, Path(os.fsdecode(at))))
    return found


def _ours(path: Path) -> bool:
    """Whether a socket of this user's is at `path`."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISSOCK(found.st_mode) and found.st_uid == os.getuid()


def _short_folder() -> Path:
    """A folder of this user's alone, with a short path. Raises PermissionError when somebody else has its name."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    for root in (base, tempfile.gettempdir(), "/tmp"):
        if not root or not Path(root).is_absolute():
            continue
        folder = Path(root) / f"dlm-lsp-{os.getuid()}"
        if len(os.fsencode(folder)) + 14 > _LONGEST:
            continue
        with suppress(OSError):
            disk.make_folders(folder)
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077:
                return folder
    raise PermissionError(f"there is no short folder of this user's alone for a socket, such as in {base or '/tmp'}")
