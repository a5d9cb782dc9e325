"""Training just some sections: what is fresh, what is rehearsed, and that no save is forgotten for it."""

from __future__ import annotations

import pytest

from dlm_lsp.document import parse
from dlm_lsp.runs import events
from dlm_lsp.runs.status import SectionState
from tests.fakes import Gate
from tests.runs.conftest import Desk, exchange

FERRY = exchange("When does the ferry leave?", "At seven.")
BAKER = exchange("Who bakes the bread?", "Ulla bakes it.")
BELL = exchange("Who rings the bell?", "Noor rings it.")


def ids(desk: Desk, *numbers: int) -> list[str]:
    """Those of the sections with these places in the file."""
    sections = parse(desk.path.read_text()).sections
    return [sections[number].section_id for number in numbers]


def fresh(desk: Desk) -> list[str]:
    """The answers that the last run had to learn."""
    return [lesson.answer for lesson in desk.learner.plans[-1].fresh]


def known(desk: Desk) -> list[str]:
    return [lesson.answer for lesson in desk.learner.plans[-1].known]


async def test_a_learned_section_is_trained_again_and_the_rest_rehearsed(desk: Desk) -> None:
    await desk.learn(FERRY + BAKER)
    assert desk.supervisor.train_sections(desk.path, ids(desk, 1)) == "1 section queued for training"
    states = [section.state for section in desk.status.sections]
    assert states == [SectionState.LEARNED, SectionState.WAITING]
    await desk.settle()
    assert (fresh(desk), known(desk)) == (["Ulla bakes it."], ["At seven."])
    assert desk.status.version == 2
    assert [section.times_seen for section in desk.status.sections] == [5, 10]
    assert [section.version for section in desk.status.sections] == [1, 1]  # of what was learned then, nothing is new
    messages = [each.run.purpose for each in desk.statuses if each.run is not None]
    assert "rehearsing 1 section" in messages


async def test_of_new_sections_only_the_named_one_is_learned_and_no_other_is_touched(desk: Desk) -> None:
    desk.write(FERRY + BAKER)
    desk.supervisor.looked_at(desk.path)
    desk.supervisor.train_sections(desk.path, ids(desk, 0))
    await desk.settle()
    assert (fresh(desk), known(desk)) == (["At seven."], [])
    assert [section.state for section in desk.status.sections] == [SectionState.LEARNED, SectionState.NEW]
    assert "training 1 section" in {each.run.purpose for each in desk.statuses if each.run is not None}


async def test_a_waiting_save_is_trained_with_it_and_not_forgotten(desk: Desk) -> None:
    await desk.learn(FERRY)
    desk.save(FERRY + BAKER)
    desk.supervisor.train_sections(desk.path, ids(desk, 0))
    assert desk.status.run is not None and not desk.status.run.purpose
    await desk.settle()
    assert sorted(fresh(desk)) == ["At seven.", "Ulla bakes it."]
    assert [section.state for section in desk.status.sections] == [SectionState.LEARNED, SectionState.LEARNED]


async def test_a_save_that_comes_while_it_waits_is_trained_with_it(desk: Desk) -> None:
    with Gate(desk.path.parent / "gate") as gate:
        await desk.learn(FERRY + BAKER)
        desk.learner.gate = gate
        desk.save(FERRY + BAKER + BELL)
        desk.clock.advance(0.4)
        await desk.until(events.Started, 2)
        desk.supervisor.train_sections(desk.path, ids(desk, 0))  # waits for the run that goes on
        desk.supervisor.train_sections(desk.path, ids(desk, 1))
        gate.allow(50)
        await desk.settle()
        assert (fresh(desk), known(desk)) == (["At seven.", "Ulla bakes it."], ["Noor rings it."])

        desk.save(FERRY + BAKER + BELL)
        desk.supervisor.train_sections(desk.path, ids(desk, 2))
        desk.save(FERRY + BELL)
        await desk.settle()
        assert fresh(desk) == ["Noor rings it."]


async def test_a_full_retrain_that_waits_stays_one(desk: Desk) -> None:
    with Gate(desk.path.parent / "gate") as gate:
        desk.learner.gate = gate
        desk.save(FERRY + BAKER)
        desk.clock.advance(0.4)
        await desk.until(events.Started)
        desk.supervisor.full_retrain(desk.path)
        desk.supervisor.train_sections(desk.path, ids(desk, 0))
        gate.allow(50)
        await desk.settle()
    assert [plan.kind for plan in desk.learner.plans] == ["cycle", "full"]
    assert len(fresh(desk)) == 2


async def test_what_is_not_in_the_saved_text_is_refused_with_a_sentence(desk: Desk) -> None:
    await desk.learn(FERRY)
    with pytest.raises(ValueError, match="the saved text has none of these sections"):
        desk.supervisor.train_sections(desk.path, ["0" * 16])
    with pytest.raises(ValueError, match="the saved text has none of these sections"):
        desk.supervisor.train_sections(desk.path, [])
    assert not desk.supervisor.busy
    desk.supervisor.trust(False)
    assert "not trusted" in desk.supervisor.train_sections(desk.path, ids(desk, 0))
