"""Notices that an open document's file changed without a save. It is said, and never trained by itself."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lsprotocol import types

from dlm_lsp.runs.clock import Clock, Timer
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.server.documents import Documents, OpenDocument, path_of
from dlm_lsp.store import Signature, signature

log = logging.getLogger(__name__)

CHANGED = "was changed on disk without a save here. Load it into the editor if need be, and save to train it."
GONE = "is no longer on disk. What it taught stays learned, and a save writes it anew."
NO_FILE = "is no file any more: something else stands in its place on disk."

# A file is written before the save is told, so that a watcher may be the first to tell (seconds).
_SETTLE = 0.3
# Requests come by the dozen; the file is looked at for the first of them only (seconds).
_LOOK_AGAIN = 1.0


@dataclass(slots=True)
class _Look:
    """The file when it was last looked at, and when that was (monotonic seconds)."""

    signature: Signature | None
    at: float


class DiskWatch:
    """Compares an open document's file with what was opened or saved last.

    Looks when the client tells that the file changed, and else when it asks for something about the document,
    as it does when the author comes back to it: not every client can watch files.
    """

    def __init__(self, supervisor: Supervisor, documents: Documents, clock: Clock) -> None:
        self._supervisor = supervisor
        self._documents = documents
        self._clock = clock
        self._looks: dict[Path, _Look] = {}
        self._timers: dict[Path, Timer] = {}

    def settled(self, path: Path) -> None:
        """The file is as the client has it, or has just been read: what comes after is a change."""
        self._looks[path] = _Look(signature(path), self._clock.monotonic())
        self._supervisor.on_disk(path, "")

    def closed(self, path: Path) -> None:
        self._looks.pop(path, None)
        if timer := self._timers.pop(path, None):
            timer.cancel()

    def told(self, changes: Iterable[types.FileEvent]) -> None:
        """The client's watcher saw these files change; a save of our own may be among them."""
        for path in {path_of(change.uri) for change in changes}:
            if path in self._looks and path not in self._timers:
                self._timers[path] = self._clock.call_later(_SETTLE, partial(self._settled_down, path))

    def glance(self, path: Path) -> None:
        """Looks if that was not done just now: one `stat` where nothing changed."""
        look = self._looks.get(path)
        if look is not None and self._clock.monotonic() - look.at >= _LOOK_AGAIN:
            self._look(path, look)

    def _settled_down(self, path: Path) -> None:
        self._timers.pop(path, None)
        if (look := self._looks.get(path)) is not None:
            self._look(path, look)

    def _look(self, path: Path, look: _Look) -> None:
        look.at = self._clock.monotonic()
        documents = self._documents.at(path)
        if any(document.reason is not None for document in documents):
            return  # a save was announced: this is it
        now = signature(path)
        if now != look.signature:
            look.signature = now
            difference = _difference(path, documents)
            self._supervisor.on_disk(path, f"{path.name} {difference}" if difference else "")


def _difference(path: Path, documents: list[OpenDocument]) -> str:
    """What became of the file, as a sentence without its subject; empty when it holds what was opened or saved."""
    try:
        content = _comparable(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        return GONE
    except (OSError, UnicodeDecodeError) as error:
        log.info("%s cannot be compared with its document: %s", path, type(error).__name__)
        return NO_FILE if path.exists() and not path.is_file() else CHANGED
    return "" if any(_comparable(document.saved) == content for document in documents) else CHANGED


def _comparable(text: str) -> str:
    """Editors differ in what they say of line ends, of the last one and of a byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip("\n")
