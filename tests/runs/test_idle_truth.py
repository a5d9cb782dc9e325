"""What is said when nothing runs and the text and the adapter differ: changed settings, and sections that left."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from dlm_lsp.cli.status import look, show
from dlm_lsp.runs import events
from dlm_lsp.runs.memory import Recall
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.telling import headline
from dlm_lsp.server.hover import document_markdown
from dlm_lsp.server.stories import Told
from tests.fakes import Gate
from tests.runs.conftest import Desk, exchange

FERRY = exchange("When does the ferry leave?", "At seven.")
BAKER = exchange("Who bakes the bread?", "Ulla bakes it.")
HARE = exchange("What does the hare eat?", "Clover.")
FASTER = "training:\n  learning_rate: 0.001\n"
CONFIG = "configuration changed, applies from the next cycle"
REMOVED = "the adapter still knows 1 removed lesson until a full retrain"


def hover(desk: Desk) -> str:
    truth = desk.supervisor.truth(desk.path)
    assert truth is not None
    return document_markdown(Told(truth, Recall()))


def on_a_terminal(desk: Desk) -> str:
    said = io.StringIO()
    show(look(desk.path, desk.home), Console(file=said, width=200))
    return said.getvalue()


async def test_a_changed_setting_is_told_in_status_hover_and_terminal_until_it_is_trained(desk: Desk) -> None:
    await desk.learn(FERRY)
    skipped = await desk.learn(FERRY, FASTER)
    assert isinstance(skipped, events.Skipped)
    assert CONFIG in skipped.reason
    assert headline(desk.status) == f"learned (v0001) · {CONFIG}"
    assert CONFIG.capitalize() in hover(desk)
    assert CONFIG in on_a_terminal(desk)
    await desk.learn(FERRY + BAKER, FASTER)
    assert headline(desk.status) == "learned (v0002)"
    assert CONFIG not in on_a_terminal(desk)


async def test_a_setting_that_is_changed_back_is_no_change(desk: Desk) -> None:
    await desk.learn(FERRY)
    desk.supervisor.changed(desk.path, desk.write(FERRY, FASTER))
    assert desk.status.config_changed
    desk.supervisor.changed(desk.path, desk.write(FERRY, "training:\n  seed: 42.0  # as by default\n"))
    assert not desk.status.config_changed


async def test_where_a_setting_trains_at_once_nothing_waits(desk: Desk) -> None:
    desk.supervisor.configure(RunSettings(home=desk.home, warm_on_open=False, retrain_on_config=True))
    await desk.learn(FERRY)
    assert isinstance(await desk.learn(FERRY, FASTER), events.Finished)
    assert headline(desk.status) == "learned (v0002)"


async def test_a_removed_section_leaves_the_replay_at_once_and_the_adapter_is_said_to_know_it(desk: Desk) -> None:
    await desk.learn(FERRY + BAKER)
    skipped = await desk.learn(FERRY)
    assert isinstance(skipped, events.Skipped)
    assert REMOVED in skipped.reason
    assert headline(desk.status) == f"learned (v0001) · {REMOVED}"
    assert "Learned, but no longer in the document: 1 lesson" in hover(desk)
    assert "1 lesson left the document; the adapter knows them until a full retrain" in on_a_terminal(desk)
    await desk.learn(FERRY + HARE)
    plan = desk.learner.plans[-1]
    assert [lesson.answer for lesson in plan.fresh] == ["Clover."]
    assert [lesson.answer for lesson in plan.known] == ["At seven."], "what left is not rehearsed"
    assert set(plan.guarded) <= {lesson.identity for lesson in plan.known}
    assert len(desk.store.replay().ids()) == 2, "nor kept for other tools"
    assert REMOVED in headline(desk.status), "only a full retrain makes it forget"
    desk.supervisor.full_retrain(desk.path)
    await desk.settle()
    assert headline(desk.status) == "learned (v0003)"


async def test_a_section_that_is_removed_in_the_middle_of_a_run_is_not_rehearsed_from_there_on(
    desk: Desk, tmp_path: Path
) -> None:
    await desk.learn(FERRY + BAKER)
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        desk.save(FERRY + BAKER + HARE)
        desk.clock.advance(0.4)
        await desk.until(events.Started, 2)
        desk.save(FERRY + HARE)
        desk.clock.advance(0.4)
        gate.allow(100)
        await desk.settle()
    first, *_, last = desk.learner.plans[-2:]
    assert [lesson.answer for lesson in first.known] == ["At seven.", "Ulla bakes it."]
    assert [lesson.answer for lesson in last.known] == ["At seven."]


async def test_both_are_told_in_one_sentence(desk: Desk) -> None:
    await desk.learn(FERRY + BAKER)
    skipped = await desk.learn(FERRY, FASTER)
    assert isinstance(skipped, events.Skipped)
    assert skipped.reason == f"no new content, skipping; {CONFIG}; {REMOVED}"


async def test_a_version_of_another_tool_says_nothing_of_settings(desk: Desk) -> None:
    await desk.learn(FERRY)
    record = desk.supervisor._records.of(desk.path)
    record.view = replace(record.view, ledger=replace(record.view.ledger, config=""))
    desk.supervisor._records.refresh(record)
    assert not desk.status.config_changed
