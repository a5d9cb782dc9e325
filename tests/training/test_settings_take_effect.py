"""Every setting that the schema allows for text does what it says; none is ignored."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from dlm_lsp.training.loop import MOST_EPOCHS
from dlm_lsp.training.protocol import AdapterShape, Learner
from tests.training.learning_helpers import Recorder, commit, cycle, exchange, full, prose, request, weights

LESSONS = [exchange(f"{number}?", "Six.") for number in range(8)]
SHAPE = AdapterShape(rank=4, alpha=8, dropout=0.1)


def shapes(data: bytes) -> dict[str, tuple[int, ...]]:
    from safetensors.torch import load

    return {name: tuple(tensor.shape) for name, tensor in load(data).items()}


@pytest.mark.parametrize(
    ("changed", "settings"),
    [
        ({"alpha": 16}, {}),
        ({"dropout": 0.5}, {}),
        ({}, {"seed": -7}),
        ({}, {"learning_rate": 1e-3}),
        ({}, {"system_prompt": "Be brief."}),
    ],
)
def test_other_values_give_other_weights(
    base: Path, learner: Learner, changed: dict[str, Any], settings: dict[str, Any]
) -> None:
    usual = cycle(learner, request(base, key="usual", shape=SHAPE), LESSONS)
    other = cycle(learner, request(base, shape=replace(SHAPE, **changed), **settings), LESSONS)
    assert weights(usual) != weights(other)


def test_rank_and_target_modules(base: Path, learner: Learner) -> None:
    shape = AdapterShape(rank=3, target_modules=("up_proj", "layers.1.self_attn.q_proj"))
    found = shapes(weights(cycle(learner, request(base, shape=shape), LESSONS)))
    assert {name.removeprefix("base_model.model.model.layers.") for name in found if "lora_A" in name} == {
        "0.mlp.up_proj.lora_A.weight",
        "1.mlp.up_proj.lora_A.weight",
        "1.self_attn.q_proj.lora_A.weight",
    }
    assert all(size[0] == 3 for name, size in found.items() if "lora_A" in name)


def test_all_linear_leaves_only_the_output_layer_out(base: Path, learner: Learner) -> None:
    shape = AdapterShape(rank=2, target_modules=("all-linear",))
    found = shapes(weights(cycle(learner, request(base, shape=shape), LESSONS, steps=1)))
    assert len(found) == 2 * 2 * 7
    assert not any("lm_head" in name for name in found)


@pytest.mark.parametrize(
    ("micro", "accum", "forwards"),
    [(None, None, [8]), (2, 3, [2, 2, 2]), (2, None, [2, 2, 2, 2]), (None, 2, [4, 4]), (12, None, [8])],
)
def test_micro_batch_and_accumulation(
    base: Path,
    learner: Learner,
    monkeypatch: pytest.MonkeyPatch,
    micro: int | None,
    accum: int | None,
    forwards: list[int],
) -> None:
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    plain, held = LlamaForCausalLM.forward, []

    @wraps(plain)
    def forward(self: Any, *arguments: Any, **options: Any) -> Any:
        held.append(len(options["input_ids"]))
        return plain(self, *arguments, **options)

    session = request(base, micro_batch_size=micro, grad_accum=accum)
    learner.warm(session, Recorder())
    monkeypatch.setattr(LlamaForCausalLM, "forward", forward)
    cycle(learner, session, LESSONS, steps=1)
    assert held == forwards


def test_sequence_len(base: Path, learner: Learner) -> None:
    text = prose("The old town opens at six. " * 20)
    seen = []
    for length in (64, 128, 9999):
        session = request(base, key=str(length), sequence_len=length, micro_batch_size=1, grad_accum=1)
        control = Recorder()
        full(learner, replace(session, settings=replace(session.settings, num_epochs=1)), [text], control)
        seen.append((len(control.steps), sum(tokens for *_, tokens in control.steps)))
    (short, tokens), (middle, same), (whole, as_well) = seen
    assert short > middle > whole >= 1  # a longer row than the base reads is no longer row
    assert tokens == same == as_well


def test_precision(base: Path, learner: Learner) -> None:
    learned = cycle(learner, request(base, precision="bf16"), LESSONS, steps=1)
    assert learned.device == "cpu (1 thread, bf16)"
    assert cycle(learner, request(base, precision="fp32"), LESSONS, steps=1).device == "cpu (1 thread, fp32)"


def test_a_written_rate_in_a_cycle(base: Path, learner: Learner, tmp_path: Path) -> None:
    control = Recorder()
    learned = cycle(learner, request(base, learning_rate=1e-4), LESSONS, steps=7, control=control)
    assert control.rates == pytest.approx([2e-5, 4e-5, 6e-5, 8e-5, 1e-4, 1e-4, 1e-4])
    version = commit(learner, learned, tmp_path / "v0001")
    control = Recorder()
    cycle(learner, request(base, learning_rate=1e-4, version=version), LESSONS, steps=2, control=control)
    assert control.rates == [1e-4, 1e-4]  # the moments are kept: nothing to warm up


def test_written_epochs_follow_scheduler_and_warm_up(base: Path, learner: Learner) -> None:
    rates: dict[str, list[float]] = {}
    for kind in ("cosine", "linear", "constant"):
        control = Recorder()
        session = request(
            base, num_epochs=10, lr_scheduler=kind, warmup_ratio=0.3, learning_rate=1e-3, micro_batch_size=8
        )
        learned = full(learner, session, LESSONS, control)
        assert (learned.end, learned.steps) == ("epochs", 10)
        assert all(lesson.times_seen == 10 and lesson.complete for lesson in learned.lessons)
        rates[kind] = control.rates
    assert rates["constant"] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, *[1e-3] * 7])
    assert rates["linear"] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, *[n / 7e3 for n in range(7, 0, -1)]])
    half = [0.5e-3 * (1 + math.cos(math.pi * step / 7)) for step in range(7)]
    assert rates["cosine"] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, *half])
    control = Recorder()
    full(learner, request(base, num_epochs=1, warmup_ratio=0.0, learning_rate=1e-3), LESSONS, control)
    assert control.rates == [1e-3]


def test_without_written_epochs_it_goes_on_until_learned_and_then_cools_down(base: Path, learner: Learner) -> None:
    shape = AdapterShape(rank=16, alpha=32, dropout=0.0, target_modules=("all-linear",))
    lessons = [exchange("Who?", "They."), exchange("When?", "Six.")]
    control = Recorder()
    session = request(base, shape=shape, learning_rate=1e-2, micro_batch_size=1, grad_accum=1)
    learned = full(learner, session, lessons, control)
    assert learned.end == "learned"
    assert all(lesson.learned for lesson in learned.lessons)
    assert 3 * 2 <= learned.steps < 2 * MOST_EPOCHS
    steady = control.rates.index(max(control.rates)) + control.rates.count(1e-2)
    falling = control.rates[steady:]
    assert falling == sorted(falling, reverse=True)
    assert len(falling) == pytest.approx(steady / 4, abs=2)
    assert falling[-1] < 1e-3


def test_what_can_not_be_learned_ends_after_the_most_epochs(
    base: Path, learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlm_lsp.training.loop.MOST_EPOCHS", 4)
    learned = full(learner, request(base, learning_rate=1e-9), LESSONS)
    assert (learned.end, learned.steps) == ("epochs", 4)
    assert not any(lesson.learned for lesson in learned.lessons)
