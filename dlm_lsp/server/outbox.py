"""The single door through which anything leaves for the client, on the event loop's thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from lsprotocol import types

from dlm_lsp.runs.clock import Clock, Timer
from dlm_lsp.server.protocol import Notify

log = logging.getLogger(__name__)

Send = Callable[[], None]

# At most four messages a second about one thing: enough to look alive, too few to flood an editor.
INTERVAL = 0.25
# While the client has more than this to read, what can wait does (bytes).
CONGESTION = 256 * 1024


class Outbox:
    """Sends at once what must be told, and coalesces what is only the newest state of something.

    `notify` is the transport's; `backlog` tells the bytes that the client has not taken yet. For a client that
    does not read, no more is kept than the newest state of each thing, however long that lasts.
    """

    def __init__(self, notify: Notify, backlog: Callable[[], int], clock: Clock) -> None:
        self._notify = notify
        self._backlog = backlog
        self._clock = clock
        self._thread = threading.get_ident()
        self._waiting: dict[str, Send] = {}
        self._timers: dict[str, Timer] = {}
        self._last: dict[str, float] = {}
        self._published: dict[str, tuple[int | None, list[dict[str, Any]]]] = {}
        self._stuck = False

    @property
    def congested(self) -> bool:
        """Whether the client leaves unread what was sent to it."""
        backlog = self._backlog()
        if (backlog >= CONGESTION) != self._stuck:
            self._stuck = not self._stuck
            what = "does not read; what can wait is held back" if self._stuck else "reads again"
            log.info("the client %s (%d bytes have not left)", what, backlog)
        return self._stuck

    def send(self, method: str, params: Any) -> None:
        """Sends a notification now. Only the loop's thread may: two writers would tear messages apart."""
        if threading.get_ident() != self._thread:
            raise RuntimeError(f"{method} was to be sent from another thread than the event loop's")
        self._notify(method, params)

    def offer(self, key: str, send: Send) -> None:
        """Calls `send` now or soon. Of several within the interval only the newest is called."""
        due = self._last.get(key, -INTERVAL) + INTERVAL - self._clock.monotonic()
        if key not in self._timers and due <= 0 and not self.congested:
            self._deliver(key, send)
            return
        self._waiting[key] = send
        if key not in self._timers:
            self._timers[key] = self._clock.call_later(max(due, 0.01), lambda: self._due(key))

    def settled(self, key: str, send: Send) -> None:
        """Calls `send` when nothing was told under `key` for the interval: for what typing changes, and is large."""
        self._drop(key)
        self._waiting[key] = send
        self._timers[key] = self._clock.call_later(INTERVAL, lambda: self._due(key))

    def newest(self, key: str, send: Send) -> None:
        """Calls `send` now, also within the interval; for a client that does not read, the newest one later."""
        self.forget(key)
        if self.congested:
            self.offer(key, send)
        else:
            send()

    def flush(self, key: str) -> None:
        """Calls now what waits under `key`, if anything, so that what follows comes after it."""
        send = self._drop(key)
        if send is not None and not self.congested:
            self._deliver(key, send)

    def forget(self, key: str) -> None:
        """Calls off what waits under `key`, and forgets it."""
        self._drop(key)
        self._last.pop(key, None)

    def diagnostics(self, uri: str, version: int | None, items: list[dict[str, Any]]) -> None:
        """Publishes the whole set of a document's diagnostics (as JSON), unless the client has exactly this set."""
        key = f"{types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS} {uri}"
        if self._published.get(uri) == (version, items):
            self.forget(key)
            return

        def publish() -> None:
            self._published[uri] = (version, items)
            known = {} if version is None else {"version": version}
            params = {"uri": uri, **known, "diagnostics": items}
            self.send(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS, params)

        self.newest(key, publish)

    def clear_diagnostics(self, uri: str) -> None:
        """Takes every diagnostic of a closed document back."""
        self.forget(f"{types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS} {uri}")
        if self._published.pop(uri, None) is not None:
            params = {"uri": uri, "diagnostics": []}
            self.send(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS, params)

    def _due(self, key: str) -> None:
        if self.congested:
            self._timers[key] = self._clock.call_later(INTERVAL, lambda: self._due(key))
            return
        self._timers.pop(key, None)
        send = self._waiting.pop(key, None)
        if send is not None:
            self._deliver(key, send)

    def _drop(self, key: str) -> Send | None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        return self._waiting.pop(key, None)

    def _deliver(self, key: str, send: Send) -> None:
        self._last[key] = self._clock.monotonic()
        send()
