"""Warming before the first save, and letting go after a while."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from dlm_lsp.runs import events
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.training.protocol import Control, SessionInfo, SessionRequest
from tests.fakes import FAIL, FakeLearner
from tests.runs.conftest import Desk, exchange

FERRY = exchange("When does the ferry leave?", "At seven.")


class Told(FakeLearner):
    """Tells what was asked of it, and can be kept in the middle of a warm-up."""

    def __init__(self) -> None:
        super().__init__()
        self.warmed: list[str | None] = []
        self.released: list[str] = []
        self.inside = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def warm(self, request: SessionRequest, control: Control) -> SessionInfo:
        self.inside.set()
        self.go_on.wait(20)
        self.warmed.append(request.version_dir)
        return super().warm(request, control)

    def release(self, key: str) -> None:
        self.released.append(key)
        super().release(key)


async def at_a_desk(tmp_path: Path, **settings: object) -> tuple[Desk, Told]:
    desk = Desk(tmp_path, RunSettings(home=tmp_path / "home", **settings))  # type: ignore[arg-type]
    desk.learner = told = Told()
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


async def test_a_session_that_was_only_warmed_or_whose_run_was_no_success_is_released_too(tmp_path: Path) -> None:
    desk, told = await at_a_desk(tmp_path, keep_warm_minutes=10.0)
    desk.supervisor.opened(desk.path, desk.write(FERRY))
    desk.clock.advance(2)
    await desk.until_status(lambda status: status.warm)
    desk.clock.advance(11 * 60)
    await desk.until_status(lambda status: not status.warm)
    await desk.learn(exchange("What?", FAIL))
    desk.clock.advance(11 * 60)
    assert await desk.supervisor.shutdown(10)
    assert len(told.released) == 2


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
