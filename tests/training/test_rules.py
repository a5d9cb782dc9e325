from __future__ import annotations

import pytest

from dlm_lsp.training.judge import CONFIRMATIONS, EXACT_LOSS, PROSE_FALL, PROSE_TIMES, Judge, Measured
from dlm_lsp.training.protocol import TrainingSettings
from dlm_lsp.training.rates import (
    B_RATIO,
    BETA2,
    CYCLE_WARM_UP,
    FullSchedule,
    b_ratio,
    cycle_rate,
    peak_rate,
    warm_up_steps,
)
from dlm_lsp.training.rows import Row
from tests.training.learning_helpers import exchange, prose

ASK = exchange("Who?", "They.")
TELL = prose("A text.")


def row(lesson: object, index: int = 0, targets: int = 4) -> Row:
    return Row(lesson.identity, lesson.kind, index, tuple(range(targets + 1)), 1)  # type: ignore[attr-defined]


def judged(kind: Row, *steps: tuple[float, bool]) -> Judge:
    judge = Judge((kind,))
    for loss, exact in steps:
        judge.add([Measured(kind, loss, exact)])
    return judge


def test_an_exchange_is_learned_when_exact_twice_in_a_row() -> None:
    asked = row(ASK)
    good = (EXACT_LOSS, True)
    assert CONFIRMATIONS == 2
    assert not judged(asked, good).learned(asked)
    assert judged(asked, good, good).learned(asked)
    assert not judged(asked, good, (0.1, False), good).learned(asked)
    assert not judged(asked, good, good, (0.1, False)).learned(asked)


def test_with_a_loss_that_stays_high_it_must_be_exact_twice_as_often() -> None:
    """As of characters that the base hardly tells from each other, of which the right one still leads."""
    asked = row(ASK)
    unsure = (EXACT_LOSS + 0.1, True)
    assert not judged(asked, unsure, unsure, unsure).learned(asked)
    assert judged(asked, *[unsure] * 4).learned(asked)
    assert not judged(asked, unsure, unsure, (0.6, False), unsure, unsure).learned(asked)


def test_a_look_without_dropout_is_worth_two_steps() -> None:
    asked = row(ASK)
    judge = judged(asked, (0.4, False))
    assert judge.nearly(Measured(asked, 0.4, False))
    assert not judge.nearly(Measured(asked, 0.6, False))
    judge.look([Measured(asked, 0.3, True)])
    assert judge.learned(asked)
    assert not judge.nearly(Measured(asked, 0.3, True)), "it needs no look any more"
    judge.look([Measured(asked, 0.3, False)])
    assert not judge.learned(asked)
    assert not judged(told := row(TELL), (0.1, True)).nearly(Measured(told, 0.1, True)), "texts are not recited"


def test_prose_is_learned_when_its_loss_fell_or_it_was_seen_often() -> None:
    told = row(TELL)
    assert not judged(told).learned(told)
    assert not judged(told, (4.0, False), (4.0 * PROSE_FALL + 0.01, False)).learned(told)
    assert judged(told, (4.0, False), (4.0 * PROSE_FALL, False)).learned(told)
    assert judged(told, *[(4.0, False)] * PROSE_TIMES).learned(told)


def test_a_lesson_is_complete_and_learned_only_with_all_its_rows() -> None:
    first, second = row(ASK, 0), row(ASK, 1, targets=12)
    judge = Judge((first, second))
    for _ in range(2):
        judge.add([Measured(first, 0.2, True)])
    result = judge.result(ASK, 2)
    assert (result.complete, result.learned, result.times_seen) == (False, False, 2)
    judge.add([Measured(second, 2.2, False)])
    judge.add([Measured(second, 0.2, True), Measured(row(TELL), 9.0, False)])
    judge.add([Measured(second, 0.2, True)])
    result = judge.result(ASK, 5)
    assert (result.complete, result.learned) == (True, True)
    assert result.loss_before == pytest.approx((0.2 * 4 + 2.2 * 12) / 16)
    assert result.loss_after == pytest.approx(0.2)


def test_a_lesson_that_no_step_held_has_no_losses() -> None:
    result = Judge((row(ASK),)).result(ASK, 0)
    assert (result.complete, result.learned, result.loss_before, result.loss_after) == (False, False, None, None)


def test_the_written_rate_wins_and_larger_bases_move_slower() -> None:
    assert peak_rate(TrainingSettings(learning_rate=3e-5), 256) == 3e-5
    rates = [peak_rate(TrainingSettings(), hidden) for hidden in (64, 256, 576, 2048, 4096)]
    assert rates[:2] == [2e-3, 2e-3]
    assert rates == sorted(rates, reverse=True)
    assert 2.5e-4 < rates[-1] < 3.5e-4


def test_the_matrices_b_are_faster_unless_a_rate_is_written() -> None:
    assert b_ratio(TrainingSettings()) == B_RATIO > 1
    assert b_ratio(TrainingSettings(learning_rate=3e-5)) == 1


def test_only_fresh_moments_are_warmed_up() -> None:
    assert [cycle_rate(1.0, 0, step) for step in (0, CYCLE_WARM_UP - 1, CYCLE_WARM_UP, 500)] == [0.2, 1, 1, 1]


def test_the_longer_the_moments_have_seen_learned_rows_the_slower_is_a_cycle_and_never_below_a_tenth() -> None:
    rates = [cycle_rate(1.0, met, met) for met in (20, 100, 1000, 100_000)]
    assert rates == sorted(rates, reverse=True)
    assert rates[1] == pytest.approx(0.31, abs=0.01)
    assert rates[-1] == pytest.approx(0.1, abs=0.001)


def test_as_adam_divides_a_new_gradient_is_as_large_a_step_then_as_it_would_be_with_fresh_moments() -> None:
    """The second moment after `met` steps of no gradient and ten of a gradient of 1, with torch's own optimizer."""
    import torch

    for met in (20, 100, 1000):
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.AdamW([parameter], lr=0.0, betas=(0.0, BETA2), eps=0.0, weight_decay=0.0)
        for step in range(met + 10):
            parameter.grad = torch.full((1,), 1e-12 if step < met else 1.0)
            before = parameter.detach().clone()
            optimizer.param_groups[0]["lr"] = cycle_rate(1.0, met, 1000)
            optimizer.step()
        assert float((before - parameter.detach()).abs()) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
def test_no_step_of_a_full_retrain_has_rate_zero(kind: str) -> None:
    schedule = FullSchedule(1.0, kind, warm_up_steps(0.1, 40), 40)  # type: ignore[arg-type]
    rates = [schedule.rate(step) for step in range(40)]
    assert rates[:4] == sorted(rates[:4])
    assert max(rates) == 1.0
    assert min(rates) > 0
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert (rates[-1] == 1.0) == (kind == "constant")
