"""Lets other processes of this user listen to what happens to a document: each line of the socket is one JSON object.

What a listener sends is not read. One that does not keep up is told the state again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dlm_lsp.runs import events
from dlm_lsp.runs.channel import Subscription, Told
from dlm_lsp.runs.clock import SystemClock
from dlm_lsp.runs.curves import Curves
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.stream import Streams
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.store import Store, StoreError, live
from dlm_lsp.store.live import Door

log = logging.getLogger(__name__)

MOST_LISTENERS = 16  # of one document
LAST_WORDS = 0.2  # seconds that they may take to leave
_UNSENT = 256 * 1024  # bytes that may be on their way to one listener


class Broadcast:
    """The sockets of the documents that this process has; on the loop thread. Without trust there are none.

    A socket needs the store's folder, which the first run makes: so it is looked for again when a run begins or ends.
    `held`: whether somebody has the document open; of one that nobody has, a run is still told to its end.
    """

    def __init__(
        self, supervisor: Supervisor, streams: Streams, held: Callable[[Path], bool] = lambda path: True
    ) -> None:
        self._supervisor = supervisor
        self.streams = streams
        self._held = held
        self._halls: dict[Path, _Hall] = {}
        self._opening: dict[Path, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = not live.SUPPORTED
        supervisor.subscribe(self.on)

    def on(self, event: events.Event | None, status: DocumentStatus) -> None:
        """Opens what can be opened by now, beside the loop."""
        if self._closed or isinstance(event, events.Step) or status.store is None:
            return
        if not self._supervisor.trusted:
            self.left(status.document)
            return
        hall = self._halls.get(status.document)
        if not self._held(status.document):
            if isinstance(event, events.TERMINAL):
                asyncio.get_running_loop().call_soon(self.left, status.document)  # the end is told to all first
            return
        if hall is not None and hall.root != status.store:
            self.left(status.document)
            hall = None
        if hall is None and status.document not in self._opening and (status.version is not None or event is not None):
            self._open(status.document)

    def closed(self, path: Path | None) -> None:
        """Nobody looks at the document any more; a run for it is told to its end."""
        status = self._supervisor.status(path) if path is not None else None
        if path is not None and (status is None or status.run is None):
            self.left(path)

    def left(self, path: Path) -> None:
        """Takes the socket away."""
        if (task := self._opening.pop(path, None)) is not None:
            task.cancel()
        if (hall := self._halls.pop(path, None)) is not None:
            for listener in hall.close():
                self._leaving.add(listener)
                listener.add_done_callback(self._leaving.discard)

    def close(self) -> None:
        """No sockets any more, and none will come. What was told by now is still sent. May be repeated."""
        self._closed = True
        for path in {*self._halls, *self._opening}:
            self.left(path)

    async def end(self) -> None:
        """The same, and waits a moment for the last words to leave."""
        self.close()
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=LAST_WORDS)

    def _open(self, path: Path) -> None:
        store = self._supervisor.store(path)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a supervisor that was asked to look, and nothing more
            return
        if store is None:
            return
        task = self._opening[path] = loop.create_task(self._opened(path, store))
        task.add_done_callback(lambda done: self._opening.pop(path, None) if self._opening.get(path) is done else None)

    async def _opened(self, path: Path, store: Store) -> None:
        opening = asyncio.ensure_future(asyncio.to_thread(store.open_door))
        try:
            door = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_forgotten)
            raise
        except StoreError as error:
            log.info("nobody can attach to %s: %s", path.name, error)
            self._halls[path] = _Hall(self.streams, path, store.root, None)  # once is enough
            return
        if door is not None:
            self._halls[path] = hall = _Hall(self.streams, path, store.root, door)
            await hall.begin()


def broadcasting(supervisor: Supervisor) -> Broadcast:
    """One for a process that has its documents until its end."""
    curves = Curves()
    supervisor.subscribe(curves.on)
    return Broadcast(supervisor, Streams(supervisor, curves, SystemClock()))


def _forgotten(opening: asyncio.Future[Door | None]) -> None:
    if not opening.cancelled() and opening.exception() is None and (door := opening.result()) is not None:
        door.close()


class _Hall:
    """One document's socket and its listeners."""

    def __init__(self, streams: Streams, path: Path, root: Path, door: Door | None) -> None:
        self.root = root
        self._streams = streams
        self._path = path
        self._door = door
        self._server: asyncio.Server | None = None
        self._listeners: dict[asyncio.Task[None], Subscription] = {}

    async def begin(self) -> None:
        assert self._door is not None
        self._server = await asyncio.start_unix_server(self._met, sock=self._door.listening, limit=1024)

    def close(self) -> tuple[asyncio.Task[None], ...]:
        """Nothing more is told; those who still hear what was."""
        leaving = tuple(self._listeners)
        for subscription in self._listeners.values():
            subscription.close()
        if self._server is not None:
            self._server.close()
        if self._door is not None:
            self._door.close()
        return leaving

    def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._listeners) >= MOST_LISTENERS:
            writer.close()
            return
        subscription = self._streams.subscribe(self._path)
        listener = asyncio.get_running_loop().create_task(_tell(subscription, reader, writer))
        self._listeners[listener] = subscription
        listener.add_done_callback(lambda done: self._listeners.pop(done, None))


async def _tell(subscription: Subscription, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.set_write_buffer_limits(_UNSENT)
    gone = asyncio.ensure_future(_gone(reader))
    gone.add_done_callback(lambda _: subscription.close())
    try:
        await _lines(subscription, writer)
    finally:
        gone.cancel()
        subscription.close()
        writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _lines(subscription: Subscription, writer: asyncio.StreamWriter) -> None:
    with suppress(EOFError, OSError):
        while True:
            if (told := await subscription.next()) is not None:
                writer.write(line(told))
                await writer.drain()


async def _gone(reader: asyncio.StreamReader) -> None:
    """Returns when the listener has gone; nothing that it sends is kept."""
    with suppress(OSError):
        while await reader.read(1024):
            pass


def line(told: Told) -> bytes:
    """One line: what was told, with its number and the name of the stream that counts it."""
    stream = told.place.rpartition("-")[0]
    return f'{{"stream":{json.dumps(stream)},"sequence":{told.sequence},{told.text[1:]}\n'.encode()
