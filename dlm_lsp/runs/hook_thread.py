"""A thread of their own for hooks; the worker waits, so that what never returns costs its budget once, not the run.

What a hook asks for meanwhile (`ask`) is done by the waiting worker, as the learner has one thread.
"""

from __future__ import annotations

import ctypes
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from dlm_lsp.runs.hooks import HookOverrunError

# Once the run is to stop, nobody wants to wait.
HURRY = 0.5
# How long a hook that was stopped gets to come to its end.
_END = 0.2
# Between two looks at the stop flag.
_LOOK = 0.1


class Call:
    """One call, and what is asked of the worker meanwhile."""

    def __init__(self, job: Callable[[], object]) -> None:
        self.job = job
        self.inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()  # None: it has ended
        self.value: object = None
        self.error: BaseException | None = None
        self.until = 0.0  # monotonic seconds: then nobody waits any more
        self.ended = False
        self.guard = threading.Lock()  # of `ended`: a call that has ended is not stopped any more

    def run(self) -> None:
        try:
            self.value = self.job()
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        with self.guard:
            self.ended = True
        self.inbox.put(None)

    @property
    def late(self) -> bool:
        return time.monotonic() >= self.until

    def on_worker(self, work: Callable[[], Any]) -> Any:
        """Has the waiting worker do something, and waits for the outcome. Raises what `work` raises."""
        outcome: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        def done() -> None:
            try:
                outcome.put((work(), None))
            except BaseException as error:
                outcome.put((None, error))

        self.inbox.put(done)
        while True:
            try:
                value, error = outcome.get(timeout=_LOOK)
            except queue.Empty:
                if self.late:
                    raise RuntimeError("the run has gone on without this hook") from None
                continue
            if error is not None:
                raise error
            return value


class HookThread:
    """A daemon thread for calls, one after the other; started at the first."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._running: Call | None = None

    @property
    def busy(self) -> bool:
        return self._running is not None and not self._running.ended

    def call(self, job: Callable[[Call], object], budget: float, stopped: Callable[[], bool]) -> Call | None:
        """Waits for `job` at most `budget` seconds; None when it did not come to an end, even when it was stopped."""
        call = Call(lambda: job(call))
        self._running = call
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name="dlm-hooks", daemon=True)
            self._thread.start()
        call.until = time.monotonic() + budget
        self._jobs.put(call)
        if self._wait(call, stopped):
            return call
        with call.guard:
            if not call.ended:
                _interrupt(self._thread)
        call.until = time.monotonic() + _END
        return call if self._wait(call, lambda: False) else None

    def end(self) -> None:
        self._jobs.put(None)

    def _wait(self, call: Call, stopped: Callable[[], bool]) -> bool:
        """Whether it has ended in time; meanwhile does what it asks for."""
        hurried = False
        while not call.late:
            if not hurried and stopped():
                call.until, hurried = min(call.until, time.monotonic() + HURRY), True
            try:
                work = call.inbox.get(timeout=max(0.0, min(call.until - time.monotonic(), _LOOK)))
            except queue.Empty:
                if self._thread is not None and not self._thread.is_alive():
                    return False
                continue
            if work is None:
                return True
            work()
        return False

    def _main(self) -> None:
        while True:
            try:
                self._serve()
                return
            except HookOverrunError:  # it came before the hook began, or when it had just ended
                if (call := self._running) is not None and not call.ended:
                    call.error = call.error or HookOverrunError()
                    call.end()

    def _serve(self) -> None:
        while (call := self._jobs.get()) is not None:
            call.run()
            call.end()


def _interrupt(thread: threading.Thread) -> None:
    """Raises HookOverrunError in another thread, as soon as it runs Python code again."""
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(HookOverrunError))
