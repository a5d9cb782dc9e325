"""Watches that the event loop stays quick: a handler that keeps it is named in the log."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

log = logging.getLogger(__name__)

# The loop is asked for a sign of life this often (seconds): four wake-ups a second cost nothing that is felt.
PERIOD = 0.25
# A sign that comes later than this is told (seconds).
LATE = 0.5

_PACKAGE = str(Path(__file__).resolve().parents[1])


class Watchdog:
    """A daemon thread that asks the loop for a sign of life, and tells once of each stall what kept it.

    `doing` says in a word or two what goes on beside, such as a run's phase; it is called on this thread. No
    text of a document is told: names of functions are.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, doing: Callable[[], str]) -> None:
        self._loop = loop
        self._doing = doing
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._alive = threading.Event()

    def start(self) -> None:
        """To be called on the loop's thread."""
        threading.Thread(target=self._main, name="dlm-watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        self._alive.set()

    def _main(self) -> None:
        while not self._stopped.wait(PERIOD):
            self._alive.clear()
            asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._alive.set)
            except RuntimeError:  # the loop is closed
                return
            if self._alive.wait(LATE):
                continue
            overslept = time.monotonic() - asked > 2 * LATE
            where, beside = _where(sys._current_frames().get(self._loop_thread)), self._doing()
            self._alive.wait()
            if self._stopped.is_set():
                return
            late = time.monotonic() - asked
            if overslept:
                log.info("nothing of this process ran for %.1f s (suspended, or the machine is overloaded)", late)
            else:
                log.warning("the event loop was late by %.1f s: it was in %s, while %s", late, where, beside)


def _where(frame: FrameType | None) -> str:
    """The innermost functions of this package, the last one called first."""
    names: list[str] = []
    while frame is not None and len(names) < 3:
        code = frame.f_code
        if code.co_filename.startswith(_PACKAGE):
            names.append(f"{Path(code.co_filename).stem}.{code.co_name} (line {frame.f_lineno})")
        frame = frame.f_back
    return " called by ".join(names) or "code of a library"
