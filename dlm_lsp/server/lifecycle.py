"""When the process ends, and how: exit request, end of input, the editor's death, signals, a deadline."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable

import psutil

log = logging.getLogger(__name__)

# From the wish to end until the process is gone at the latest, in seconds. Editors wait about two before they
# kill; ending by ourselves keeps the worker's stop orderly. The store survives either.
HARD_DEADLINE = 1.3
# What the running cycle gets of that to stop at its next step.
STOP_DEADLINE = 0.8
# How often the editor's process is looked at, in seconds.
_PARENT_POLL = 1.0

EXIT_OK = 0
EXIT_WITHOUT_SHUTDOWN = 1


class Lifecycle:
    """The one place that decides that the server ends. The first cause wins; later ones change nothing."""

    def __init__(self) -> None:
        self._ended: asyncio.Event = asyncio.Event()
        self._lock = threading.Lock()
        self._deadline: threading.Timer | None = None
        self.exit_code: int | None = None

    def end(self, code: int, cause: str) -> None:
        """Begins the end, on the loop's thread, and arms the deadline after which nothing is waited for."""
        if self._arm(code, cause):
            self._ended.set()

    def end_from_thread(self, loop: asyncio.AbstractEventLoop, code: int, cause: str) -> None:
        """The same from any thread: the deadline holds even if the loop never comes to it."""
        if self._arm(code, cause):
            try:
                loop.call_soon_threadsafe(self._ended.set)
            except RuntimeError:
                log.debug("the event loop had ended before")

    async def ended(self) -> int:
        """Returns the exit code once the end has begun."""
        await self._ended.wait()
        assert self.exit_code is not None
        return self.exit_code

    def _arm(self, code: int, cause: str) -> bool:
        with self._lock:
            if self.exit_code is not None:
                return False
            self.exit_code = code
        log.info("ending with exit code %d: %s", code, cause)
        # A daemon timer that needs nothing of the loop, the worker or the interpreter's own shutdown.
        self._deadline = threading.Timer(HARD_DEADLINE, os._exit, (code,))
        self._deadline.daemon = True
        self._deadline.start()
        return True


def watch_signals(loop: asyncio.AbstractEventLoop, lifecycle: Lifecycle) -> None:
    """SIGTERM and SIGINT end the server in the same order as an exit does."""
    for number in (signal.SIGTERM, signal.SIGINT):
        cause = f"signal {number.name}"
        try:
            loop.add_signal_handler(number, lifecycle.end, EXIT_WITHOUT_SHUTDOWN, cause)
        except (NotImplementedError, RuntimeError, ValueError):  # Windows' loop, or not the main thread
            log.debug("no handler for %s on this platform", number.name)


def watch_process(pid: int, gone: Callable[[], None], poll: float = _PARENT_POLL) -> None:
    """Calls `gone` once, on a daemon thread, when process `pid` has ended (a zombie has ended, too).

    A wrapper such as a shell may keep our input open after the editor's death, so end of input is not enough.
    A pid that does not exist here belongs to another machine or container and isn't watched. Asks psutil
    rather than sending signal 0, which ends the process on Windows.
    """
    try:
        process = psutil.Process(pid)
    except (psutil.Error, ValueError):  # ValueError: a negative number
        log.info("process %d, named by the client as its own, is not on this machine: not watched", pid)
        return
    never = threading.Event()

    def main() -> None:
        while _alive(process):
            never.wait(poll)
        gone()

    threading.Thread(target=main, name="dlm-parent-watch", daemon=True).start()


def _alive(process: psutil.Process) -> bool:
    try:
        # is_running compares start times, so a pid that was given to another process counts as ended.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
