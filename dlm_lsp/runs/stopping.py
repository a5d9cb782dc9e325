"""The early stop of one run: asked for once however often, told with its countdown, settled exactly once."""

from __future__ import annotations

from collections.abc import Callable

from dlm_lsp.runs.clock import Clock, Timer

_TICK = 10.0  # seconds between two looks at the countdown that are told


class EarlyStop:
    """A latch on the loop's thread. It is settled by the run (a commit begins, or its end) or by its deadline.

    `tell` says what follows and how many seconds are left; `overdue` is called once, when the deadline is over.
    """

    def __init__(
        self, clock: Clock, deadline: float, tell: Callable[[str, float | None], None], overdue: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._deadline = deadline
        self._tell = tell
        self._overdue = overdue
        self._until: float | None = None
        self._timer: Timer | None = None
        self._detail = ""
        self.stuck = False
        self.settled = False

    @property
    def asked(self) -> bool:
        """Whether the stop was asked for, and nothing has settled it yet."""
        return self._until is not None and not self.settled

    def ask(self, detail: str = "") -> None:
        """The run shall stop; `detail` says what follows, and the newest one holds. The first call's deadline stays."""
        if self.settled or (self.asked and detail == self._detail):
            return
        self._detail = detail
        if self._until is None:
            self._until = self._clock.monotonic() + self._deadline
            self._wait(self._deadline)
            self._tell(detail, None)
        else:
            self._tell(detail, self._until - self._clock.monotonic())

    def release(self) -> None:
        """The run shall go on, after all; it may be asked anew."""
        if not self.settled:
            self._forget()
            self._until = None

    def settle(self) -> None:
        """The run has answered. May be repeated."""
        self.settled = True
        self._forget()

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, left: float) -> None:
        self._timer = self._clock.call_later(min(_TICK, left), self._tick)

    def _tick(self) -> None:
        assert self._until is not None, "the timer runs only while a stop is asked for"
        left = self._until - self._clock.monotonic()
        if left > 0:
            self._wait(left)
            self._tell(self._detail, left)
            return
        self.settle()
        self.stuck = True
        self._overdue()
