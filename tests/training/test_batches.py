from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.batches import CycleMix, epoch, micro_batches
from dlm_lsp.training.rehearsal import Rehearsal
from dlm_lsp.training.rows import Row
from tests.training.learning_helpers import exchange


def row(name: str, length: int = 10, kind: str = "exchange") -> Row:
    return Row(name, kind, 0, tuple(range(length)), 1)  # type: ignore[arg-type]


def mix(fresh: int, known: int, size: int = 8, seed: int = 1, length: int = 10) -> CycleMix:
    def rows_of(lesson: Lesson) -> list[Row]:
        return [row(lesson.prompt, length, "prose")]

    return CycleMix(
        fresh=tuple(row(f"new {number}") for number in range(fresh)),
        rehearsal=Rehearsal(tuple(exchange(f"old {number}", "x") for number in range(known)), rows_of, seed),
        size=size,
        seed=seed,
    )


def nothing(_: Row) -> bool:
    return False


def test_one_new_row_is_in_every_step_beside_seven_old_ones() -> None:
    steps = [mix(1, 20).step(number, nothing) for number in range(20)]
    assert all(Counter(each.identity[:3] for each in step) == {"new": 1, "old": 7} for step in steps)
    rehearsed = Counter(each.identity for step in steps for each in step[1:])
    assert len(rehearsed) == 20
    assert max(rehearsed.values()) - min(rehearsed.values()) <= 1


def test_many_new_rows_take_turns_in_half_of_each_step() -> None:
    steps = [mix(12, 20).step(number, nothing) for number in range(3)]
    seen = [each.identity for step in steps for each in step if each.identity.startswith("new")]
    assert sorted(seen) == sorted(f"new {number}" for number in range(12))


def test_of_very_many_new_rows_some_are_taken_at_once_and_the_next_when_they_are_learned() -> None:
    several = mix(200, 20)
    first = {each.identity for number in range(100) for each in several.step(number, nothing)[:4]}
    assert len(first) == 32

    def learned(each: Row) -> bool:
        return each.identity in first

    then = {each.identity for number in range(100) for each in several.step(number, learned)[:3]}
    assert len(then) == 32
    assert not first & then


def test_learned_rows_make_room_for_pending_ones_but_are_not_dropped() -> None:
    steps = [mix(12, 20).step(number, lambda each: each.identity != "new 3") for number in range(11)]
    fresh = [[each.identity for each in step if each.identity.startswith("new")] for step in steps]
    assert all(each[0] == "new 3" and len(each) == 2 for each in fresh)
    assert len({each[1] for each in fresh}) == 11
    assert all(len(step) == 8 for step in steps)


def test_without_known_lessons_some_of_what_was_just_learned_is_rehearsed() -> None:
    step = mix(12, 0).step(5, lambda each: int(each.identity[4:]) < 2)
    assert sum(int(each.identity[4:]) < 2 for each in step) == 2
    assert len(step) == len({each.identity for each in step}) == 8


def test_few_known_lessons_are_not_repeated_within_a_step() -> None:
    step = mix(1, 3).step(4, nothing)
    assert sorted(each.identity for each in step) == ["new 0", "old 0", "old 1", "old 2"]


def test_steps_follow_from_seed_and_number_alone() -> None:
    assert mix(5, 30).step(7, nothing) == mix(5, 30).step(7, nothing)
    assert mix(5, 30).step(7, nothing) != mix(5, 30, seed=2).step(7, nothing)


def test_a_rehearsed_text_is_cropped_so_that_its_cost_is_bounded() -> None:
    step = mix(1, 20, length=900).step(0, nothing)
    assert {len(each.tokens) for each in step[1:]} == {128}
    assert all(each.first_target == 1 for each in step[1:])
    assert len({each.tokens[0] for each in step[1:]}) > 1


@given(count=st.integers(1, 40), size=st.integers(1, 9), seed=st.integers(), number=st.integers(0, 5))
def test_an_epoch_holds_each_row_once(count: int, size: int, seed: int, number: int) -> None:
    rows = [row(str(index)) for index in range(count)]
    steps = epoch(rows, size, seed, number)
    assert sorted(each.identity for step in steps for each in step) == sorted(each.identity for each in rows)
    assert all(len(step) == size for step in steps[:-1])


@given(
    lengths=st.lists(st.integers(2, 300), min_size=1, max_size=20),
    count=st.integers(1, 8),
    tokens=st.integers(1, 2000),
    places=st.integers(1, 2000),
)
def test_micro_batches_hold_every_row_within_their_bounds(
    lengths: list[int], count: int, tokens: int, places: int
) -> None:
    rows = [row(str(index), length) for index, length in enumerate(lengths)]
    batches = micro_batches(rows, count, tokens, places)
    assert sorted(each.identity for batch in batches for each in batch) == sorted(e.identity for e in rows)
    for batch in batches:
        assert len(batch) <= count
        assert len(batch) == 1 or max(len(each.tokens) for each in batch) * len(batch) <= tokens
        assert len(batch) == 1 or sum(each.targets for each in batch) <= places


@pytest.mark.parametrize(("short", "parts"), [(10, 2), (290, 1)])
def test_a_long_row_does_not_pad_short_ones(short: int, parts: int) -> None:
    assert len(micro_batches([row("long", 300), *(row(str(i), short) for i in range(7))], 8, 9999, 9999)) == parts
