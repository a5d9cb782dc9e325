"""Splits a byte stream into the base protocol's frames, without any I/O (LSP 3.17, "Base Protocol")."""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_HEADER_BYTES = 16 * 1024
MAX_BODY_BYTES = 256 * 1024 * 1024

# Some clients end header lines with a bare LF; both are accepted, so that the stream can't get out of step.
_HEADER_END = re.compile(rb"\r?\n\r?\n")


class FramingError(Exception):
    """The stream holds no frame where one has to begin: nothing after this point can be understood."""


class FrameDecoder:
    """Collects chunks and gives back the bodies of complete frames, in order.

    Header names count in any letter case and order; `Content-Type` and unknown headers are ignored.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: int | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yields every body that is complete with `chunk`. Raises FramingError, and is of no use then."""
        self._buffer += chunk
        while True:
            if self._length is None and not self._take_header():
                return
            assert self._length is not None
            if len(self._buffer) < self._length:
                return
            body = bytes(self._buffer[: self._length])
            del self._buffer[: self._length]
            self._length = None
            yield body

    def _take_header(self) -> bool:
        end = _HEADER_END.search(self._buffer, 0, MAX_HEADER_BYTES)
        if end is None:
            if len(self._buffer) >= MAX_HEADER_BYTES:
                raise FramingError(f"no end of headers within {MAX_HEADER_BYTES} bytes")
            return False
        self._length = _content_length(bytes(self._buffer[: end.start()]))
        del self._buffer[: end.end()]
        return True


def _content_length(header: bytes) -> int:
    lengths = set()
    for line in header.splitlines():
        name, colon, value = line.partition(b":")
        if not colon:
            raise FramingError(f"a header line without a colon: {line[:40]!r}")
        if name.strip().lower() == b"content-length":
            lengths.add(value.strip())
    if len(lengths) != 1:
        raise FramingError("a frame needs exactly one Content-Length")
    text = lengths.pop()
    if not text.isdigit():
        raise FramingError(f"Content-Length is no count of bytes: {text[:40]!r}")
    if len(text) > 12 or int(text) > MAX_BODY_BYTES:
        raise FramingError(f"Content-Length is over {MAX_BODY_BYTES} bytes: {text[:40]!r}")
    return int(text)
