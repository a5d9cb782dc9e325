"""The server as installed, in a process that watches itself: it writes down whatever would run code, reach out, or
write elsewhere than into the store. `DLM_WATCH` names the file for that, the environment's `DLM_HOME` the store.

A Unix domain socket in the store, or in the folder of this user's alone that stands in for it where its path is too
long, reaches nobody but this user's own processes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

MARK = "DLM_PWNED"
"""Stands in every payload: code that is compiled or run from one is known by it."""

_RUNS_OR_REACHES = (
    "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request",
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile",
    "pty.spawn", "pickle.find_class", "webbrowser.open", "ftplib.connect", "smtplib.connect",
    "http.client.connect",
)  # fmt: skip
_COMPILES = ("compile", "exec", "import")
_CHANGES = (
    "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.chown", "os.truncate",
    "os.utime",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def watch() -> None:
    log = os.open(os.environ["DLM_WATCH"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    home = os.path.realpath(os.environ["DLM_HOME"])
    inside = home + os.sep
    roots = {os.path.realpath(root) for root in (tempfile.gettempdir(), "/tmp")}
    doors = tuple(os.path.join(root, f"dlm-lsp-{os.getuid()}") for root in roots)  # noqa: PTH118

    def elsewhere(path: object) -> bool:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str | os.PathLike):
            return False  # a file descriptor: its opening was seen
        real = os.path.abspath(path)  # noqa: PTH100 - `resolve` would look at the disk, and so call this again
        within = (inside, *(door + os.sep for door in doors))
        return real not in (home, os.devnull, *doors) and not real.startswith(within)

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = args
            wanted = isinstance(flags, int) and flags & _WRITING and elsewhere(path)
        elif event in ("socket.bind", "socket.connect") and isinstance(args[1], str | bytes):
            wanted = elsewhere(args[1])
        elif event in _RUNS_OR_REACHES:
            wanted = True
        elif event in _CHANGES:
            wanted = any(elsewhere(each) for each in args if isinstance(each, str | bytes | os.PathLike))
        else:
            wanted = event in _COMPILES and MARK in repr(args)
        if wanted:
            os.write(log, f"{event} {args!r}\n".encode(errors="backslashreplace")[:500].rstrip(b"\n") + b"\n")

    sys.addaudithook(hook)


if __name__ == "__main__":
    watch()
    from dlm_lsp.server import serve_stdio

    sys.exit(serve_stdio())
