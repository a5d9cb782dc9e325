"""Time, injected: the supervisor asks a clock, so that tests can move time by hand instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """Something that will happen, and can still be called off."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """`now` is wall time in seconds since the epoch, `monotonic` seconds that never jump."""

    def now(self) -> float: ...

    def monotonic(self) -> float: ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Calls `callback` on the event-loop thread after `seconds`."""


class SystemClock:
    """The real time, on the running event loop."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)
