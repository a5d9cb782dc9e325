"""A desk to work at: a real supervisor, worker thread and store, with a fake learner and time moved by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from dlm_lsp.runs import events
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.store import Store
from tests.fakes import FakeLearner, Gate

DLM_ID = "01HZ4X7TGZM3J1A2B3C4D5E6F7"
E = TypeVar("E", bound=events.Event)


def frontmatter(extra: str = "") -> str:
    return f"---\ndlm_id: {DLM_ID}\nbase_model: builtin:tiny\n{extra}---\n"


def exchange(question: str, answer: str) -> str:
    return f"\n::instruction::\n### Q\n{question}\n### A\n{answer}\n"


class HandClock:
    """Time stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0
        self._timers: list[tuple[float, int, HandTimer]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def call_later(self, seconds: float, callback: Callable[[], None]) -> HandTimer:
        timer = HandTimer(callback)
        heapq.heappush(self._timers, (self.seconds + seconds, next(self._numbers), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Moves time on and calls what became due, in its order."""
        until = self.seconds + seconds
        while self._timers and self._timers[0][0] <= until:
            self.seconds, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                timer.callback()
        self.seconds = until


class HandTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Desk:
    """What a test writes, saves and sees."""

    def __init__(self, folder: Path, settings: RunSettings) -> None:
        self.path = folder / "notes.dlm"
        self.home = folder / "home"
        self.learner = FakeLearner()
        self.clock = HandClock()
        self.supervisor = Supervisor(learner=lambda: self.learner, settings=settings, clock=self.clock)
        self.events: list[events.Event] = []
        self.statuses: list[DocumentStatus] = []
        self._news = asyncio.Event()
        self.supervisor.subscribe(self._hear)

    @property
    def store(self) -> Store:
        return Store(self.home, DLM_ID)

    @property
    def status(self) -> DocumentStatus:
        status = self.supervisor.status(self.path)
        assert status is not None
        return status

    def write(self, body: str, extra: str = "") -> str:
        text = frontmatter(extra) + body
        self.path.write_text(text, encoding="utf-8")
        return text

    def save(self, body: str, extra: str = "") -> None:
        """As an editor does it: the file is written, and the server told the text."""
        self.supervisor.saved(self.path, self.write(body, extra))

    async def settle(self) -> None:
        """The debounce passes, and everything that was asked for is done."""
        self.clock.advance(0.4)
        await asyncio.wait_for(self.supervisor.wait_for_idle(self.path), 20)

    async def learn(self, body: str, extra: str = "") -> events.Event:
        self.save(body, extra)
        await self.settle()
        return self.events[-1]

    async def until(self, kind: type[E], count: int = 1) -> E:
        """The `count`th event of this kind, waited for."""
        while len(found := self.of(kind)) < count:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 20)
        return found[count - 1]

    async def until_status(self, holds: Callable[[DocumentStatus], bool]) -> None:
        """Waits until the status is as wanted."""
        while not holds(self.status):
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 20)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def _hear(self, event: events.Event | None, status: DocumentStatus) -> None:
        if event is not None:
            self.events.append(event)
        self.statuses.append(status)
        self._news.set()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    settings = RunSettings(home=tmp_path / "home", warm_on_open=False)
    desk = Desk(tmp_path, settings)
    desk.supervisor.start(asyncio.get_running_loop())
    yield desk
    assert await desk.supervisor.shutdown(10), "the worker did not end"
    check_story(desk.events)


def check_story(told: list[events.Event]) -> None:
    """What must hold of any run, whatever happened: one terminal event, the last one, in counted order."""
    numbers = [event.sequence for event in told]
    assert numbers == sorted(set(numbers))
    for run in {event.run for event in told}:
        story = [event for event in told if event.run == run]
        ends = [event for event in story if isinstance(event, events.TERMINAL)]
        assert len(ends) == 1, f"run {run} ended {len(ends)} times: {[type(each).__name__ for each in story]}"
        assert story[-1] is ends[0], f"run {run} went on after its end"
        steps = [event.step for event in story if isinstance(event, events.Step)]
        assert steps == sorted(set(steps))


FERRY = exchange("When does the ferry leave?", "At seven.")


@pytest.fixture
async def gate(desk: Desk, tmp_path: Path) -> AsyncIterator[Gate]:
    """A run of FERRY is going on, and makes its second step when the gate lets it."""
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        save(desk, FERRY)
        await step(desk, gate)
        yield gate
        gate.allow(1000)
        await desk.settle()
        desk.learner.gate = None


def save(desk: Desk, body: str, extra: str = "") -> None:
    desk.save(body, extra)
    desk.clock.advance(0.4)


async def step(desk: Desk, gate: Gate) -> None:
    """One more step is made, and the run waits for the next one."""
    made = len(desk.of(events.Step))
    assert await asyncio.to_thread(gate.reached.acquire, timeout=20)
    gate.allow(1)
    assert await asyncio.to_thread(gate.reached.acquire, timeout=20)
    await desk.until(events.Step, made + 1)


async def finish(desk: Desk, gate: Gate) -> None:
    gate.allow(1000)
    await desk.settle()
