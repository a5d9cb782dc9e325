"""Connects a server to its client, over standard streams or TCP, and sees it to its end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import logging
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from dlm_lsp import __version__
from dlm_lsp._teardown import Stage
from dlm_lsp.runs.plain import log_to_stderr
from dlm_lsp.runs.warmth import Learners
from dlm_lsp.server.app import DlmServer, create_server
from dlm_lsp.server.framing import FrameDecoder, FramingError
from dlm_lsp.server.lifecycle import EXIT_OK, EXIT_WITHOUT_SHUTDOWN, watch_process
from dlm_lsp.server.protocol import PARSE_ERROR, silence_pygls
from dlm_lsp.server.stdio import FdReader, FdWriter, Sink
from dlm_lsp.server.watchdog import Watchdog

log = logging.getLogger(__name__)

# A client that has let this much pile up does not read any more (bytes).
_LOST_BACKLOG = 64 * 1024 * 1024
# What a last message may take to leave, in seconds.
_LAST_WORDS = 0.2
# After how many new objects garbage is looked for, and how often among the older ones.
_COLLECT = (50_000, 20, 50)


def run_stdio(learner: Learners, reading: int, writing: int) -> int:
    """Serves on two file descriptors that are the protocol's alone; returns the exit code."""
    return _run(_stdio(create_server(learner=learner), reading, writing))


def run_tcp(learner: Learners, host: str, port: int) -> int:
    """Serves the first client that connects, and no other; returns the exit code."""
    return _run(_tcp(create_server(learner=learner), host, port))


def _run(serving: Coroutine[Any, Any, tuple[int, bool]]) -> int:
    _log_to_stderr()
    log.info("%s", environment())
    collect_rarely()
    code, clean = asyncio.run(serving)
    if not clean:
        # The worker is inside a step that takes its time. It is a daemon, and what it would have written is
        # committed whole or not at all; but the interpreter's own end would tear down what it is using.
        log.info("training did not stop in time; leaving without it")
        os._exit(code)
    return code


def collect_rarely() -> None:
    """Garbage is looked for less often than by default.

    What was imported stays, so that no collection need look at it; and one keystroke in a large document makes
    thousands of objects, none of them in a cycle: by default that is a collection of everything every few keystrokes.
    """
    gc.freeze()
    gc.set_threshold(*_COLLECT)


async def _stdio(server: DlmServer, reading: int, writing: int) -> tuple[int, bool]:
    server.teardown.heed_signals()
    writer = FdWriter(writing, lambda: server.teardown.begin(EXIT_WITHOUT_SHUTDOWN, "the client reads no more"))
    connection = _Connection(server, writer)

    async def written() -> None:
        writer.close()
        await asyncio.to_thread(writer.join, _LAST_WORDS)

    FdReader(reading).start(asyncio.get_running_loop(), connection.consume, connection.ended)
    return await connection.serve(written)


async def _tcp(server: DlmServer, host: str, port: int) -> tuple[int, bool]:
    connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    connected = asyncio.get_running_loop().create_future()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if connected.done():
            writer.close()
        else:
            connected.set_result((reader, writer))

    try:
        listener = await asyncio.start_server(accept, host, port)
    except OSError as error:
        log.error("cannot listen on %s:%d: %s", host, port, error.strerror or error)
        return EXIT_WITHOUT_SHUTDOWN, True
    server.teardown.heed_signals()
    for each in listener.sockets:
        log.info("listening on %s:%d", *each.getsockname()[:2])
    first: list[asyncio.Future[Any]] = [connected, asyncio.ensure_future(server.teardown.begun.wait())]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    listener.close()
    if not connected.done():
        return server.teardown.code or EXIT_OK, True
    reader, writer = connected.result()
    connection = _Connection(server, _StreamSink(writer))

    async def read() -> None:
        try:
            while chunk := await reader.read(64 * 1024):
                await connection.consume(chunk)
        except OSError as error:
            log.info("the connection ended: %s", error)
        connection.ended()

    async def written() -> None:
        writer.close()
        with contextlib.suppress(TimeoutError, OSError):
            await asyncio.wait_for(writer.wait_closed(), _LAST_WORDS)

    server.spawn(read())
    return await connection.serve(written)


class _StreamSink:
    """An asyncio stream as a sink: it buffers by itself, so that writing never blocks."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    @property
    def backlog(self) -> int:
        return self._writer.transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    def close(self) -> None:
        self._writer.close()


class _Connection:
    """One client: its bytes become messages, its end the server's."""

    def __init__(self, server: DlmServer, sink: Sink) -> None:
        self._server = server
        self._sink = sink
        self._decoder = FrameDecoder()
        server.connect(sink)

    async def serve(self, written: Callable[[], Awaitable[None]]) -> tuple[int, bool]:
        """Returns the exit code, and whether training stopped in time, once the end has come.

        `written` returns when what was sent has left, or cannot.
        """
        loop, server, teardown = asyncio.get_running_loop(), self._server, self._server.teardown

        def editor_gone() -> None:
            teardown.begin(EXIT_WITHOUT_SHUTDOWN, "the editor's process has ended")

        async def last_words() -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(server.protocol.last_answer(), _LAST_WORDS)
            await written()

        server.process_watch = lambda pid: watch_process(pid, editor_gone)
        watchdog = Watchdog(loop, server.doing)
        watchdog.start()
        teardown.add(Stage.END, "the loop's watch", watchdog.stop)
        teardown.add(Stage.END, "the client to take the last answers", last_words)
        await teardown.begun.wait()
        await teardown.run()
        assert teardown.code is not None
        return teardown.code, not teardown.unfinished

    async def consume(self, chunk: bytes) -> None:
        """Handles every message that `chunk` completes, in order."""
        teardown = self._server.teardown
        try:
            for body in self._decoder.feed(chunk):
                if teardown.code is not None:
                    return
                self._server.protocol.receive(body)
                # Lets what the message set going begin before the next message is handled.
                await asyncio.sleep(0)
        except FramingError as error:
            # Nothing after this point can be understood, so going on would only answer noise.
            self._server.protocol.refuse(None, PARSE_ERROR, f"The stream is out of step: {error}.")
            teardown.begin(EXIT_WITHOUT_SHUTDOWN, f"the stream is out of step: {error}")
        if self._sink.backlog > _LOST_BACKLOG:
            teardown.begin(EXIT_WITHOUT_SHUTDOWN, "the client has stopped reading")

    def ended(self) -> None:
        """No further byte will come."""
        orderly = self._server.protocol.shut_down
        self._server.teardown.begin(EXIT_OK if orderly else EXIT_WITHOUT_SHUTDOWN, "end of input")


def environment() -> str:
    """Which server this is, what runs it and whether it can train, without importing anything heavy."""
    torch = importlib.util.find_spec("torch")
    place = Path(torch.origin).parent if torch is not None and torch.origin else None
    return (
        f"dlm-lsp {__version__} with Python {platform.python_version()} ({sys.executable}); "
        f"torch: {place or 'not installed, so nothing can be trained'}"
    )


def _log_to_stderr() -> None:
    """Our own records as `dlm.logLevel` says, and warnings of libraries."""
    log_to_stderr(logging.WARNING)
    logging.getLogger("dlm_lsp").setLevel(logging.INFO)
    silence_pygls()
