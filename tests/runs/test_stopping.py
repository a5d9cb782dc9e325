"""A stop that a newer text or the author asks for: once, with a deadline, never followed by what it should not be."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dlm_lsp.runs import events
from dlm_lsp.runs.status import DocumentStatus, RunState
from dlm_lsp.runs.stopping import EarlyStop
from dlm_lsp.runs.succession import CALLED_OFF, HELD, MAX_RESTARTS
from dlm_lsp.runs.telling import headline
from dlm_lsp.server.diagnostics import problems
from tests.fakes import BREAK, FAIL, STUBBORN, Gate
from tests.runs.conftest import FERRY, Desk, HandClock, exchange, finish, save

BAKER = exchange("Who bakes the bread?", "Ulla bakes it.")
BROKEN = "training:\n  lora_r: [\n"
FASTER = "training:\n  learning_rate: 0.001\n"


def seed(number: int) -> str:
    return f"training:\n  seed: {number}\n"


def shown(desk: Desk) -> list[str]:
    document = desk.supervisor.document(desk.path)
    assert document is not None
    return [problem.code for problem in problems(document, desk.status)]


# -- the latch


class Told:
    def __init__(self, deadline: float = 300.0) -> None:
        self.clock = HandClock()
        self.said: list[tuple[str, float | None]] = []
        self.overdue = 0
        self.stop = EarlyStop(self.clock, deadline, lambda *each: self.said.append(each), self._late)

    def _late(self) -> None:
        self.overdue += 1


def test_a_stop_is_asked_for_once_and_counts_down_now_and_then() -> None:
    told = Told()
    for _ in range(3):
        told.stop.ask("restarting with seed 7")
    told.clock.advance(35)
    assert told.said == [("restarting with seed 7", left) for left in (None, 290.0, 280.0, 270.0)]


def test_the_newest_reason_holds_and_the_first_deadline_stays() -> None:
    told = Told()
    told.stop.ask("restarting with seed 7")
    told.clock.advance(5)
    told.stop.ask("")
    assert told.said[-1] == ("", 295.0)
    told.clock.advance(294.9)
    assert not told.overdue
    told.clock.advance(0.1)
    assert told.overdue == 1


@pytest.mark.parametrize("deadline", [1.0, 25.0, 300.0])
def test_it_is_overdue_once_and_nothing_is_told_afterwards(deadline: float) -> None:
    told = Told(deadline)
    told.stop.ask()
    told.clock.advance(10_000)
    said = len(told.said)
    assert (told.overdue, told.stop.stuck, told.stop.settled, told.stop.asked) == (1, True, True, False)
    told.stop.ask("again")
    told.stop.settle()
    told.clock.advance(10_000)
    assert (told.overdue, len(told.said)) == (1, said)


def test_what_settles_it_ends_the_countdown_and_settles_it_for_good() -> None:
    told = Told()
    told.stop.ask()
    told.stop.settle()
    told.stop.settle()
    told.stop.release()
    told.stop.ask("too late")
    told.clock.advance(10_000)
    assert (told.said, told.overdue) == ([("", None)], 0)


def test_what_is_taken_back_can_be_asked_for_anew() -> None:
    told = Told()
    told.stop.ask("first")
    told.clock.advance(200)
    told.stop.release()
    told.clock.advance(10_000)
    assert not told.overdue
    told.stop.ask("second")
    told.clock.advance(299)
    assert not told.overdue
    told.clock.advance(1)
    assert told.overdue == 1


# -- of a run


async def test_the_countdown_is_in_the_status_and_its_end_is_told_once(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY, FASTER)
    assert desk.status.state is RunState.STOPPING
    desk.clock.advance(48)
    assert "stopping after this step (4:20 left): restarting with learning_rate 0.001" in headline(desk.status)
    desk.clock.advance(10_000)
    assert desk.status.state is RunState.STUCK
    assert len(desk.of(events.Stuck)) == 1
    assert desk.status.note == CALLED_OFF.format("did not stop in time")
    assert shown(desk).count("run-stuck") == 1
    await finish(desk, gate)
    assert len(desk.of(events.Finished)) == 1, "what it had learned is kept, and nothing restarts by itself"
    assert "run-stuck" not in shown(desk)


async def test_after_a_stuck_run_the_next_save_is_learned(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY, FASTER)
    desk.clock.advance(10_000)
    save(desk, FERRY + BAKER, FASTER)
    await finish(desk, gate)
    assert [section.state.value for section in desk.status.sections] == ["learned", "learned"]


async def test_a_stuck_run_does_not_keep_the_process(desk: Desk, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        save(desk, exchange("Does it listen?", STUBBORN))
        await desk.until(events.Phase, 3)
        assert await asyncio.to_thread(gate.reached.acquire, timeout=20)
        desk.supervisor.cancel(desk.path)
        desk.clock.advance(10_000)
        assert desk.status.state is RunState.STUCK
        assert not await desk.supervisor.shutdown(0.05), "the worker is a daemon: it is left behind"
        gate.allow(1000)
        await desk.until(events.Cancelled)


async def test_many_cancels_are_one_stop(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY, FASTER)
    for _ in range(3):
        assert desk.supervisor.cancel(desk.path) == "stopping after this step"
    await finish(desk, gate)
    assert [event.detail for event in desk.of(events.Stopping)] == ["restarting with learning_rate 0.001", ""]
    assert len(desk.of(events.Cancelled)) == 1
    assert not desk.of(events.Finished)


async def test_a_listener_that_throws_strands_no_stop(desk: Desk, gate: Gate) -> None:
    def throws(event: events.Event | None, status: DocumentStatus) -> None:
        raise ZeroDivisionError

    desk.supervisor.subscribe(throws)
    save(desk, FERRY, FASTER)
    await finish(desk, gate)
    assert len(desk.of(events.Finished)) == 2
    desk.clock.advance(10_000)
    assert not desk.of(events.Stuck)


@pytest.mark.parametrize("word", [FAIL, BREAK])
async def test_nothing_restarts_after_a_run_that_failed(desk: Desk, tmp_path: Path, word: str) -> None:
    save(desk, exchange("Shall it fail?", word))  # the worker has it; its end is not heard before the loop is free
    save(desk, FERRY, FASTER)
    await desk.settle()
    assert len(desk.of(events.Failed)) == 1
    assert not desk.of(events.Finished)
    assert desk.status.note == CALLED_OFF.format("failed")
    assert isinstance(await desk.learn(FERRY), events.Finished), "the next save is learned"


async def test_a_command_is_carried_out_even_after_a_failure(desk: Desk) -> None:
    save(desk, exchange("Shall it fail?", FAIL))
    desk.write(FERRY)
    desk.supervisor.train_now(desk.path)
    await desk.settle()
    assert [type(event) for event in desk.events if isinstance(event, events.TERMINAL)] == [
        events.Failed,
        events.Finished,
    ]


async def test_restarts_in_a_row_are_bounded_and_the_last_text_is_learned(desk: Desk, gate: Gate) -> None:
    for number in range(MAX_RESTARTS + 2):
        runs = len(desk.of(events.Started))
        save(desk, FERRY, seed(number))
        if number < MAX_RESTARTS:
            gate.allow(1)
            await desk.until(events.Started, runs + 1)
            assert await asyncio.to_thread(gate.reached.acquire, timeout=20)
            gate.drain()
            gate.allow(1)
            assert await asyncio.to_thread(gate.reached.acquire, timeout=20)
    assert "restarted 3 times in a row" in desk.status.note
    await finish(desk, gate)
    ends = [event.learned.end for event in desk.of(events.Finished)]
    assert ends.count("stopped") == MAX_RESTARTS
    assert ends[-1] == "learned"
    skipped = desk.events[-1]
    assert isinstance(skipped, events.Skipped)
    assert skipped.reason.endswith("applies from the next cycle")


# -- a broken text


async def test_a_restart_waits_for_a_valid_document(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY, FASTER)
    save(desk, FERRY, BROKEN)
    assert HELD in headline(desk.status)
    assert desk.status.note.endswith(HELD)
    gate.allow(1000)
    await desk.until(events.Finished)
    await asyncio.wait_for(desk.supervisor.wait_for_idle(desk.path), 20)
    assert (desk.status.state, HELD in headline(desk.status)) == (RunState.RESTARTING, True)
    assert len(desk.of(events.Started)) == 1
    save(desk, FERRY + BAKER, FASTER)
    await desk.settle()
    assert len(desk.of(events.Finished)) == 2
    assert desk.learner.plans[-1].session.settings.learning_rate == 0.001


async def test_a_text_that_is_broken_before_the_restart_was_decided_does_not_end_the_run(
    desk: Desk, gate: Gate
) -> None:
    desk.save(FERRY, FASTER)
    save(desk, FERRY, BROKEN)
    assert desk.status.state is RunState.TRAINING
    assert desk.status.note.endswith(HELD)
    await finish(desk, gate)
    assert [event.learned.end for event in desk.of(events.Finished)] == ["learned"]
    desk.supervisor.cancel(desk.path)


async def test_a_restart_that_waits_for_a_text_goes_with_its_document_and_with_a_cancel(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY, FASTER)
    save(desk, FERRY, BROKEN)
    gate.allow(1000)
    await desk.until(events.Finished)
    await asyncio.wait_for(desk.supervisor.wait_for_idle(desk.path), 20)
    assert desk.supervisor.cancel() == "cancelled"
    assert desk.status.run is None
    assert len(desk.of(events.Cancelled)) == 1
