"""A rest between runs, training switched off, and what is forgotten: on the supervisor, with time moved by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dlm_lsp.runs import events
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import RunState
from dlm_lsp.runs.telling import progress_message
from tests.fakes import FAIL, Gate
from tests.runs.conftest import Desk, exchange

FERRY = exchange("When does the ferry leave?", "At seven.")
BAKER = exchange("Who bakes the bread?", "Ulla bakes it.")
LAMP = exchange("What colour is the lamp?", "Green.")


def resting(desk: Desk, seconds: float = 60.0) -> None:
    desk.supervisor.configure(RunSettings(home=desk.home, warm_on_open=False, min_interval_seconds=seconds))


async def test_r05_a_save_begins_no_run_before_the_rest_is_over_and_the_newest_text_is_trained_then(desk: Desk) -> None:
    resting(desk)
    await desk.learn(FERRY)
    desk.save(FERRY + BAKER)
    desk.clock.advance(30)
    desk.save(FERRY + BAKER + LAMP)
    desk.clock.advance(29)
    assert desk.status.state is RunState.QUEUED
    assert desk.status.run is not None
    assert progress_message(desk.status.run) == "queued: 60 s of rest between runs (dlm.minIntervalSeconds)"
    assert len(desk.learner.plans) == 1
    desk.clock.advance(2)
    await asyncio.wait_for(desk.supervisor.wait_for_idle(desk.path), 20)
    assert len(desk.learner.plans) == 2
    assert len(desk.learner.plans[1].fresh) == 2


async def test_r05_the_authors_own_command_does_not_wait_and_a_skip_is_no_run(desk: Desk) -> None:
    resting(desk)
    await desk.learn(FERRY)
    desk.clock.advance(61)
    await desk.learn(FERRY)
    assert isinstance(desk.events[-1], events.Skipped)
    await desk.learn(FERRY + BAKER)
    assert len(desk.learner.plans) == 2, "the skip did not begin a new rest"
    desk.save(FERRY + BAKER + LAMP)
    desk.clock.advance(1)
    assert desk.status.state is RunState.QUEUED
    desk.supervisor.train_now(desk.path)
    await asyncio.wait_for(desk.supervisor.wait_for_idle(desk.path), 20)
    assert len(desk.learner.plans) == 3


async def test_r05_a_save_during_a_run_rests_after_it(desk: Desk, tmp_path: Path) -> None:
    resting(desk)
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        desk.save(FERRY)
        desk.clock.advance(0.4)
        await desk.until(events.Started)
        desk.save(FERRY + BAKER, "training:\n  seed: 7\n")  # the run can't take that in
        desk.clock.advance(5)
        gate.allow(10)
        await desk.until(events.Finished)
        assert desk.status.state is RunState.RESTARTING
        desk.clock.advance(59)
        assert len(desk.learner.plans) == 1
        desk.clock.advance(1)
        await asyncio.wait_for(desk.supervisor.wait_for_idle(desk.path), 20)
    assert len(desk.learner.plans) == 2


async def test_r08_switching_training_off_calls_off_what_a_save_asked_for_and_takes_its_sentences_back(
    desk: Desk,
) -> None:
    await desk.learn(exchange("What?", FAIL))
    assert desk.status.last is not None and desk.status.last.outcome == "failed"
    desk.save(FERRY)
    desk.supervisor.configure(RunSettings(home=desk.home, warm_on_open=False, on_save="off"))
    assert desk.status.state is RunState.IDLE
    assert desk.status.last is not None and desk.status.last.outcome == "cancelled"
    desk.clock.advance(10)
    assert not desk.store.current()


async def test_a_closed_document_is_forgotten_when_nothing_runs_for_it_any_more(desk: Desk) -> None:
    desk.supervisor.opened(desk.path, desk.write(FERRY))
    desk.save(FERRY)
    desk.supervisor.closed(desk.path)
    assert desk.supervisor.status(desk.path) is not None, "its run is still to come"
    await desk.settle()
    assert desk.store.current() is not None
    assert desk.supervisor.status(desk.path) is None
    assert desk.supervisor.statuses() == []


async def test_a_document_that_was_only_commanded_is_forgotten_too(desk: Desk) -> None:
    desk.write(FERRY)
    assert desk.supervisor.would_discard(desk.path) is None
    assert desk.supervisor.train_now(desk.path.with_name("gone.dlm")).startswith("gone.dlm cannot be read")
    desk.supervisor.unlock(desk.path)
    assert desk.supervisor.statuses() == []
    desk.supervisor.train_now(desk.path)
    await asyncio.wait_for(desk.supervisor.wait_for_idle(), 20)
    assert desk.store.current() is not None
    assert desk.supervisor.statuses() == []


async def test_a_finished_run_is_told_to_the_same_document_under_another_name(desk: Desk, tmp_path: Path) -> None:
    text = desk.write(FERRY)
    other = tmp_path / "copy.dlm"
    other.write_text(text)
    desk.supervisor.opened(desk.path, text)
    desk.supervisor.opened(other, text)
    await desk.learn(FERRY)
    status = desk.supervisor.status(other)
    assert status is not None
    assert (status.version, len(status.pending)) == (1, 0)
