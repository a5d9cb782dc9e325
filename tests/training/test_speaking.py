"""Who answers: any version without a second base and without reading twice, and what is learned stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from dlm_lsp.training.learner import InProcessLearner
from dlm_lsp.training.protocol import AdapterShape, GenerateRequest, Learner, LearnerError, Turn, Unwatched
from dlm_lsp.training.speaking import Voices
from tests.training.learning_helpers import (
    Recorder,
    answer,
    commit,
    cycle,
    exchange,
    make_base,
    prose,
    request,
    weights,
)

LESSONS = [exchange("Who keeps the light?", "Mira keeps it."), exchange("When?", "At six.")]
TEXT = prose("The harbour of the old town opens at six.")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("bases") / "random")


@pytest.fixture
def learner() -> Iterator[InProcessLearner]:
    from dlm_lsp.training.bases import resolve

    with closing(InProcessLearner(resolve)) as learner:
        yield learner


def two_versions(learner: Learner, base: Path, folder: Path) -> tuple[Path, Path]:
    first = commit(learner, cycle(learner, request(base), LESSONS, steps=12), folder / "v0001")
    second = cycle(learner, request(base, version=first), [TEXT], LESSONS, steps=12)
    return first, commit(learner, second, folder / "v0002")


def test_an_older_version_answers_as_it_did_and_the_next_run_reads_nothing_again(
    learner: InProcessLearner, base: Path, tmp_path: Path
) -> None:
    first = commit(learner, cycle(learner, request(base), LESSONS, steps=12), tmp_path / "v0001")
    then = answer(learner, request(base, version=first), "Who keeps the light?", tokens=20)
    second = commit(
        learner, cycle(learner, request(base, version=first), [TEXT], LESSONS, steps=12), tmp_path / "v0002"
    )
    now = answer(learner, request(base, version=second), "Who keeps the light?", tokens=20)
    with closing(type(learner)(learner._resolve)) as cold:
        expected = weights(cycle(cold, request(base, version=second), [TEXT], LESSONS))
    (second / "training_state.pt").unlink()  # without it, who reads this version begins with new moments
    assert answer(learner, request(base, version=first), "Who keeps the light?", tokens=20) == then != now
    assert answer(learner, request(base, version=second), "Who keeps the light?", tokens=20) == now
    assert weights(cycle(learner, request(base, version=second), [TEXT], LESSONS)) == expected


def test_nothing_is_loaded_when_the_version_changes(learner: InProcessLearner, base: Path, tmp_path: Path) -> None:
    versions = two_versions(learner, base, tmp_path)
    control = Recorder()
    for version in (*versions, None, *versions):
        asked = GenerateRequest(request(base, version=version), "Who?", max_new_tokens=3)
        assert "".join(learner.generate(asked, control))
    assert control.phases == []


def test_a_version_of_another_shape_speaks_with_its_own(learner: InProcessLearner, base: Path, tmp_path: Path) -> None:
    shapes = [AdapterShape(rank=4, alpha=8), AdapterShape(rank=4, alpha=64), AdapterShape("dora", rank=6, alpha=8)]
    versions, said = [], []
    for number, shape in enumerate(shapes, 1):
        learned = cycle(learner, request(base, shape=shape), LESSONS, steps=12)
        versions.append(commit(learner, learned, tmp_path / f"v000{number}"))
        said.append(answer(learner, request(base, shape=shape, version=versions[-1]), "Who?", tokens=20))
    assert len(set(said)) == 3
    for shape in shapes:  # whatever the document's shape is now
        asked = [answer(learner, request(base, shape=shape, version=each), "Who?", tokens=20) for each in versions]
        assert asked == said


def test_the_bare_base_answers_without_what_was_learned(learner: InProcessLearner, base: Path) -> None:
    before = answer(learner, request(base), "Who keeps the light?", tokens=20)
    cycle(learner, request(base, learning_rate=1e-2), LESSONS, steps=20)
    assert answer(learner, request(base), "Who keeps the light?", tokens=20) == before
    live = GenerateRequest(request(base), "Who keeps the light?", 20, live=True)
    assert "".join(learner.generate(live, Unwatched())) != before


def test_an_answer_that_is_left_gives_the_weights_back(learner: InProcessLearner, base: Path, tmp_path: Path) -> None:
    first, second = two_versions(learner, base, tmp_path)
    expected = weights(cycle(learner, request(base, version=second), LESSONS, [TEXT]))
    learner.warm(request(base, version=second), Recorder())
    left = learner.generate(GenerateRequest(request(base, version=first), "Who?", 100), Unwatched())
    next(left)  # and it is kept, as an iterator may be
    assert weights(cycle(learner, request(base, version=second), LESSONS, [TEXT])) == expected
    assert list(left) == []


def test_a_version_that_was_written_anew_is_read_anew(learner: InProcessLearner, base: Path, tmp_path: Path) -> None:
    first, second = two_versions(learner, base, tmp_path)
    before = answer(learner, request(base, version=first), "Who?", tokens=20)
    rewritten = first / "anew"
    rewritten.write_bytes((second / "adapter_model.safetensors").read_bytes())
    rewritten.replace(first / "adapter_model.safetensors")
    after = answer(learner, request(base, version=first), "Who?", tokens=20)
    assert after == answer(learner, request(base, version=second), "Who?", tokens=20) != before


@pytest.mark.parametrize("config", ["{", "[]", '{"r": 4}', "{}"])
def test_a_version_without_readable_shape_says_so(
    learner: InProcessLearner, base: Path, tmp_path: Path, config: str
) -> None:
    first = commit(learner, cycle(learner, request(base), LESSONS), tmp_path / "v0001")
    (first / "adapter_config.json").write_text(config)
    with pytest.raises(LearnerError, match="v0001 can't be read") as caught:
        answer(learner, request(base, version=first), "Who?")
    assert caught.value.code == "version-unreadable"


def test_few_versions_are_kept_in_memory(learner: InProcessLearner, base: Path, tmp_path: Path) -> None:
    learned = cycle(learner, request(base), LESSONS)
    folders = [commit(None, learned, tmp_path / f"v{number:04}") for number in range(1, 13)]
    voices = Voices()
    for folder in folders:
        voices.of(str(folder))
    assert len(voices._kept) == 8
    assert voices.of(str(folders[-1])) is voices.of(str(folders[-1]))


def test_a_conversation_is_continued(learner: InProcessLearner, base: Path) -> None:
    turns = (Turn("user", "Who?"), Turn("assistant", "Mira."))
    alone = answer(learner, request(base), "And when?", tokens=12)
    assert answer(learner, request(base), "And when?", tokens=12, earlier=turns) != alone


def test_the_oldest_turns_of_a_long_conversation_are_left_out(learner: InProcessLearner, base: Path) -> None:
    newest = (Turn("user", "Who?"), Turn("assistant", "Mira."))
    long = (Turn("user", "Tell me all. " * 12), Turn("assistant", "It is long. " * 12), *newest)
    session = request(base, system_prompt="Be short.")  # which stays
    asked = answer(learner, session, "And when?", tokens=12, earlier=long)
    assert asked == answer(learner, session, "And when?", tokens=12, earlier=newest)
    assert asked != answer(learner, replace(session, system_prompt=None), "And when?", tokens=12, earlier=newest)
