"""Bytes in and out without blocking the event loop: one small thread for each direction."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, Protocol

log = logging.getLogger(__name__)

_CHUNK = 64 * 1024


class Sink(Protocol):
    """Where encoded messages go. Writing never blocks."""

    @property
    def backlog(self) -> int:
        """Bytes that the client has not taken yet."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class FdWriter:
    """Writes whole messages, in order, on one daemon thread of its own.

    The event loop only appends: a client that stops reading cannot freeze it, and whole messages from one
    queue cannot interleave, however the interpreter buffers its own streams. `lost` is called once, on the
    writer's thread, when the client is gone.
    """

    def __init__(self, fd: int, lost: Callable[[], None]) -> None:
        self._fd = fd
        self._lost = lost
        self._queue: deque[bytes] = deque()
        self._backlog = 0
        self._closing = False
        self._broken = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._main, name="dlm-writer", daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        return self._backlog

    def write(self, data: bytes) -> None:
        with self._changed:
            if self._closing or self._broken:
                return
            self._queue.append(data)
            self._backlog += len(data)
            self._changed.notify()

    def close(self) -> None:
        """Takes nothing more; what is queued still goes out."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self, seconds: float) -> bool:
        """Waits until everything is written; False if the client did not take it within `seconds`."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _main(self) -> None:
        while (data := self._next()) is not None:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
            except OSError as error:
                log.info("the client does not take messages any more: %s", error)
                with self._changed:
                    self._broken = True
                    self._queue.clear()
                    self._backlog = 0
                self._lost()
                return
            with self._changed:
                self._backlog -= len(data)

    def _next(self) -> bytes | None:
        with self._changed:
            while not self._queue:
                if self._closing:
                    return None
                self._changed.wait()
            return self._queue.popleft()


class FdReader:
    """Reads chunks on one daemon thread of its own, and hands each to the event loop before the next.

    Raw reads, no buffered stream: a thread that holds a buffered stream's lock would abort the exit.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        consume: Callable[[bytes], Coroutine[Any, Any, None]],
        ended: Callable[[], None],
    ) -> None:
        """`consume` and, at the end of input, `ended` are called on the loop's thread."""

        def main() -> None:
            try:
                while chunk := self._read():
                    asyncio.run_coroutine_threadsafe(consume(chunk), loop).result()
                loop.call_soon_threadsafe(ended)
            except (RuntimeError, CancelledError):
                log.debug("input after the event loop's end is dropped")
            except Exception:
                log.exception("the client's input could not be handled")
                loop.call_soon_threadsafe(ended)

        threading.Thread(target=main, name="dlm-reader", daemon=True).start()

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, _CHUNK)
        except OSError as error:
            log.info("the client's input ended: %s", error)
            return b""
