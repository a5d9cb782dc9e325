"""Warming before the first save, and letting go after a while."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from dlm_lsp.document.model import Lesson
from dlm_lsp.runs import events
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.training.protocol import Control, Learned, LearnerLostError, LearnPlan, SessionInfo, SessionRequest
from tests.fakes import FAIL, FakeLearner
from tests.runs.conftest import Desk, exchange

FERRY = exchange("When does the ferry leave?", "At seven.")


class Told(FakeLearner):
    """Tells what was asked of it, and can be kept in the middle of a warm-up."""

    def __init__(self) -> None:
        super().__init__()
        self.warmed: list[str | None] = []
        self.read: tuple[Lesson, ...] = ()
        self.released: list[str] = []
        self.closed = False
        self.inside = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def warm(self, request: SessionRequest, control: Control, lessons: tuple[Lesson, ...] = ()) -> SessionInfo:
        self.inside.set()
        self.go_on.wait(20)
        self.warmed.append(request.version_dir)
        self.read = lessons
        return super().warm(request, control, lessons)

    def release(self, key: str) -> None:
        self.released.append(key)
        super().release(key)

    def close(self) -> None:
        self.closed = True
        super().close()


class Elsewhere(Told):
    """As if it had a process of its own, which `dies` in every run."""

    def __init__(self) -> None:
        super().__init__()
        self.dies = False
        self.alive = True
        self.abandoned = False

    def learn(self, plan: LearnPlan, control: Control) -> Learned:
        if self.dies:
            self.alive = False
            raise LearnerLostError("The learner was killed.", code="learner-died")
        return super().learn(plan, control)

    def abandon(self) -> None:
        self.abandoned = True


async def at_a_desk(tmp_path: Path, learner: Told | None = None, **settings: object) -> tuple[Desk, Told]:
    desk = Desk(tmp_path, RunSettings(home=tmp_path / "home", **settings))  # type: ignore[arg-type]
    desk.learner = told = learner or Told()
    desk.supervisor.start(asyncio.get_running_loop())
    return desk, told


async def test_an_opened_document_is_warmed_in_a_quiet_moment_and_nothing_is_written(tmp_path: Path) -> None:
    desk, told = await at_a_desk(tmp_path)
    desk.supervisor.opened(desk.path, desk.write(FERRY))
    desk.clock.advance(1.0)
    assert not told.inside.is_set()
    desk.clock.advance(1.0)
    await desk.until_status(lambda status: status.warm)
    assert told.warmed == [None]
    assert [lesson.answer for lesson in told.read] == ["At seven."], "what the next run reads whatever is saved"
    assert desk.status.device == "cpu (fake)"
    assert not desk.home.exists()
    assert await desk.supervisor.shutdown(10)


async def test_a_document_closed_at_once_or_with_errors_or_by_setting_is_not_warmed(tmp_path: Path) -> None:
    desk, told = await at_a_desk(tmp_path)
    desk.supervisor.opened(desk.path, desk.write(FERRY))
    desk.supervisor.closed(desk.path)
    desk.supervisor.opened(desk.path, "---\nbase_model: builtin:tiny\n---\n")
    desk.clock.advance(10)
    desk.supervisor.configure(RunSettings(home=desk.home, warm_on_open=False))
    desk.supervisor.opened(desk.path, desk.write(FERRY))
    desk.clock.advance(10)
    assert await desk.supervisor.shutdown(10)
    assert not told.warmed


async def test_a_base_that_would_have_to_be_downloaded_is_not_fetched_by_opening(tmp_path: Path) -> None:
    desk, told = await at_a_desk(tmp_path)
    text = desk.write(FERRY).replace("builtin:tiny", "hf:somebody/something")
    desk.supervisor.opened(desk.path, text)
    desk.clock.advance(10)
    assert await desk.supervisor.shutdown(10)
    assert not told.warmed


async def test_a_save_during_the_warm_up_is_learned_right_after_it(tmp_path: Path) -> None:
    desk, told = await at_a_desk(tmp_path)
    told.go_on.clear()
    desk.supervisor.opened(desk.path, desk.write(FERRY))
    desk.clock.advance(2)
    await asyncio.to_thread(told.inside.wait, 20)
    desk.save(FERRY)
    desk.clock.advance(0.4)
    told.go_on.set()
    finished = await desk.until(events.Finished)
    assert finished.version == 1
    assert await desk.supervisor.shutdown(10)


async def test_an_idle_session_is_released_after_its_time_and_a_save_starts_the_time_anew(tmp_path: Path) -> None:
    desk, told = await at_a_desk(tmp_path, warm_on_open=False, keep_warm_minutes=10.0)
    await desk.learn(FERRY)
    assert desk.status.warm
    desk.clock.advance(9 * 60)
    await desk.learn(FERRY + exchange("Who bakes?", "Ulla."))
    desk.clock.advance(9 * 60)
    assert not told.released
    desk.clock.advance(2 * 60)
    await desk.until_status(lambda status: not status.warm)
    assert len(told.released) == 1
    assert await desk.supervisor.shutdown(10)


async def test_what_was_only_warmed_is_released_after_its_time_as_well(tmp_path: Path) -> None:
    desk, told = await at_a_desk(tmp_path, keep_warm_minutes=10.0)
    desk.supervisor.opened(desk.path, desk.write(FERRY))
    desk.clock.advance(2)
    await desk.until_status(lambda status: status.warm)
    desk.clock.advance(11 * 60)
    await desk.until_status(lambda status: not status.warm)
    assert len(told.released) == 1
    assert await desk.supervisor.shutdown(10)


async def test_what_is_not_to_be_kept_warm_is_not_warmed(tmp_path: Path) -> None:
    desk, told = await at_a_desk(tmp_path, keep_warm_minutes=0.0)
    desk.supervisor.opened(desk.path, desk.write(FERRY))
    desk.clock.advance(10)
    assert await desk.supervisor.shutdown(10)
    assert not told.warmed


async def test_what_a_run_that_failed_has_loaded_is_released_after_its_time_as_well(tmp_path: Path) -> None:
    desk, told = await at_a_desk(tmp_path, warm_on_open=False, keep_warm_minutes=10.0)
    assert isinstance(await desk.learn(exchange("Who?", FAIL)), events.Failed)
    desk.clock.advance(11 * 60)
    assert await desk.supervisor.shutdown(10)
    assert len(told.released) == 1


async def test_a_learner_that_is_lost_leaves_nothing_warm_and_says_what_stays(tmp_path: Path) -> None:
    desk, elsewhere = await at_a_desk(tmp_path, Elsewhere(), warm_on_open=False)
    assert isinstance(elsewhere, Elsewhere)
    await desk.learn(FERRY)
    assert desk.status.warm
    elsewhere.dies = True
    failed = await desk.learn(FERRY + exchange("Who bakes?", "Ulla."))
    assert isinstance(failed, events.Failed)
    assert failed.code == "learner-died"
    assert failed.message == "The learner was killed. v0001 stays current; the next save starts a new one."
    assert not desk.status.warm
    assert await desk.supervisor.shutdown(10)
    assert elsewhere.abandoned


async def test_another_kind_of_learner_takes_over_with_the_next_run(tmp_path: Path) -> None:
    learners = {"thread": Told(), "process": Told()}
    desk = Desk(tmp_path, RunSettings(home=tmp_path / "home", warm_on_open=False))
    factories = {"thread": lambda: learners["thread"], "process": lambda: learners["process"]}
    desk.supervisor = Supervisor(
        learner=factories,  # type: ignore[arg-type]
        settings=RunSettings(home=desk.home, warm_on_open=False),
        clock=desk.clock,
    )
    desk.supervisor.start(asyncio.get_running_loop())

    async def learn(body: str) -> None:
        desk.supervisor.saved(desk.path, desk.write(body))
        await desk.settle()

    await learn(FERRY)
    desk.supervisor.configure(RunSettings(home=desk.home, warm_on_open=False, learner="process"))
    assert not learners["thread"].closed
    await learn(FERRY + exchange("Who bakes?", "Ulla."))
    assert learners["thread"].closed
    assert [len(each.plans) for each in learners.values()] == [1, 1]
    desk.clock.advance(40 * 60)
    assert await desk.supervisor.shutdown(10)
    assert (learners["thread"].released, len(learners["process"].released)) == ([], 1)


async def test_a_renamed_document_keeps_its_session_warm_for_its_full_time(tmp_path: Path) -> None:
    desk, told = await at_a_desk(tmp_path, warm_on_open=False, keep_warm_minutes=10.0)
    await desk.learn(FERRY)
    desk.clock.advance(9 * 60)
    renamed = tmp_path / "renamed.dlm"
    desk.path.rename(renamed)
    desk.path = renamed
    assert desk.supervisor.opened(renamed, renamed.read_text()).warm
    await desk.learn(FERRY + exchange("Who bakes?", "Ulla."))
    desk.clock.advance(2 * 60)
    await asyncio.sleep(0)
    assert not told.released
    assert await desk.supervisor.shutdown(10)
