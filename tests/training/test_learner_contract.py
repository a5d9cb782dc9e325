"""What every learner keeps, whether it lives in this process or in one of its own, and that both learn the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlm_lsp.training.choice import LEARNERS
from dlm_lsp.training.process import ProcessLearner
from dlm_lsp.training.protocol import (
    AdapterShape,
    GenerateRequest,
    Learned,
    Learner,
    LearnerError,
    LearningCancelled,
    LearnPlan,
    SessionRequest,
    Spoken,
    Unwatched,
)
from tests.fakes import FAIL, FakeLearner
from tests.training.fake_child import COMMAND
from tests.training.learning_helpers import (
    Asked,
    Recorder,
    Text,
    answer,
    commit,
    cycle,
    exchange,
    full,
    prose,
    request,
    weights,
)

LESSONS = [exchange(f"Who keeps {place}?", f"They keep {place}.") for place in ("it", "six", "the town", "a light")]
TEXT = prose("The harbour of the old town opens at six.")
REAL = ["thread", "process"]
ALL = [*REAL, "fake", "fake in a process"]


@pytest.fixture(scope="module")
def made() -> Iterator[dict[str, Learner]]:
    """One of each for all tests of this module: importing torch in another process takes its time."""
    learners: dict[str, Learner] = {
        **{mode: make() for mode, make in LEARNERS.items()},
        "fake": FakeLearner(),
        "fake in a process": ProcessLearner(COMMAND),
    }
    yield learners
    for each in learners.values():
        each.close()


@pytest.fixture(params=REAL)
def real(request: pytest.FixtureRequest, made: dict[str, Learner]) -> Learner:
    return made[request.param]


@pytest.fixture(params=ALL)
def learner(request: pytest.FixtureRequest, made: dict[str, Learner]) -> Learner:
    return made[request.param]


@pytest.fixture(params=[*REAL, "fake"])  # the steps of a fake one take no time: no message comes between them
def steered(request: pytest.FixtureRequest, made: dict[str, Learner]) -> Learner:
    return made[request.param]


def results(made: dict[str, Learner], learn: Any) -> tuple[Learned, Learned]:
    """The same done by both; what they took of time is left out."""
    first, second = (replace(learn(made[mode], mode), phases={}) for mode in REAL)
    return first, second


# -- both learn the same


def test_a_cycle_gives_the_same_to_the_byte(made: dict[str, Learner], base: Path) -> None:
    def learn(learner: Learner, mode: str) -> Learned:
        return cycle(learner, request(base, key="same"), [*LESSONS, TEXT], steps=4)

    in_thread, in_process = results(made, learn)
    assert in_thread == in_process
    assert len(in_thread.files) > 4


def test_a_full_retrain_gives_the_same_to_the_byte(made: dict[str, Learner], base: Path) -> None:
    def learn(learner: Learner, mode: str) -> Learned:
        return full(learner, request(base, key="same", num_epochs=2, seed=7), LESSONS)

    in_thread, in_process = results(made, learn)
    assert in_thread == in_process
    assert in_thread.end in ("epochs", "learned")


def test_each_continues_the_other_s_version_as_its_own(made: dict[str, Learner], base: Path, tmp_path: Path) -> None:
    def learn(learner: Learner, mode: str) -> Learned:
        first = commit(None, cycle(learner, request(base, key="turns"), LESSONS), tmp_path / mode)
        other = made["thread" if mode == "process" else "process"]
        session = request(base, key="turns", version=first)
        second = commit(other, cycle(other, session, [TEXT], LESSONS), tmp_path / f"{mode} 2", key="turns")
        known = (TEXT, *LESSONS[1:])
        guarded = tuple(lesson.identity for lesson in known)
        plan = LearnPlan(request(base, key="turns", version=second), "cycle", (LESSONS[0],), known, 3, guarded)
        return learner.learn(plan, Recorder())

    in_thread, in_process = results(made, learn)
    assert in_thread == in_process
    assert [score.identity for score in in_thread.scores] == [lesson.identity for lesson in (TEXT, *LESSONS[1:])]


def test_both_answer_the_same(made: dict[str, Learner], base: Path) -> None:
    session = request(base, key="asked")
    drawn = [answer(made[mode], session, "Who?", tokens=12, temperature=2.0, seed=3) for mode in REAL]
    assert drawn[0] == drawn[1] != ""
    assert made["thread"].warm(session, Recorder()) == made["process"].warm(session, Recorder())


# -- warm, learn, committed


def test_what_is_warm_is_told(learner: Learner, base: Path) -> None:
    info = learner.warm(request(base), Recorder())
    assert info.parameters > info.trainable > 0
    assert info.device.startswith("cpu (")


def test_phases_and_steps_come_in_order(learner: Learner, base: Path) -> None:
    learner.release("document")
    control = Recorder()
    learned = cycle(learner, request(base), LESSONS, steps=3, control=control)
    first_seen = [phase for index, phase in enumerate(control.phases) if phase not in control.phases[:index]]
    assert [phase for phase in first_seen if phase not in ("import", "write")] == ["load", "tokenise", "train"]
    assert [step for step, *_ in control.steps] == [1, 2, 3]
    assert learned.end == "cap"
    assert learned.steps == 3
    assert learned.tokens == sum(tokens for *_, tokens in control.steps)
    assert learned.final_loss == control.steps[-1][2]
    assert {lesson.identity for lesson in learned.lessons} == {lesson.identity for lesson in LESSONS}
    assert weights(learned)


def test_what_was_committed_is_continued_and_what_was_not_is_forgotten(
    real: Learner, base: Path, tmp_path: Path
) -> None:
    version = commit(real, cycle(real, request(base), LESSONS), tmp_path / "v0001")
    cycle(real, request(base, version=version), [TEXT])  # and it is not committed
    warm = cycle(real, request(base, version=version), [TEXT], LESSONS)
    with closing(LEARNERS["thread"]()) as cold:
        assert weights(warm) == weights(cycle(cold, request(base, version=version), [TEXT], LESSONS))


# -- stopping


def test_a_stop_before_anything_is_honoured(learner: Learner, base: Path) -> None:
    stopped = Recorder(stop_after=0)
    with pytest.raises(LearningCancelled):
        if isinstance(learner, FakeLearner):  # it has nothing to load
            cycle(learner, request(base), LESSONS, control=stopped)
        else:
            learner.warm(request(base), stopped)
    with pytest.raises(LearningCancelled):
        cycle(learner, request(base), LESSONS, control=stopped)
    assert not stopped.steps


def test_a_stop_in_mid_run_leaves_the_session_as_if_the_run_had_never_been(
    real: Learner, base: Path, tmp_path: Path
) -> None:
    version = commit(real, cycle(real, request(base), LESSONS), tmp_path / "v0001")
    stopping = Recorder(stop_after=2)
    slow = request(base, version=version, learning_rate=1e-7)
    with pytest.raises(LearningCancelled) as caught:
        cycle(real, slow, [TEXT], LESSONS, steps=5000, control=stopping)
    assert str(caught.value) == ""  # it has cost nothing but the run
    assert 2 <= len(stopping.steps) < 5000
    after = cycle(real, request(base, version=version), [TEXT], LESSONS)
    with closing(LEARNERS["thread"]()) as cold:
        assert weights(after) == weights(cycle(cold, request(base, version=version), [TEXT], LESSONS))


# -- errors


@pytest.mark.parametrize(
    ("session", "lessons", "code", "key"),
    [
        ({"shape": AdapterShape(target_modules=("w_proj",))}, LESSONS, None, "training.target_modules"),
        ({"optimizer": "paged_adamw_8bit"}, LESSONS, "unsupported-setting", "training.optimizer"),
        ({}, [], "nothing-to-learn", None),
    ],
)
def test_a_refusal_says_the_same_with_code_and_key(
    made: dict[str, Learner], base: Path, session: dict[str, Any], lessons: Any, code: str | None, key: str | None
) -> None:
    refusals = []
    for mode in REAL:
        with pytest.raises(LearnerError) as caught:
            cycle(made[mode], request(base, **session), lessons)
        refusals.append((str(caught.value), caught.value.code, caught.value.key))
    assert refusals[0] == refusals[1]
    assert refusals[0][1] == (code or refusals[0][1])
    assert refusals[0][2] == key


def test_an_absent_base_is_told_on_its_key_and_the_next_learns(learner: Learner, base: Path, tmp_path: Path) -> None:
    wrong = request(tmp_path / "absent")
    with pytest.raises(LearnerError) as caught:
        cycle(learner, wrong, [exchange("Who?", FAIL)])
    assert caught.value.key == "base_model"
    assert cycle(learner, request(base), LESSONS).steps == 3


# -- answers


def test_an_answer_comes_in_pieces_and_may_be_left(learner: Learner, base: Path) -> None:
    session = request(base, key="asked")
    asked = GenerateRequest(session, "Who?", max_new_tokens=200)
    pieces = list(learner.generate(asked, Unwatched()))
    assert len(pieces) > 2
    left = learner.generate(asked, Unwatched())
    assert next(left) == pieces[0]
    del left
    assert list(learner.generate(asked, Unwatched())) == pieces
    assert cycle(learner, session, LESSONS).steps == 3


def test_an_answer_can_be_stopped(real: Learner, base: Path) -> None:
    class AfterOne(Recorder):
        told = 0

        def stop_requested(self) -> bool:
            return self.told > 0

    control = AfterOne()
    pieces = []
    for piece in real.generate(GenerateRequest(request(base, key="asked"), "Who?", max_new_tokens=200), control):
        pieces.append(piece)
        control.told += 1
    assert 1 <= len(pieces) < 200


def test_how_an_answer_ended_is_told(learner: Learner, base: Path) -> None:
    pieces = learner.generate(GenerateRequest(request(base, key="asked"), "Who?", max_new_tokens=3), Unwatched())
    told = []
    while True:
        try:
            told.append(next(pieces))
        except StopIteration as end:
            spoken = end.value
            break
    assert (spoken.end, spoken.tokens) == ("length", 3)
    assert spoken.prompt_tokens > 0
    assert told


# -- questions in the middle of a run


def test_a_question_is_answered_between_two_steps(learner: Learner, base: Path) -> None:
    session = request(base, learning_rate=1e-7)
    control = Recorder()
    asked = Asked(session, tokens=3)
    control.questions.append(asked)
    learned = cycle(learner, session, LESSONS, steps=60, control=control)
    assert isinstance(asked.outcome, Spoken)
    assert (asked.outcome.end, bool(asked.text), asked.put_off) == ("length", True, 0)
    assert [step for step, *_ in control.steps] == list(range(1, learned.steps + 1))


def test_what_is_asked_changes_nothing_in_what_is_learned(real: Learner, base: Path, tmp_path: Path) -> None:
    def learn(*questions: Asked) -> tuple[Recorder, dict[str, bytes]]:
        real.release("document")
        session = dropping(version)
        control = Recorder()
        control.questions += questions
        learned = cycle(real, session, [TEXT], LESSONS, steps=80, control=control)
        return control, dict(learned.files)

    def dropping(version: Path | None, rank: int = 4) -> SessionRequest:
        session = request(base, version=version, learning_rate=1e-4)
        return replace(session, shape=replace(session.shape, dropout=0.2, rank=rank))

    version = commit(real, cycle(real, dropping(None), LESSONS), tmp_path / "v0001")
    wide = commit(None, cycle(real, dropping(None, rank=6), LESSONS), tmp_path / "v0002")
    _, undisturbed = learn()
    session = dropping(version)
    questions = [
        Asked(session),  # the version that the run continues
        Asked(replace(session, version_dir=None), temperature=1.5, seed=5),  # the bare base
        Asked(replace(session, version_dir=str(wide))),  # an adapter of another shape
        Asked(session, live=True),
        Asked(session, stop_after=2, tokens=200),
        Asked(replace(session, key="another's")),  # whose model is not in memory
    ]
    control, disturbed = learn(*questions)
    assert not control.questions
    assert disturbed == undisturbed
    outcomes = [each.outcome for each in questions]
    assert [each.end if isinstance(each, Spoken) else each for each in outcomes[:5]] == ["length"] * 4 + ["stopped"]
    assert (outcomes[5], questions[5].put_off) == (None, 1)
    assert [each.text for each in questions[:3]] == [
        answer(real, session, "Who?", tokens=12),
        answer(real, replace(session, version_dir=None), "Who?", tokens=12, temperature=1.5, seed=5),
        answer(real, replace(session, version_dir=str(wide)), "Who?", tokens=12),
    ]


def test_another_document_answers_between_two_steps_if_its_model_is_in_memory(real: Learner, base: Path) -> None:
    other = request(base, key="another's")
    real.warm(other, Recorder())
    before = answer(real, other, "Who?", tokens=12)
    session = request(base, learning_rate=1e-7)
    control, asked = Recorder(), Asked(other)
    control.questions.append(asked)
    cycle(real, session, LESSONS, steps=60, control=control)
    real.release(other.key)
    assert (asked.text, asked.put_off) == (before, 0)


def test_a_stop_of_the_run_puts_the_question_off(real: Learner, base: Path) -> None:
    class WhileItSpeaks(Recorder):
        def stop_requested(self) -> bool:
            return bool(asked.pieces)

    session = request(base, learning_rate=1e-7)
    control, asked = WhileItSpeaks(), Asked(session, tokens=200)
    control.questions.append(asked)
    with pytest.raises(LearningCancelled):
        cycle(real, session, LESSONS, steps=5000, control=control)
    assert (asked.put_off, asked.outcome) == (1, None)


def test_a_stop_of_the_run_ends_what_its_own_weights_say(real: Learner, base: Path) -> None:
    class WhileItSpeaks(Recorder):
        def stop_requested(self) -> bool:
            return bool(asked.pieces)

    session = request(base, learning_rate=1e-7)
    control, asked = WhileItSpeaks(), Asked(session, tokens=200, live=True)
    control.questions.append(asked)
    with pytest.raises(LearningCancelled):
        cycle(real, session, LESSONS, steps=5000, control=control)
    assert isinstance(asked.outcome, LearnerError)
    assert (asked.outcome.code, asked.put_off) == ("run-stopped", 0)


def test_a_question_that_fails_fails_alone(real: Learner, base: Path, tmp_path: Path) -> None:
    session = request(base, learning_rate=1e-7)
    control = Recorder()
    asked = Asked(replace(session, version_dir=str(tmp_path / "v0009")))
    too_long = Asked(session, "Who? " * 400)
    control.questions += [asked, too_long]
    assert cycle(real, session, LESSONS, steps=60, control=control).steps == 60
    assert isinstance(asked.outcome, LearnerError)
    assert (asked.outcome.code, "v0009 can't be read" in str(asked.outcome)) == ("version-unreadable", True)
    assert isinstance(too_long.outcome, LearnerError)
    assert too_long.outcome.code == "question-too-long"


# -- steered on the way


def test_a_newer_text_is_taken_in_its_new_rows_go_first_and_the_cap_counts_anew(steered: Learner, base: Path) -> None:
    session, new = request(base, key="steered"), exchange("Who came later?", "They came later.")
    control, text = Recorder(), Text(LearnPlan(session, "cycle", (LESSONS[1], new), (), 60))
    control.revisions[1] = text
    learned = cycle(steered, session, LESSONS[:2], steps=60, control=control)
    assert text.is_taken
    results = {each.identity: each for each in learned.lessons}
    assert results.keys() == {LESSONS[0].identity, LESSONS[1].identity, new.identity}
    assert results[LESSONS[0].identity].times_seen >= 1, "the adapter knows something of what left the text"
    assert results[new.identity].times_seen >= 1
    assert results[LESSONS[1].identity].times_seen >= results[new.identity].times_seen
    assert control.steps[-1][1] > control.steps[0][1], "the total grew"


def test_a_full_retrain_takes_a_newer_text_in_as_well(steered: Learner, base: Path) -> None:
    session, new = request(base, key="steered", num_epochs=100), exchange("Who came later?", "They came later.")
    control, text = Recorder(), Text(LearnPlan(session, "full", (*LESSONS, new), (), None))
    control.revisions[1] = text
    learned = full(steered, session, LESSONS, control=control)
    assert text.is_taken
    assert {each.identity for each in learned.lessons} == {each.identity for each in (*LESSONS, new)}


def test_a_run_ends_early_with_what_it_has(steered: Learner, base: Path) -> None:
    control = Recorder()
    control.finish_after = 1
    learned = cycle(steered, request(base, key="steered"), LESSONS, steps=500, control=control)
    assert (learned.end, learned.steps >= 1, learned.steps < 500) == ("stopped", True, True)
    assert {each.times_seen for each in learned.lessons} != {0}


# -- letting go


def test_a_released_session_is_loaded_anew_and_others_stay(real: Learner, base: Path) -> None:
    def loads(session: SessionRequest) -> bool:
        control = Recorder()
        real.warm(session, control)
        return "load" in control.phases

    one, two = request(base, key="one"), request(base, key="two")
    loads(one), loads(two)
    assert not loads(one)
    real.release("one")
    assert not loads(two)
    assert loads(one)
    real.release("one")
    real.release("nobody's")
    real.release("two")


@pytest.mark.parametrize("kind", [each for each in ALL if each != "process"])  # it would import torch again
def test_a_closed_learner_begins_anew(made: dict[str, Learner], base: Path, kind: str) -> None:
    learner = made[kind]
    learner.close()
    learner.close()
    assert cycle(learner, request(base), LESSONS).steps == 3
