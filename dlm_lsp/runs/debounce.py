"""Coalesces a burst of saves into one moment: quiet time first, but never later than a maximum wait."""

from __future__ import annotations

from collections.abc import Callable

from dlm_lsp.runs.clock import Clock, Timer


class Debouncer:
    """Calls `fire` once `quiet` seconds have passed without a touch, or `max_wait` after the burst's first one."""

    def __init__(self, clock: Clock, fire: Callable[[], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._timer: Timer | None = None
        self._first: float | None = None

    @property
    def pending(self) -> bool:
        return self._timer is not None

    def touch(self, quiet: float, max_wait: float) -> None:
        """Counts one save; both times in seconds."""
        now = self._clock.monotonic()
        if self._first is None:
            self._first = now
        if self._timer is not None:
            self._timer.cancel()
        delay = max(0.0, min(quiet, self._first + max_wait - now))
        self._timer = self._clock.call_later(delay, self._due)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._first = None

    def _due(self) -> None:
        self.cancel()
        self._fire()
