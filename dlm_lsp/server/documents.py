"""The texts that are open in the client, exactly as it holds them, and which file each of them is."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from lsprotocol import types

from dlm_lsp.document.text import PositionEncoding
from dlm_lsp.runs.reasons import SaveReason
from dlm_lsp.server.convert import Positions

log = logging.getLogger(__name__)

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_REASONS = {
    types.TextDocumentSaveReason.Manual: SaveReason.MANUAL,
    types.TextDocumentSaveReason.AfterDelay: SaveReason.AFTER_DELAY,
    types.TextDocumentSaveReason.FocusOut: SaveReason.FOCUS_OUT,
}


def path_of(uri: str) -> Path | None:
    """The canonical path of a `file:` URI, the same for every spelling and link; None for any other.

    The quoted bytes are the file system's own, whatever this process's locale. A file on another host is a path
    on Windows only.
    """
    try:
        parts = urlsplit(uri)
        if parts.scheme != "file" or not parts.path.startswith("/"):
            return None
        name = os.fsdecode(unquote_to_bytes(parts.path))
        host = "" if parts.netloc.lower() == "localhost" else parts.netloc
        if sys.platform == "win32":
            name = f"//{host}{name}" if host else name.lstrip("/")
        elif host:
            return None
        return Path(os.path.normcase(os.path.realpath(name)))
    except ValueError as error:  # such as a NUL in the path
        log.info("not a path: %s", error)
        return None


@dataclass(frozen=True)
class Text:
    """One state of an open document: its exact text and the version the client gave it."""

    text: str
    version: int | None
    encoding: PositionEncoding

    @cached_property
    def positions(self) -> Positions:
        return Positions(self.text, self.encoding)

    def edited(self, start: int, end: int, insert: str, version: int | None) -> Text:
        """The text with `insert` in place of the characters from `start` to `end`. Its lines need no search."""
        positions = self.positions.edited(start, end, insert)
        text = Text(positions.text, version, self.encoding)
        text.__dict__["positions"] = positions  # where `cached_property` keeps it
        return text


@dataclass
class OpenDocument:
    """A document of the client.

    `now` is what the client holds, `seen` what the supervisor was last given, `saved` what was opened or saved last.
    """

    uri: str
    path: Path | None
    now: Text
    seen: Text
    saved: str
    dirty: bool = False  # changed since it was opened or saved
    reason: SaveReason | None = None  # of the save that was announced


class Documents:
    """Every open document by its URI. Text changes follow the protocol's rules for lines, not Python's.

    Lines end at LF, CRLF and CR only, and positions count in the negotiated encoding, so that the text here
    equals the client's after each change (LSP 3.17, "Text Documents").
    """

    def __init__(self) -> None:
        self.encoding: PositionEncoding = "utf-16"
        self._by_uri: dict[str, OpenDocument] = {}
        self._active: str | None = None

    def __iter__(self) -> Iterator[OpenDocument]:
        return iter(tuple(self._by_uri.values()))

    def get(self, uri: str) -> OpenDocument | None:
        return self._by_uri.get(uri)

    def at(self, path: Path) -> list[OpenDocument]:
        """The open documents that are this file: more than one if it is open under several URIs."""
        return [document for document in self._by_uri.values() if document.path == path]

    @property
    def active(self) -> OpenDocument | None:
        """The document that was opened, changed or saved last, and is still open."""
        return self._by_uri.get(self._active) if self._active else None

    def open(self, uri: str, text: str, version: int | None) -> OpenDocument:
        now = Text(_sound(text), version, self.encoding)
        document = OpenDocument(uri, path_of(uri), now, now, now.text)
        self._by_uri[uri] = document
        self._active = uri
        return document

    def change(
        self, uri: str, version: int | None, changes: Sequence[types.TextDocumentContentChangeEvent]
    ) -> OpenDocument | None:
        """Applies `changes` in order, each to the outcome of the one before; None if it isn't open."""
        document = self._by_uri.get(uri)
        if document is None:
            log.info("a change of a document that is not open is dropped: %s", uri)
            return None
        for change in changes:
            now, insert = document.now, _sound(change.text)
            if isinstance(change, types.TextDocumentContentChangePartial):
                # The ends in either order, as the editors' own implementation of text documents takes them.
                start, end = sorted(map(now.positions.offset, (change.range.start, change.range.end)))
                document.now = now.edited(start, end, insert, version)
            else:
                document.now = Text(insert, version, self.encoding)
        if not changes:
            document.now = replace(document.now, version=version)
        document.dirty = True
        self._active = uri
        return document

    def will_save(self, uri: str, reason: types.TextDocumentSaveReason) -> None:
        """Remembers why the save that comes next is made: `didSave` itself does not say."""
        if document := self._by_uri.get(uri):
            document.reason = _REASONS.get(reason, SaveReason.MANUAL)

    def save(self, uri: str, text: str | None) -> tuple[OpenDocument, SaveReason] | None:
        """The saved document and why it was saved; None if it isn't open. `text`, if sent, is the truth."""
        document = self._by_uri.get(uri)
        if document is None:
            log.info("a save of a document that is not open is dropped: %s", uri)
            return None
        if text is not None and (sound := _sound(text)) != document.now.text:
            log.warning("the saved text differs from what the client's changes made; it replaces it: %s", uri)
            document.now = Text(sound, document.now.version, self.encoding)
        reason, document.reason = document.reason or SaveReason.MANUAL, None
        document.dirty, document.saved = False, document.now.text
        document.path = path_of(uri)  # an editor may have put a file in a link's place
        self._active = uri
        return document, reason

    def close(self, uri: str) -> OpenDocument | None:
        return self._by_uri.pop(uri, None)


def _sound(text: str) -> str:
    """`text` without lone surrogates, which JSON can carry and no file can; code units keep their number."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)
