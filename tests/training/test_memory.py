"""The model of memory, held against what steps really take, and what follows from it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed import plans
from benchmarks.speed.plans import LLAMA, MANY_WORDS, QWEN, WIDE
from dlm_lsp.training.bases import BaseFacts, base_facts, registry
from dlm_lsp.training.memory import Load, Pass, activations, configured, estimate, fitting, free_memory, most, shape_of
from dlm_lsp.training.protocol import AdapterShape, Learner
from tests.training.learning_helpers import cycle, exchange, request, weights

GIB = 2**30


@pytest.fixture(scope="module")
def taken() -> dict[str, int]:
    return plans.taken()


@pytest.mark.skipif(sys.platform != "linux", reason="the most resident memory can be told apart on Linux only")
@pytest.mark.parametrize("name", plans.STEPS)
def test_a_step_takes_what_the_model_says(taken: dict[str, int], name: str) -> None:
    """Rather too much than too little: what does not fit ends the process."""
    assert 0.85 < plans.told(name) / taken[name] < 2.2  # holes are not the same twice


def test_the_shape_comes_from_the_configuration_where_it_is_here() -> None:
    facts = base_facts("builtin:tiny")
    assert facts is not None
    shape = shape_of(facts)
    assert shape is not None and (shape.hidden, shape.layers, shape.inner, shape.vocabulary) == (256, 4, 640, 2048)
    assert shape_of(BaseFacts("hf:a/b", "a/b")) is None, "nothing is known of it"


def test_heads_may_be_wider_than_the_model_and_keys_fewer() -> None:
    config = {"hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128}
    shape = configured(config, 600_000_000)
    assert (shape.queries, shape.keys, shape.inner) == (2048, 1024, 4096)
    assert configured({"n_embd": 768, "n_head": 12, "n_inner": None}, 1).keys == 768


@pytest.mark.parametrize("hidden_layers", [("smollm2-135m", 576, 30), ("qwen2.5-3b", 2048, 36), ("qwen3-8b", 4096, 36)])
def test_a_shape_is_guessed_from_the_parameters_alone(hidden_layers: tuple[str, int, int]) -> None:
    key, hidden, layers = hidden_layers
    entry = registry()[key]
    shape = shape_of(BaseFacts(key, entry.hf_id, parameters=entry.parameters))
    assert shape is not None
    assert 0.4 < shape.hidden * shape.layers / (hidden * layers) < 2.5


def test_more_of_anything_takes_more() -> None:
    shape, load = configured(QWEN, 3_500_000), Load(4, ("q_proj", "v_proj"), keeps_scores=True)
    least = estimate(shape, load, Pass(128, 16)).total
    for more in (
        replace(load, rank=512),
        replace(load, modules=("all-linear",)),
        replace(load, longest_row=8192),
        replace(load, kind="dora"),
    ):
        assert estimate(shape, more, Pass(128, 16)).total > least
    assert estimate(shape, load, Pass(512, 16)).total > least
    assert estimate(shape, load, Pass(128, 128)).total > least
    assert (
        estimate(shape, load, Pass(128, 16)).total
        > estimate(shape, replace(load, keeps_scores=False), Pass(128, 16)).total
    )


def test_four_bits_take_less_than_a_third_of_sixteen_where_the_layers_are_most_of_it() -> None:
    shape = configured({"hidden_size": 4096, "num_hidden_layers": 36, "vocab_size": 32_000}, 8_200_000_000)
    sixteen = estimate(shape, Load(8, number_bytes=2, device="cuda"), Pass(1, 1)).weights
    four = estimate(shape, Load(8, number_bytes=2, kind="qlora", device="cuda"), Pass(1, 1)).weights
    assert sixteen / 4 < four < sixteen / 3


def test_what_is_free_does_not_matter_as_long_as_it_suffices() -> None:
    """Another division of a step has other sums in their last bits."""
    shape, load = configured(LLAMA, 3_500_000), Load(8)
    assert {fitting(shape, load, free * GIB) for free in (4, 8, 12.3, 512)} == {most(shape, "cpu")}


@pytest.mark.parametrize("config", [LLAMA, MANY_WORDS, {**WIDE, "num_hidden_layers": 30}])
def test_a_pass_is_halved_until_it_fits(config: dict[str, int]) -> None:
    shape, load = configured(config, 0), Load(8)
    whole, tight = most(shape, "cpu"), fitting(shape, load, GIB)
    doubled = Pass(2 * tight.tokens, 2 * tight.places)
    assert activations(shape, load, tight) <= GIB and activations(shape, load, doubled) > 0.8 * GIB
    assert whole.tokens % tight.tokens == 0 and tight.places <= tight.tokens
    assert fitting(shape, load, -1) == Pass(1, 1), "a single row is tried all the same"


def test_a_large_base_takes_fewer_tokens_at_once_as_more_would_not_be_faster() -> None:
    small, large = configured(LLAMA, 0), configured({**WIDE, "num_hidden_layers": 30}, 0)
    assert (most(small, "cpu").tokens, most(large, "cpu").tokens) == (8192, 512)
    assert most(large, "cuda").tokens == most(small, "cuda").tokens > 8192


def test_a_container_s_limit_counts_and_no_limit_does_not(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 400000\ninactive_file 200000\n")
    (tmp_path / "memory.max").write_text("1000000\n")
    assert free_memory(tmp_path) == 500_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) > 2**20 < free_memory(tmp_path / "none")


def test_where_the_vocabulary_is_large_targets_are_the_limit() -> None:
    few, many = most(configured(LLAMA, 0), "cpu"), most(configured({**LLAMA, "vocab_size": 152_000}, 0), "cpu")
    assert few.places == few.tokens == many.tokens
    assert many.places * 152_000 * 4 <= GIB / 2


def test_with_little_memory_a_step_is_divided_and_learns_the_same(
    base: Path, learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import load as read

    from dlm_lsp.training import device, stepping

    shape = AdapterShape(rank=4, dropout=0.0)  # what dropout draws depends on the division
    lessons = [exchange(f"Who keeps {number}?", "They keep it.") for number in range(8)]
    plenty = cycle(learner, request(base, key="plenty", shape=shape), lessons)
    again = cycle(learner, request(base, key="again", shape=shape), lessons)
    divided: list[int] = []
    plain = stepping.micro_batches

    def seen(*arguments: Any) -> Any:
        batches = plain(*arguments)
        divided.append(len(batches))
        return batches

    monkeypatch.setattr(stepping, "micro_batches", seen)
    monkeypatch.setattr(device, "free_memory", lambda: 600_000)
    little = cycle(learner, request(base, key="little", shape=shape), lessons)
    assert weights(plenty) == weights(again)
    assert max(divided) > 1
    first, second = read(weights(plenty)), read(weights(little))
    assert all(torch.allclose(first[name], second[name], atol=1e-5) for name in first)
