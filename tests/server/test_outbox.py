"""The outbound door: newest state of a thing, at most four times a second, nothing lost that must be told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dlm_lsp.server.outbox import CONGESTION, INTERVAL, Outbox


class HandClock:
    """Time that moves when the test says so."""

    def __init__(self) -> None:
        self.time = 100.0
        self.timers: list[HandTimer] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def call_later(self, seconds: float, callback: Callable[[], None]) -> HandTimer:
        timer = HandTimer(self.time + seconds, callback)
        self.timers.append(timer)
        return timer

    def pass_time(self, seconds: float) -> None:
        end = self.time + seconds
        while due := sorted(
            (timer for timer in self.timers if not timer.cancelled and timer.at <= end), key=lambda t: t.at
        ):
            self.time = max(self.time, due[0].at)
            self.timers.remove(due[0])
            due[0].callback()
        self.time = end


class HandTimer:
    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at, self.callback, self.cancelled = at, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class Wire:
    """What left, and how much the client has still to read."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.backlog = 0
        self.clock = HandClock()
        self.outbox = Outbox(lambda *message: self.sent.append(message), lambda: self.backlog, self.clock)

    def offer(self, value: int, key: str = "key") -> None:
        self.outbox.offer(key, lambda: self.outbox.send("progress", value))

    @property
    def values(self) -> list[Any]:
        return [value for _, value in self.sent]


def test_the_first_goes_at_once_and_of_many_only_the_newest() -> None:
    wire = Wire()
    for value in range(10):
        wire.offer(value)
    assert wire.values == [0]
    wire.clock.pass_time(INTERVAL)
    assert wire.values == [0, 9]
    wire.clock.pass_time(10)
    assert wire.values == [0, 9]


def test_at_most_four_a_second() -> None:
    wire = Wire()
    for value in range(1000):
        wire.offer(value)
        wire.clock.pass_time(0.01)
    assert 35 <= len(wire.values) <= 41


def test_keys_do_not_hold_each_other_up() -> None:
    wire = Wire()
    wire.offer(1, "a")
    wire.offer(2, "b")
    assert wire.values == [1, 2]


def test_flush_sends_what_waits_and_forget_does_not() -> None:
    wire = Wire()
    wire.offer(1)
    wire.offer(2)
    wire.outbox.flush("key")
    wire.offer(3)
    wire.outbox.forget("key")
    wire.clock.pass_time(10)
    assert wire.values == [1, 2]


def test_a_client_that_does_not_read_gets_the_newest_state_when_it_reads_again() -> None:
    wire = Wire()
    wire.backlog = CONGESTION
    for value in range(100):
        wire.offer(value)
        wire.clock.pass_time(0.1)
    assert wire.values == []
    wire.backlog = 0
    wire.clock.pass_time(INTERVAL)
    assert wire.values == [99]


def test_of_states_that_a_client_does_not_take_only_the_newest_waits(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "dlm_lsp")
    wire = Wire()
    wire.backlog = CONGESTION
    for value in range(100):
        wire.outbox.newest("state", lambda value=value: wire.outbox.send("state", value))  # type: ignore[misc]
        wire.outbox.diagnostics("u", value, [{"message": "a"}])
        wire.clock.pass_time(0.1)
    assert wire.sent == []
    wire.backlog = 0
    wire.clock.pass_time(INTERVAL)
    assert [params if method == "state" else params["version"] for method, params in wire.sent] == [99, 99]
    assert [record.message.split(";")[0] for record in caplog.records] == [
        "the client does not read",
        "the client reads again (0 bytes have not left)",
    ]


def test_a_document_that_is_closed_meanwhile_shows_nothing_when_its_client_reads_again() -> None:
    wire = Wire()
    wire.backlog = CONGESTION
    wire.outbox.diagnostics("u", 1, [{"message": "a"}])
    wire.outbox.clear_diagnostics("u")
    wire.backlog = 0
    wire.clock.pass_time(10)
    assert wire.sent == []


def test_only_the_loops_thread_sends() -> None:
    wire = Wire()
    caught: list[BaseException] = []

    def other() -> None:
        try:
            wire.outbox.send("x", None)
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert caught
    assert wire.sent == []


def test_the_same_diagnostics_are_published_once() -> None:
    wire = Wire()
    items = [{"message": "a"}]
    wire.outbox.diagnostics("u", 1, items)
    wire.outbox.diagnostics("u", 1, [{"message": "a"}])
    wire.outbox.diagnostics("u", 2, items)
    wire.outbox.clear_diagnostics("u")
    wire.outbox.clear_diagnostics("u")
    assert [(params.get("version"), len(params["diagnostics"])) for _, params in wire.sent] == [
        (1, 1),
        (2, 1),
        (None, 0),
    ]


@pytest.mark.parametrize("wait", [0.0, INTERVAL / 2])
def test_what_is_offered_later_waits_its_turn(wait: float) -> None:
    wire = Wire()
    wire.offer(1)
    wire.clock.pass_time(wait)
    wire.offer(2)
    assert wire.values == [1]
    wire.clock.pass_time(INTERVAL - wait)
    assert wire.values == [1, 2]
