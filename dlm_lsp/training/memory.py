"""How much memory training a base takes on the CPU: an estimate from figures alone. No torch.

Right in its order of magnitude; `tests/training/test_memory.py` holds it against the real thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlm_lsp.training.base_files import read_config
from dlm_lsp.training.bases import BaseFacts
from dlm_lsp.training.protocol import LearnerError

STEP_ROWS = 8  # rows of one step where nothing is written
AUTO_TOKENS = 8192  # padded tokens of one forward pass where nothing is written, on the CPU
USUAL_CONTEXT = 2048

_PROCESS = 450 * 2**20  # bytes of torch, transformers and peft once they are imported
_ADAPTED = 4  # projections a layer that an adapter changes, unless its modules are named
_TRAINED_BYTES = 16  # of one trained number: itself, its gradient, two moments, all fp32
_LAYER_WIDTHS = 22  # numbers a token that a layer keeps for the way back, in hidden sizes, dropout's included
_INNER_WIDTHS = 5  # and in sizes of its inner layer
_LOGIT_COPIES = 4  # as computed, as fp32, as probabilities, as gradient
_VOCABULARY = 128_000  # where the configuration is not here


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model that its memory follows from."""

    parameters: int
    hidden: int
    layers: int
    inner: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Load:
    """What a run asks of the model: rank and modules of its adapter, tokens of its longest row, rows at once."""

    rank: int
    modules: int | None = None  # None: the base's own choice
    row_tokens: int = USUAL_CONTEXT
    micro_batch: int | None = None  # None: "auto"
    number_bytes: int = 4  # of one number of the base: fp32 on the CPU unless bf16 is written


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, by what they are for."""

    weights: int
    adapter: int  # its numbers, their gradients, the optimizer's moments
    activations: int  # of the largest forward pass, logits included
    process: int = _PROCESS

    @property
    def total(self) -> int:
        return self.weights + self.adapter + self.activations + self.process


def estimate(shape: Shape, load: Load) -> Memory:
    """The most memory that a step takes on the CPU."""
    rows = load.micro_batch or max(1, min(STEP_ROWS, AUTO_TOKENS // max(load.row_tokens, 1)))
    tokens = rows * load.row_tokens
    modules = _ADAPTED if load.modules is None else load.modules
    adapter = shape.layers * modules * load.rank * 2 * shape.hidden * _TRAINED_BYTES
    kept = shape.layers * (_LAYER_WIDTHS * shape.hidden + _INNER_WIDTHS * shape.inner) * load.number_bytes
    logits = shape.vocabulary * 4 * _LOGIT_COPIES
    return Memory(shape.parameters * load.number_bytes, adapter, tokens * (kept + logits))


def shape_of(facts: BaseFacts) -> Shape | None:
    """The sizes of a base: from its configuration where that is here, else guessed from its parameters."""
    if facts.parameters is None:
        return None
    config: Mapping[str, Any] = {}
    if facts.directory is not None:
        try:
            config = read_config(facts.directory, facts.hf_id)
        except LearnerError:
            config = {}
    guess = _guessed(facts.parameters)
    hidden = _size(config, "hidden_size", "n_embd", "d_model") or guess.hidden
    return Shape(
        facts.parameters,
        hidden,
        _size(config, "num_hidden_layers", "n_layer", "num_layers") or guess.layers,
        _size(config, "intermediate_size", "n_inner", "ffn_dim") or 4 * hidden,
        _size(config, "vocab_size") or guess.vocabulary,
    )


def _size(config: Mapping[str, Any], *names: str) -> int | None:
    found = next((config[name] for name in names if name in config), None)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 < found < 2**31 else None


def _guessed(parameters: int) -> Shape:
    """Decoders have about 12 · layers · hidden² numbers, and a layer for some 80 of their hidden size."""
    hidden = max(64, round((parameters * 80 / 12) ** (1 / 3)))
    return Shape(parameters, hidden, max(2, hidden // 80), 4 * hidden, _VOCABULARY)
