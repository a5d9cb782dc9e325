"""The forgetting guard's decisions: what is looked at, what counts as forgotten, and what takes the mark away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlm_lsp.document import Lesson, parse
from dlm_lsp.runs.guard import after_look, guarded
from dlm_lsp.runs.sections import section_statuses
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.telling import forgotten_sentence
from dlm_lsp.store import Known, Ledger
from dlm_lsp.training.protocol import LessonScore
from tests.fakes import FORGET
from tests.runs.conftest import Desk, exchange

FERRY = exchange("When does the ferry leave?", "At seven.")
BAKER = exchange("Who bakes the bread?", "Ulla bakes it.")
BELL = exchange("Who rings the bell?", "Noor rings it.")
CURSE = exchange("What is this?", FORGET)


def known(version: int = 1, **more: object) -> Known:
    entry = Known(version, 9, True, True, "a", "s", "2026-01-01T00:00:00Z", 2.0, 0.1)
    return replace(entry, **more)  # type: ignore[arg-type]


def lesson(name: str) -> Lesson:
    return Lesson(name, name, "exchange", name, name)


def test_what_was_unseen_for_longest_and_what_is_most_at_risk_take_turns() -> None:
    entries = {
        "old": known(1),
        "looked at": known(1, scored_in=8, score=0.1),
        "shaky": known(7, loss_after=0.45),
        "lost": known(2, scored_in=9, score=3.0, forgotten_since=9, sound_in=8),
        "fine": known(6),
        "unfinished": known(1, learned=False),
    }
    order = guarded([lesson(name) for name in (*entries, "new")], entries)
    assert order == ("old", "lost", "fine", "shaky", "looked at")


def test_within_some_runs_everything_is_looked_at() -> None:
    """Two are looked at a run, of which the riskiest is always the same one."""
    entries = {f"{number:02}": known(1, loss_after=0.5 if number == 19 else 0.1) for number in range(20)}
    for version in range(2, 22):
        for identity in guarded([lesson(name) for name in entries], entries)[:2]:
            score = LessonScore(identity, entries[identity].loss_after or 0.0, True)
            looked = after_look(entries[identity], score, 0.3, exchange=True)
            entries[identity] = looked.numbered(version)
    assert all(entry.scored_in for entry in entries.values())


@pytest.mark.parametrize(
    ("loss", "exact", "exchange", "forgotten"),
    [
        (0.39, True, True, False),
        (0.41, True, True, True),
        (0.05, False, True, True),
        (0.05, False, False, False),  # a text was never to be recited
        (0.41, False, False, True),
    ],
)
def test_forgotten_is_what_lost_more_than_the_margin_or_its_words(
    loss: float, exact: bool, exchange: bool, forgotten: bool
) -> None:
    looked = after_look(known(3, scored_in=6), LessonScore("a", loss, exact), 0.3, exchange=exchange).numbered(9)
    assert (looked.score, looked.exact, looked.scored_in) == (loss, exact, 9)
    assert (looked.forgotten_since, looked.sound_in) == ((9, 6) if forgotten else (None, None))
    assert (looked.version, looked.loss_after) == (3, 0.1)
    again = after_look(looked, LessonScore("a", 4.0, False), 0.3, exchange=exchange).numbered(10)
    assert (again.forgotten_since, again.sound_in) == ((9, 6) if forgotten else (10, 9))
    back = after_look(again, LessonScore("a", 0.1, True), 0.3, exchange=exchange).numbered(11)
    assert (back.forgotten_since, back.sound_in, back.scored_in) == (None, None, 11)


def test_a_ledger_names_the_version_that_looked() -> None:
    looked = after_look(known(3), LessonScore("a", 2.0, False), 0.3, exchange=True)
    entry = Ledger({"a": looked}).numbered(9).lessons["a"]
    assert (entry.version, entry.scored_in, entry.forgotten_since, entry.sound_in) == (3, 9, 9, 3)


async def test_the_warning_comes_with_the_run_and_goes_when_the_section_is_learned_again(desk: Desk) -> None:
    await desk.learn(FERRY + BAKER)
    await desk.learn(FERRY + BAKER + CURSE)
    assert desk.status.last is not None
    assert desk.status.last.message == "learned in 5 steps (v0002); 2 lessons forgotten by it"
    lost = desk.status.forgotten
    assert [(each.forgotten[0].since, each.forgotten[0].revert_to) for each in lost] == [(2, 1), (2, 1)]

    desk.supervisor.train_sections(desk.path, [lost[0].section_id])
    await desk.settle()
    # The rehearsal had a look at the other one, too.
    assert desk.status.forgotten == ()
    assert desk.status.version == 3


async def test_it_goes_with_a_revert_and_comes_back_with_the_version(desk: Desk) -> None:
    await desk.learn(FERRY)
    await desk.learn(FERRY + CURSE)
    assert len(desk.status.forgotten) == 1
    await desk.supervisor.revert(desk.path, 1)
    assert desk.status.forgotten == ()
    await desk.supervisor.revert(desk.path, 2)
    assert len(desk.status.forgotten) == 1


async def test_it_goes_when_the_section_changes_and_with_a_full_retrain(desk: Desk) -> None:
    await desk.learn(FERRY + BAKER)
    await desk.learn(FERRY + BAKER + CURSE)
    status = desk.supervisor.changed(desk.path, desk.path.read_text().replace("At seven.", "At eight."))
    assert len(status.forgotten) == 1
    desk.supervisor.full_retrain(desk.path)
    await desk.settle()
    assert desk.status.forgotten == ()


async def test_a_version_that_is_gone_is_not_offered(desk: Desk) -> None:
    desk.supervisor.configure(RunSettings(home=desk.home, warm_on_open=False, keep_versions=1))
    await desk.learn(FERRY)
    await desk.learn(FERRY + CURSE)
    (section,) = desk.status.forgotten
    assert section.forgotten[0].revert_to is None


async def test_without_a_margin_nothing_is_looked_at_and_nothing_said(desk: Desk) -> None:
    await desk.learn(FERRY)
    await desk.learn(FERRY + CURSE)
    desk.supervisor.configure(RunSettings(home=desk.home, warm_on_open=False, forgetting_margin=0.0))
    await desk.learn(FERRY + CURSE + BELL)
    assert desk.learner.plans[-1].guarded == ()
    assert desk.status.forgotten == ()


async def test_what_is_at_risk_is_rehearsed_first_also_without_a_margin(desk: Desk) -> None:
    await desk.learn(FERRY)
    await desk.learn(FERRY + BAKER)
    desk.supervisor.configure(RunSettings(home=desk.home, warm_on_open=False, forgetting_margin=0.0))
    await desk.learn(FERRY + BAKER + BELL)
    plan = desk.learner.plans[-1]
    assert plan.guarded == ()
    assert plan.risks[0] == next(each.identity for each in plan.known if each.prompt.startswith("When"))
    assert set(plan.risks) == {each.identity for each in plan.known}


def test_a_text_is_told_to_be_forgotten_by_its_loss_alone() -> None:
    """That it is not given word for word is no news: it never was."""
    text = f"---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: builtin:tiny\n---\n# Harbour\n\n{BELL}"
    document = parse(text)
    entries = {
        lesson.identity: known(1, score=2.0, exact=False, scored_in=2, forgotten_since=2)
        for section in document.sections
        for lesson in section.lessons
    }
    told = [each.forgotten[0] for each in section_statuses(document, Ledger(lessons=entries))]
    assert [forgotten_sentence(each) for each in told] == [
        "forgotten: was 0.10, is 2.00 since v0002",
        "forgotten: was 0.10, is 2.00 since v0002, not word for word any more",
    ]
