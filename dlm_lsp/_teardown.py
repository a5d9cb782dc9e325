"""How a process ends: one registry of what is to be done, in stages, each step once, whatever the cause is.

A long-lived command adds its steps; requests, signals, the end of input and the death of whoever started it begin the
same end. The first cause decides the exit code; a signal that comes during the end leaves at once.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from types import FrameType
from typing import Any, Protocol

log = logging.getLogger(__name__)

# How long the end may take before it is told what is waited for, in seconds.
HANGS_AFTER = 5.0
# Windows has no SIGHUP.
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")

Step = Callable[[], object]


class Stage(IntEnum):
    """In this order. Steps of one stage go on side by side; the next one begins when all of them are over."""

    STOP = 1  # nothing new begins, and what goes on is asked to stop
    SETTLE = 2  # what went on is committed or rolled back, and gives its lock back
    RELEASE = 3  # what is still held, such as another process or a lock for longer than a run, is given back
    CLOSE = 4  # files, sockets, and what is shown
    END = 5  # last words


class Alarm(Protocol):
    def cancel(self) -> None: ...


def exit_code(number: int) -> int:
    """What a process returns that signal `number` has ended, as shells have it: 129, 130, 143."""
    return 128 + number


class Teardown:
    """Used on one event loop; `begin` may be called from any thread.

    `deadline`: seconds from the beginning of the end until the process leaves, whatever is not done; None: never.
    `later` calls back after some seconds and needs nothing of the loop, which may be what hangs. `say` tells the
    person one line; `leave` ends the process and does not return.
    """

    def __init__(
        self,
        deadline: float | None = None,
        *,
        later: Callable[[float, Callable[[], None]], Alarm] | None = None,
        say: Callable[[str], None] | None = None,
        leave: Callable[[int], Any] = os._exit,
    ) -> None:
        self.begun = asyncio.Event()
        self.code: int | None = None  # once the end has begun
        self.unfinished: list[str] = []  # steps that did not come to their end in time
        self._deadline = deadline
        self._later = later or _on_a_thread
        self._say = say or _to_stderr
        self._leave = leave
        self._steps: list[tuple[Stage, str, Step]] = []
        self._waits_for: list[str] = []
        self._work: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signalled = False
        self._last = False  # whether the last stage is on its way
        self._told = False
        self._guard = threading.Lock()  # of `code`

    def add(self, stage: Stage, name: str, step: Step) -> Callable[[], None]:
        """`step` is called once, on the loop; what it returns is awaited if that can be; False: not done in time.

        `name` says what is waited for, such as "the run". Returns what takes the step back.
        """
        entry = (stage, name, step)
        self._steps.append(entry)

        def take_back() -> None:
            with suppress(ValueError):
                self._steps.remove(entry)

        return take_back

    # -- the cause

    def begin(self, code: int, cause: str) -> None:
        """The end has come, unless it had begun before: the first cause wins. Who waits on `begun` does the rest."""
        with self._guard:
            if self.code is not None:
                return
            self.code = code
        if self._deadline is not None:
            self._later(self._deadline, lambda: self._leave(code))
        log.info("ending with exit code %d: %s", code, cause)
        if self._loop is None:
            self.begun.set()
        else:
            with suppress(RuntimeError):  # the loop had ended before
                self._loop.call_soon_threadsafe(self.begun.set)

    def heed_signals(self, ctrl_c: Callable[[], bool] | None = None) -> None:
        """To be called on the running loop, in the main thread: from now on signals end it.

        `ctrl_c` hears a Ctrl-C first, on the loop, and says whether it was for something smaller than the end.
        """
        self._loop = asyncio.get_running_loop()
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
                continue  # who runs it by nohup wants it to outlive the terminal
            try:
                signal.signal(number, self._handler(ctrl_c if name == "SIGINT" else None))
            except ValueError:  # not the main thread
                log.debug("no handler for %s here", name)

    def _handler(self, smaller: Callable[[], bool] | None) -> Callable[[int, FrameType | None], None]:
        """Python's own kind of handler: it is called even while the loop is busy, and on Windows, too."""

        def end(number: int) -> None:
            if self.code is None and smaller is not None and smaller():
                return
            self._signalled = True
            self.begin(exit_code(number), f"signal {signal.Signals(number).name}")

        def heard(number: int, frame: FrameType | None) -> None:
            # Whatever takes a lock is the loop's to do: this may have interrupted who holds it.
            if self._signalled or self._last or self.code is not None:
                self._leave(exit_code(number))
                return
            self._signalled = smaller is None
            assert self._loop is not None
            try:
                self._loop.call_soon_threadsafe(end, number)
            except RuntimeError:  # the loop is closed
                self._leave(exit_code(number))

        return heard

    # -- the end

    async def run(self, through: Stage = Stage.END) -> None:
        """Does what is left to do of the stages up to `through`; whoever comes meanwhile waits for the first.

        Never raises: a step that fails is logged, and the others go on. Cancelling the caller does not cancel a step.
        """
        self._work = asyncio.ensure_future(self._run(through, self._work))
        await asyncio.shield(self._work)

    async def _run(self, through: Stage, before: asyncio.Future[None] | None) -> None:
        self._last |= through is Stage.END
        if before is not None:
            await asyncio.wait([before])
        alarm = self._later(HANGS_AFTER, self._hangs)
        try:
            for stage in Stage:
                while stage <= through and (steps := self._taken(stage)):
                    await asyncio.gather(*(self._do(name, step) for name, step in steps))
        finally:
            alarm.cancel()

    def _taken(self, stage: Stage) -> list[tuple[str, Step]]:
        taken = [entry for entry in self._steps if entry[0] == stage]
        self._steps = [entry for entry in self._steps if entry[0] != stage]
        return [(name, step) for _, name, step in taken]

    async def _do(self, name: str, step: Step) -> None:
        self._waits_for.append(name)
        try:
            outcome = step()
            if inspect.isawaitable(outcome):
                outcome = await outcome
            if outcome is False:
                self.unfinished.append(name)
        except (Exception, asyncio.CancelledError):
            log.exception("at the end, this failed: %s", name)
        finally:
            self._waits_for.remove(name)

    def _hangs(self) -> None:
        """On the alarm's thread."""
        if self._told or not (names := tuple(self._waits_for)):
            return
        self._told = True
        how = "Ctrl-C" if sys.platform == "win32" else f"Ctrl-C or `kill {os.getpid()}`"
        self._say(f"dlm-lsp: still waiting for {', '.join(names)}; {how} leaves at once, and the store stays intact")


def _on_a_thread(seconds: float, callback: Callable[[], None]) -> Alarm:
    timer = threading.Timer(seconds, callback)
    timer.daemon = True
    timer.start()
    return timer


def _to_stderr(line: str) -> None:
    with suppress(OSError, ValueError):  # who would read it may be gone
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
