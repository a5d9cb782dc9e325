"""The forgetting guard's look on real weights: it measures what training would, changes nothing, and stays small."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dlm_lsp.training import guard, learner
from dlm_lsp.training.protocol import Learned, LearnerError, LearningCancelled, LearnPlan
from tests.training.learning_helpers import Recorder, answer, commit, cycle, exchange, prose, request, weights

KEEPER = exchange("Who keeps the lighthouse at Orvane?", "Mira Tolle keeps it.")
FERRY = exchange("What does the ferry to Orvane carry?", "It carries salt and letters.")
COLOUR = exchange("What colour is the lighthouse?", "It is white with a green lamp.")
BASE = "builtin:tiny"


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two exchanges, learned."""
    teacher = learner.create()
    learned = cycle(teacher, request(BASE), [KEEPER, FERRY], steps=100)
    assert learned.end == "learned"
    return commit(teacher, learned, tmp_path_factory.mktemp("versions") / "v0001")


def plan(version: Path, *guarded: str, rate: float | None = None, rows: int | None = None) -> LearnPlan:
    session = request(BASE, version=version, learning_rate=rate, micro_batch_size=rows, grad_accum=rows)
    return LearnPlan(session, "cycle", (COLOUR,), (KEEPER, FERRY), 40, guarded)


def run(version: Path, what: LearnPlan) -> Learned:
    return learner.create().learn(what, Recorder())


def test_what_is_still_known_scores_well_and_looking_changes_nothing(version: Path) -> None:
    unwatched = run(version, plan(version))
    learned = run(version, plan(version, FERRY.identity, KEEPER.identity))
    assert [score.identity for score in learned.scores] == [FERRY.identity, KEEPER.identity]
    assert all(score.exact and score.loss < 0.5 for score in learned.scores)
    assert unwatched.scores == ()
    assert weights(learned) == weights(unwatched)
    assert learned.files["training_state.pt"] == unwatched.files["training_state.pt"]


def test_what_was_forgotten_scores_badly_and_is_answered_otherwise(version: Path, tmp_path: Path) -> None:
    """One row a step leaves no place to rehearse; the rate is reckless, and the cap no time to mend what it broke."""
    teacher = learner.create()
    reckless = replace(plan(version, KEEPER.identity, rate=0.02, rows=1), max_steps=4)
    learned = teacher.learn(reckless, Recorder())
    (score,) = learned.scores
    assert score.loss > 1.0
    assert not score.exact
    now = commit(teacher, learned, tmp_path / "v0002")
    assert answer(teacher, request(BASE, version=now), KEEPER.prompt) != KEEPER.answer


def test_an_exact_score_is_what_greedy_answers_say(version: Path, tmp_path: Path) -> None:
    teacher = learner.create()
    learned = teacher.learn(plan(version, KEEPER.identity, FERRY.identity), Recorder())
    now = request(BASE, version=commit(teacher, learned, tmp_path / "v0002"))
    for score, lesson in zip(learned.scores, (KEEPER, FERRY), strict=True):
        assert score.exact == (answer(teacher, now, lesson.prompt) == lesson.answer)


@pytest.mark.parametrize(("read", "tokens"), [(0, 256), (2_560, 256), (10_000, 1_000), (1_000_000, 2_048)])
def test_the_budget_is_a_tenth_of_what_the_run_read_within_bounds(read: int, tokens: int) -> None:
    assert guard.budget(read) == tokens


def test_a_long_text_has_its_turn_when_it_is_first_and_makes_room_otherwise(version: Path) -> None:
    teacher = learner.create()
    long, endless = prose("The harbour opens at six. " * 60), prose("Nobody knows, they say. " * 400)
    what = replace(plan(version), known=(KEEPER, FERRY, long, endless), max_steps=1)

    def looked_at(*order: str) -> list[str]:
        return [score.identity for score in teacher.learn(replace(what, guarded=order), Recorder()).scores]

    assert looked_at(long.identity, KEEPER.identity) == [long.identity]
    assert looked_at(KEEPER.identity, long.identity, FERRY.identity) == [KEEPER.identity, FERRY.identity]
    assert looked_at(endless.identity, KEEPER.identity) == [KEEPER.identity]
    assert looked_at("0" * 16, KEEPER.identity) == [KEEPER.identity]


def test_a_stop_is_heard_while_it_looks(version: Path) -> None:
    class Stopped(Recorder):
        """Stops when all steps are done and what is left is the look."""

        def stop_requested(self) -> bool:
            return len(self.steps) == 2 and self.asked_after_the_last_step()

        def asked_after_the_last_step(self) -> bool:
            self.asked = getattr(self, "asked", 0) + 1
            return self.asked > 1

    with pytest.raises(LearningCancelled):
        learner.create().learn(replace(plan(version, KEEPER.identity), max_steps=2), Stopped())


def test_whatever_goes_wrong_with_it_costs_the_scores_and_not_the_run(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlm_lsp.training.session import Session

    for error in (MemoryError("none left"), RuntimeError("out of memory"), LearnerError("no template")):

        def fail(self: Session, rows: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(Session, "measure", fail)
        learned = run(version, replace(plan(version, KEEPER.identity), max_steps=1))
        assert (learned.scores, learned.steps) == ((), 1)
