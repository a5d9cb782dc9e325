"""What is told to many: each subscriber hears the present state first, then everything after it, once and in order.

Nobody is waited for. What a subscriber does not take in is dropped as a whole, and a fresh state stands for it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

# What is kept for who was away for a moment, and for each subscriber until it takes it.
MOST_KEPT = 512
MOST_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that was told: JSON text of an object. `place` names it among all that was ever told anywhere.

    Of a state of several parts only the last one has a place: who has heard less begins anew.
    """

    text: str
    sequence: int
    place: str = ""


class Channel:
    """Numbers what is told. `state` says all that is true now, as one or more texts. Lives on the loop's thread."""

    def __init__(self, state: Callable[[], list[str]]) -> None:
        self.name = secrets.token_hex(8)
        self.sequence = 0
        self._state = state
        self._kept: deque[Told] = deque()
        self._bytes = 0
        self._subscriptions: list[Subscription] = []

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._subscriptions)

    def tell(self, text: str) -> None:
        """The next thing. To be called after what it tells of became part of the state."""
        self.sequence += 1
        told = Told(text, self.sequence, f"{self.name}-{self.sequence}")
        self._kept.append(told)
        self._bytes += len(text)
        while len(self._kept) > MOST_KEPT or self._bytes > MOST_BYTES:
            self._bytes -= len(self._kept.popleft().text)
        for subscription in tuple(self._subscriptions):
            subscription.put(told)

    def begin_anew(self) -> None:
        """Everything is another now: everybody gets the state."""
        self.sequence += 1
        self._kept.clear()
        self._bytes = 0
        for subscription in tuple(self._subscriptions):
            subscription.renew()

    def subscribe(self, since: str = "") -> Subscription:
        """`since`: the place of the last thing that was heard; what followed is told, if it is still there."""
        missed = self._after(since)
        subscription = Subscription(self, missed)
        self._subscriptions.append(subscription)
        return subscription

    def close(self) -> None:
        """Nothing more will be told."""
        for subscription in tuple(self._subscriptions):
            subscription.close()

    def states(self) -> list[Told]:
        texts = self._state()
        last = Told(texts[-1], self.sequence, f"{self.name}-{self.sequence}")
        return [*(Told(text, self.sequence) for text in texts[:-1]), last]

    def leave(self, subscription: Subscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def _after(self, since: str) -> list[Told] | None:
        """What came after `since`; None where that cannot be told any more."""
        name, _, number = since.rpartition("-")
        if name != self.name or not (number.isascii() and number.isdecimal() and len(number) < 16):
            return None
        heard = int(number)
        first = self._kept[0].sequence if self._kept else self.sequence + 1
        return [told for told in self._kept if told.sequence > heard] if first - 1 <= heard <= self.sequence else None


class Subscription:
    """One listener's end. `missed` None: it begins with the state."""

    def __init__(self, channel: Channel, missed: list[Told] | None) -> None:
        self._channel = channel
        self._waiting: deque[Told] = deque(missed or ())
        self._bytes = sum(len(told.text) for told in self._waiting)
        self._stale = missed is None
        self._closed = False
        self._more = asyncio.Event()
        if self._stale or self._waiting:
            self._more.set()

    async def next(self) -> Told | None:
        """The next thing to hear, None after `wake`. Raises EOFError once nothing more will be told."""
        await self._more.wait()
        if self._stale:
            self._stale = False
            self._waiting.extend(self._channel.states())
        told = self._waiting.popleft() if self._waiting else None
        self._bytes = max(0, self._bytes - len(told.text)) if told is not None and self._waiting else 0
        if not self._waiting and not self._closed:
            self._more.clear()
        if told is None and self._closed:
            raise EOFError
        return told

    def wake(self) -> None:
        """Lets `next` return although there is nothing."""
        self._more.set()

    def put(self, told: Told) -> None:
        if self._stale or self._closed:
            return  # the state will have it
        if len(self._waiting) >= MOST_KEPT or self._bytes + len(told.text) > MOST_BYTES:
            self.renew()
            return
        self._waiting.append(told)
        self._bytes += len(told.text)
        self._more.set()

    def renew(self) -> None:
        """What waits is dropped for a fresh state."""
        self._waiting.clear()
        self._bytes = 0
        self._stale = True
        self._more.set()

    def close(self) -> None:
        self._channel.leave(self)
        self._closed = True
        self._stale = False
        self._more.set()
