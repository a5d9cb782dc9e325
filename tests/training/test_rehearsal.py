"""Which known lessons come up: what is at risk first, what was found wrong until it is right, the others by turns."""

from __future__ import annotations

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.judge import Measured
from dlm_lsp.training.rehearsal import Rehearsal
from dlm_lsp.training.rows import Row
from tests.training.learning_helpers import exchange

KNOWN = tuple(exchange(f"old {number}", "x") for number in range(40))


def rows_of(lesson: Lesson) -> list[Row]:
    return [Row(lesson.identity, "exchange", 0, tuple(range(20)), 10)]


def names(rows: list[Row]) -> list[str]:
    return [row.identity for row in rows]


def test_what_is_at_risk_comes_up_first_and_then_takes_its_turn_like_the_others() -> None:
    risks = (KNOWN[3].identity, "gone", KNOWN[8].identity)
    rehearsal = Rehearsal(KNOWN, rows_of, seed=1, risks=risks)
    assert names(rehearsal.rows(0, 0, 7, 20))[:2] == [KNOWN[3].identity, KNOWN[8].identity]
    seen = [name for step in range(1, 6) for name in names(rehearsal.rows(step, 7 * step, 7, 20))]
    assert len(set(seen)) == 35


def test_what_was_found_wrong_comes_up_until_it_was_right_twice() -> None:
    rehearsal = Rehearsal(KNOWN, rows_of, seed=1)
    (row,) = rows_of(KNOWN[5])
    rehearsal.hear([Measured(row, 2.0, exact=False)])
    for step in (0, 1):
        assert not rehearsal.sound
        rows = rehearsal.rows(step, 7, 7, 20)
        assert names(rows)[0] == row.identity
        assert len(set(names(rows))) == 7
        rehearsal.hear([Measured(row, 0.1, exact=True)])
    assert rehearsal.sound
    assert row.identity not in names(rehearsal.rows(2, 7, 7, 20)) or KNOWN[5] in rehearsal.known[7:14]


def test_what_is_seen_right_without_dropout_is_settled_at_once() -> None:
    rehearsal = Rehearsal(KNOWN, rows_of, seed=1)
    (row,) = rows_of(KNOWN[5])
    rehearsal.hear([Measured(row, 2.0, exact=False)])
    assert rehearsal.wrong() == [row]
    rehearsal.hear([Measured(row, 2.0, exact=False)], surely=True)
    assert not rehearsal.sound
    rehearsal.hear([Measured(row, 0.1, exact=True)], surely=True)
    assert rehearsal.sound


def test_much_that_is_wrong_takes_half_of_the_places_by_turns() -> None:
    rehearsal = Rehearsal(KNOWN, rows_of, seed=1)
    wrong = {lesson.identity for lesson in KNOWN[:20]}
    rehearsal.hear(Measured(rows_of(lesson)[0], 2.0, exact=False) for lesson in KNOWN[:20])
    taken = [names(rehearsal.rows(step, 0, 7, 20))[:4] for step in range(20)]
    assert all(wrong.issuperset(step) for step in taken)
    assert {name for step in taken for name in step} == wrong


def test_texts_and_strangers_are_never_wrong() -> None:
    rehearsal = Rehearsal(KNOWN, rows_of, seed=1)
    rehearsal.hear([Measured(Row("new", "exchange", 0, (1, 2), 1), 3.0, exact=False)])
    rehearsal.hear([Measured(Row(KNOWN[0].identity, "prose", 0, (1, 2), 1), 3.0, exact=False)])
    assert rehearsal.sound


def test_a_look_costs_the_same_in_a_document_of_any_length() -> None:
    many = tuple(exchange(f"old {number}", "x") for number in range(2_000))
    made: list[str] = []

    def counted(lesson: Lesson) -> list[Row]:
        made.append(lesson.identity)
        return rows_of(lesson)

    rehearsal = Rehearsal(many, counted, seed=1, risks=(many[7].identity,))
    rows = rehearsal.to_look_at(start=123_456, tokens=640)
    assert len(rows) == 32
    assert rows[0].identity == many[7].identity
    assert len(made) <= 33


def test_the_next_look_goes_on_where_the_room_of_the_one_before_ended() -> None:
    rehearsal = Rehearsal(KNOWN, rows_of, seed=1)
    looks = [names(rehearsal.to_look_at(start=5, tokens=200)) for _ in range(5)]
    assert [len(look) for look in looks] == [10] * 5
    assert len({name for look in looks[:4] for name in look}) == 40
    assert looks[4] == looks[0]
    everything = [names(rehearsal.to_look_at(start=5, tokens=2_000)) for _ in range(2)]
    assert everything[0] == everything[1]
