"""A thread for what takes time: a daemon of our own, so that it can never keep the process alive."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

log = logging.getLogger(__name__)

Job = Callable[[], None]
T = TypeVar("T")


def on_loop(loop: asyncio.AbstractEventLoop | None, callback: Callable[..., None], *arguments: object) -> None:
    """From another thread: has the loop call `callback`. A loop that is gone wants to hear no more."""
    assert loop is not None, "it was started"
    try:
        loop.call_soon_threadsafe(callback, *arguments)
    except RuntimeError:
        log.debug("the loop is closed; nobody hears %s", arguments or callback)


class Worker:
    """Runs jobs one after the other on a daemon thread. A job reports through whatever it closes over."""

    def __init__(self, name: str = "dlm-worker") -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    @property
    def started(self) -> bool:
        return self._thread.ident is not None

    def start(self) -> None:
        self._thread.start()

    def submit(self, job: Job) -> None:
        self._jobs.put(job)

    def call(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """The outcome of `job`, which runs in its turn; to be called on the event loop's thread.

        Cancelled before its turn, it never runs; while it runs, it goes on to its end, and nobody hears of it.
        """
        outcome: Future[T] = Future()

        def run() -> None:
            if not outcome.set_running_or_notify_cancel():
                return
            try:
                outcome.set_result(job())
            except BaseException as error:
                outcome.set_exception(error)

        self.submit(run)
        return asyncio.wrap_future(outcome)

    def stop(self) -> None:
        """No further job is begun; the one that runs is not interrupted by this."""
        self._jobs.put(None)

    def join(self, seconds: float) -> bool:
        """Waits for the thread's end; False when it is still busy after `seconds`."""
        if self._thread.ident is None:
            return True
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _main(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except BaseException:
                # A job tells its own failures; what arrives here is a defect, and the thread must survive it.
                log.exception("a job failed without telling")
