"""What the cap of steps has left is gone on with when the document is at rest; time is moved by hand."""

from __future__ import annotations

from dlm_lsp.runs import events
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import RunState
from dlm_lsp.runs.telling import progress_message
from tests.runs.conftest import Desk, exchange

FERRY = exchange("When does the ferry leave?", "At seven.")
BAKER = exchange("Who bakes the bread?", "Ulla bakes it.")


def capped(desk: Desk, *, goes_on: bool = True, rest: float = 0.0) -> None:
    desk.supervisor.configure(
        RunSettings(
            home=desk.home, warm_on_open=False, max_steps=3, continue_when_idle=goes_on, min_interval_seconds=rest
        )
    )


async def test_what_the_cap_left_is_said_and_learned_in_the_next_idle_moment(desk: Desk) -> None:
    capped(desk)
    desk.save(FERRY)
    desk.clock.advance(0.4)
    end = await desk.until(events.Finished)
    assert end.message == "stopped at the cap of 3 steps (v0001); 1 of 1 lesson not learned yet"
    assert desk.status.state is RunState.QUEUED
    assert desk.status.run is not None
    assert progress_message(desk.status.run) == (
        "queued: going on with 1 lesson that the cap left (dlm.continueWhenIdle)"
    )
    desk.clock.advance(1.9)
    assert len(desk.learner.plans) == 1
    desk.learner.steps = 3  # now it suffices
    await desk.settle()
    assert len(desk.learner.plans) == 2
    assert desk.status.version == 2
    assert desk.status.state is RunState.IDLE


async def test_a_save_in_the_idle_moment_is_taken_along(desk: Desk) -> None:
    capped(desk)
    desk.save(FERRY)
    desk.clock.advance(0.4)
    await desk.until(events.Finished)
    desk.learner.steps = 3
    desk.save(FERRY + BAKER)
    await desk.settle()
    assert [len(plan.fresh) for plan in desk.learner.plans] == [1, 2]


async def test_it_gives_up_when_nothing_more_is_learned(desk: Desk) -> None:
    capped(desk)
    desk.save(FERRY)
    desk.clock.advance(0.4)
    for run in (1, 2, 3):
        await desk.until(events.Finished, run)
        await desk.until(events.Queued, run + 1)
        desk.clock.advance(2.0)
    await desk.until(events.Finished, 4)
    desk.clock.advance(100)
    assert len(desk.learner.plans) == 4
    assert desk.status.state is RunState.IDLE
    assert "3 runs in a row learned nothing more" in desk.status.note
    desk.save(FERRY + BAKER)
    assert not desk.status.note


async def test_it_rests_as_long_as_the_author_wants_between_runs(desk: Desk) -> None:
    capped(desk, rest=60)
    desk.save(FERRY)
    desk.clock.advance(0.4)
    await desk.until(events.Finished)
    desk.clock.advance(59)
    assert len(desk.learner.plans) == 1
    desk.learner.steps = 3
    desk.clock.advance(2)
    await desk.settle()
    assert len(desk.learner.plans) == 2


async def test_without_the_setting_the_cap_is_what_a_save_costs_and_cancelling_ends_it_with_it(desk: Desk) -> None:
    capped(desk, goes_on=False)
    await desk.learn(FERRY)
    desk.clock.advance(100)
    assert len(desk.learner.plans) == 1
    assert desk.status.state is RunState.IDLE
    capped(desk)
    desk.save(FERRY + BAKER)
    desk.clock.advance(0.4)
    await desk.until(events.Finished, 2)
    assert desk.supervisor.cancel(desk.path) == "cancelled"
    desk.clock.advance(100)
    assert len(desk.learner.plans) == 2
