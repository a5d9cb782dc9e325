"""When a cycle may end: the new is right without dropout, and what it broke of the old is mended, within bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from dlm_lsp.training.judge import CONFIRMATIONS, Judge, Measured
from dlm_lsp.training.loop import LOOKS, REPAIR_STEPS, Repair, Run
from dlm_lsp.training.rehearsal import Rehearsal
from dlm_lsp.training.rows import Row
from tests.training.learning_helpers import exchange

OLD = tuple(exchange(f"old {number}", "x") for number in range(5))
NEW = Row("new", "exchange", 0, tuple(range(20)), 10)


def old(number: int) -> Row:
    return Row(OLD[number].identity, "exchange", 0, tuple(range(20)), 10)


@dataclass
class Weights:
    """A run at a step boundary whose weights have `wrong` wrong, by identity."""

    wrong: set[str] = field(default_factory=set)
    looks: list[list[str]] = field(default_factory=list)
    steps: int = 10
    fails: bool = False

    def __post_init__(self) -> None:
        self.rows, self.judge = (NEW,), Judge((NEW,))
        self.session = SimpleNamespace(measure=self._measure, global_step=10)
        self.rehearsal = Rehearsal(OLD, lambda lesson: [old(OLD.index(lesson))], seed=1)
        self.hold(NEW)

    @property
    def learned(self) -> bool:
        return not self.judge.pending()

    def pause(self) -> None:
        """Nobody asks."""

    def hold(self, row: Row) -> None:
        """Steps with `row`, until it counts as right."""
        seen = [Measured(row, 0.1, exact=True)] * CONFIRMATIONS
        self.steps += len(seen)
        self.rehearsal.hear(seen)
        if row == NEW:
            self.judge.add(seen)

    def _measure(self, rows: list[Row]) -> list[Measured]:
        if self.fails:
            raise MemoryError("none left")
        self.looks.append([row.identity for row in rows])
        return [Measured(row, 0.1, exact=row.identity not in self.wrong) for row in rows]


def done(repair: Repair, weights: Weights) -> bool:
    return repair.done(cast(Run, cast(Any, weights)), weights.rehearsal)


def test_when_nothing_is_wrong_one_look_ends_it() -> None:
    weights = Weights()
    assert done(Repair(), weights)
    assert sorted(weights.looks[0]) == sorted(["new", *(each.identity for each in OLD)])


def test_an_old_one_that_is_wrong_is_mended_and_looked_at_again() -> None:
    weights, repair = Weights({OLD[2].identity}), Repair()
    assert not done(repair, weights)
    assert not done(repair, weights)
    assert len(weights.looks) == 1, "while it is mended nothing is looked at"
    weights.wrong.clear()
    weights.hold(old(2))
    assert done(repair, weights)
    assert len(weights.looks) == 2


def test_what_cannot_be_mended_does_not_hold_a_run_up_for_long() -> None:
    weights, repair = Weights({OLD[2].identity}), Repair()
    for _ in range(LOOKS):
        assert not done(repair, weights)
        weights.hold(old(2))  # under dropout it looks right
    assert done(repair, weights)
    weights, repair = Weights({OLD[2].identity}), Repair()
    assert not done(repair, weights)
    weights.steps += REPAIR_STEPS
    assert done(repair, weights)


def test_a_new_one_that_is_wrong_without_dropout_is_not_learned_however_long_it_takes() -> None:
    weights, repair = Weights({"new"}), Repair()
    for _ in range(LOOKS + 5):
        assert not done(repair, weights)
        assert not weights.learned
        weights.hold(NEW)
    weights.wrong.clear()
    assert done(repair, weights)


def test_a_look_that_fails_costs_the_look_and_not_the_run() -> None:
    assert done(Repair(), Weights(fails=True))
