"""Before and after, the deciding side: whom it asks, how often, and when it keeps quiet. The learner is a fake."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlm_lsp.document import Position
from dlm_lsp.runs.answers import BASE, MOST_QUESTIONS, MOST_TOKENS, Answers, Said, matches
from dlm_lsp.runs.questions import AskRefused
from dlm_lsp.runs.settings import RunSettings
from tests.fakes import Gate
from tests.runs.conftest import Desk, exchange

FERRY = exchange("When does the ferry leave?", "At seven.")
BAKER = exchange("Who bakes the bread?", "Ulla bakes it.")
AT_FERRY = Position(7, 0)  # its question


def speakers(desk: Desk) -> list[str | None]:
    """Which versions were asked, in order; None is the bare base."""
    asked = [request.session.version_dir for request in desk.learner.asked]
    return [Path(each).name if each else None for each in asked]


async def test_one_version_is_asked_everything_before_the_next_one_and_nothing_twice(desk: Desk) -> None:
    answers = Answers(desk.supervisor)
    await desk.learn(FERRY + BAKER)
    found = await answers.of(desk.path)
    assert (found.version, found.before, found.current) == (1, BASE, 1)
    assert [each.question for each in found.answers] == ["When does the ferry leave?", "Who bakes the bread?"]
    assert speakers(desk) == [None, None, "v0001", "v0001"]
    assert {request.max_new_tokens for request in desk.learner.asked} == {MOST_TOKENS}
    assert {request.temperature for request in desk.learner.asked} == {0.0}
    await answers.of(desk.path, 1)
    assert len(speakers(desk)) == 4


async def test_more_questions_than_the_bound_are_counted(desk: Desk) -> None:
    answers = Answers(desk.supervisor)
    await desk.learn("".join(exchange(f"What is {number}?", f"It is {number}.") for number in range(15)))
    found = await answers.of(desk.path)
    assert (len(found.answers), found.left_out) == (MOST_QUESTIONS, 3)


async def test_a_version_before_that_is_gone_is_not_asked(desk: Desk) -> None:
    desk.supervisor.configure(RunSettings(home=desk.home, warm_on_open=False, keep_versions=1))
    answers = Answers(desk.supervisor)
    await desk.learn(FERRY)
    await desk.learn(FERRY + BAKER)
    found = await answers.of(desk.path)
    assert (found.before, found.answers[0].before, found.answers[0].after) == (1, None, Said("Ulla bakes it."))
    assert speakers(desk) == ["v0002"]


async def test_a_version_of_another_base_leaves_the_others_told(desk: Desk) -> None:
    answers = Answers(desk.supervisor)
    await desk.learn(FERRY)
    other = desk.path.read_text().replace("builtin:tiny", "smollm2-135m") + BAKER
    desk.path.write_text(other)
    desk.supervisor.changed(desk.path, other)
    desk.supervisor.full_retrain(desk.path)
    await desk.settle()
    found = await answers.of(desk.path)
    assert (found.version, found.before) == (2, 1)
    assert [each.before for each in found.answers] == [None, None]
    assert [each.after for each in found.answers] == [Said("At seven."), Said("Ulla bakes it.")]


async def test_a_changed_system_prompt_is_asked_anew(desk: Desk) -> None:
    answers = Answers(desk.supervisor)
    await desk.learn(FERRY)
    await answers.of(desk.path)
    desk.supervisor.changed(desk.path, desk.path.read_text().replace("---\n\n", "system_prompt: Be brief.\n---\n\n"))
    await answers.of(desk.path)
    assert [request.session.system_prompt for request in desk.learner.asked] == [None, None, "Be brief.", "Be brief."]


async def test_why_there_is_nothing_to_compare_is_one_sentence(desk: Desk) -> None:
    answers = Answers(desk.supervisor)
    with pytest.raises(AskRefused, match=r"notes\.dlm is not open"):
        await answers.of(desk.path)
    desk.supervisor.opened(desk.path, desk.write(FERRY))
    with pytest.raises(AskRefused, match="nothing is learned yet"):
        await answers.of(desk.path)
    desk.supervisor.trust(False)
    with pytest.raises(AskRefused, match="not trusted"):
        await answers.of(desk.path)
    assert desk.learner.asked == []


async def test_a_glance_asks_once_and_the_next_one_knows(desk: Desk) -> None:
    answers = Answers(desk.supervisor)
    await desk.learn(FERRY)
    assert answers.glance(desk.path, AT_FERRY) is None
    assert answers.glance(desk.path, AT_FERRY) is None
    await answers.settled()
    found = answers.glance(desk.path, AT_FERRY)
    assert found is not None
    assert (found.before, found.answers[0].before, found.answers[0].after) == (
        BASE,
        Said("At seven."),
        Said("At seven."),
    )
    assert speakers(desk) == [None, "v0001"]
    assert answers.glance(desk.path, Position(0, 0)) is None


async def test_a_glance_loads_no_model_and_asks_nothing_in_an_untrusted_workspace(desk: Desk) -> None:
    answers = Answers(desk.supervisor)
    await desk.learn(FERRY)
    desk.clock.advance(31 * 60)
    await desk.until_status(lambda status: not status.warm)
    assert answers.glance(desk.path, AT_FERRY) is None
    await desk.learn(FERRY + BAKER)
    desk.supervisor.trust(False)
    assert answers.glance(desk.path, AT_FERRY) is None
    await answers.settled()
    assert desk.learner.asked == []


async def test_a_save_does_not_wait_for_a_glance(desk: Desk) -> None:
    with Gate(desk.path.parent / "tongue") as tongue:
        answers = Answers(desk.supervisor)
        await desk.learn(FERRY)
        desk.learner.tongue = tongue  # nobody lets it say a word
        assert answers.glance(desk.path, AT_FERRY) is None
        desk.save(FERRY + BAKER)
        assert answers.glance(desk.path, AT_FERRY) is None  # a run waits
        await desk.settle()
        assert desk.status.version == 2
        await answers.settled()


def test_an_answer_that_was_cut_matches_as_far_as_it_goes() -> None:
    assert matches(Said("At seven."), "At seven.\n")
    assert not matches(Said("At seven"), "At seven.")
    assert matches(Said("At sev", cut=True), "At seven.")
    assert not matches(Said("", cut=True), "At seven.")
