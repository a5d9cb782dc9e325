"""How much memory training a base takes, from figures alone, and how much of a step fits at once. No torch.

What autograd keeps was counted tensor by tensor in Llama; `tests/training/test_memory.py` holds the sums against steps
that really ran, of other architectures too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from dlm_lsp.training.base_files import read_config
from dlm_lsp.training.bases import BaseFacts
from dlm_lsp.training.protocol import LearnerError

Kind = Literal["cpu", "mps", "cuda"]

USUAL_CONTEXT = 2048

_PROCESS = 450 * 2**20  # bytes of torch, transformers and peft once they are imported
_ALL_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_TRAINED_BYTES = 16  # of one trained number: itself, its gradient, two moments, all fp32
_WRITTEN_BYTES = 32  # while a version is made: the bytes of its files, and the buffers that they are made in
_NF4_BYTES = 0.5 + 1 / 64 * 1.02  # a weight and its part of a doubly quantised scale for 64
_LOGIT_BYTES = 16  # a logit in fp32, its log probability, and the gradients of both
_VOCABULARY = 128_000  # where the configuration is not here
_ROOM = 0.85  # of the memory that is free: the rest is for others, and for what the model does not see

# What lies in memory for each byte in use: holes between blocks. glibc's, where a freed block often does not serve the
# next aligned one of its size (blocks from 32 MiB on are mapped, and leave none); torch's own allocators are better.
_HOLES = {"cpu": 1.8, "mps": 1.25, "cuda": 1.25}
_MAPPED = 32 * 2**20

# The most that one micro batch holds, however much memory there is: padded tokens, and logits. Fixed, so that what is
# free at the moment does not change how a step is divided (and with it the last bits of its sums). More would not be
# faster: on the CPU 512 tokens of a large base take 1 to 3 % longer than 1,024, and half of the memory.
_MOST_TOKENS = {"cpu": 8192, "mps": 8192, "cuda": 16384}
_LEAST_MOST, _MOST_WORK = 512, 1 << 24  # on the CPU: tokens, and tokens × layers × hidden size
_MOST_LOGITS = {"cpu": 1 << 27, "mps": 1 << 27, "cuda": 1 << 29}


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model that its memory follows from. `queries` and `keys` are the widths of all heads together."""

    parameters: int
    hidden: int
    layers: int
    inner: int
    vocabulary: int
    queries: int
    keys: int
    heads: int
    tied: bool = False  # whether the output layer's weights are the embedding's


@dataclass(frozen=True, slots=True)
class Load:
    """What a run asks of the model. `modules` are those with an adapter, None for all."""

    rank: int
    modules: tuple[str, ...] | None = None
    number_bytes: int = 4  # of one number of the base: fp32 on the CPU unless bf16 is written
    kind: Literal["lora", "dora", "qlora"] = "lora"
    device: Kind = "cpu"
    longest_row: int = USUAL_CONTEXT
    keeps_scores: bool = False  # whether attention keeps all of a row's tokens by all of them


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward and backward pass: padded tokens, and those of them that are targets."""

    tokens: int
    places: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, by what they are for."""

    weights: int
    adapter: int  # its numbers, their gradients, the optimizer's moments
    activations: int  # of the largest pass, logits included
    writing: int = 0  # of a version's files, when the activations are gone
    process: int = _PROCESS

    @property
    def total(self) -> int:
        return self.weights + self.adapter + max(self.activations, self.writing) + self.process


def estimate(shape: Shape, load: Load, largest: Pass) -> Memory:
    """The most memory that a run takes whose micro batches are at most `largest`."""
    trained = shape.layers * load.rank * sum(sum(each) for each in _widths(shape, load))
    return Memory(
        _weights(shape, load),
        trained * _TRAINED_BYTES,
        activations(shape, load, largest),
        trained * _WRITTEN_BYTES,
    )


def activations(shape: Shape, load: Load, largest: Pass) -> int:
    """Bytes that one pass takes beside weights and adapter: what all layers keep for the way back, what one of them
    needs on it, and the logits at the targets."""
    layer = _kept(shape, load) + (4 * shape.heads * load.longest_row if load.keeps_scores else 0)
    passing = (4 * shape.inner + 6 * shape.hidden) * 4
    logit = 4 * shape.vocabulary
    logits = largest.places * shape.vocabulary * (_LOGIT_BYTES + (4 if load.number_bytes < 4 else 0))
    if load.device != "cpu" or largest.places * logit < _MAPPED:
        logits = round(logits * _HOLES[load.device])
    whole = max((wide * high for wide, high in _widths(shape, load)), default=0)
    anew = {"lora": 0, "dora": 12 * whole, "qlora": 2 * load.number_bytes * shape.inner * shape.hidden}[load.kind]
    return round(_HOLES[load.device] * largest.tokens * (shape.layers * layer + passing)) + logits + anew


def most(shape: Shape, device: Kind) -> Pass:
    """The most that one micro batch holds where nothing is written and memory is plenty."""
    tokens = _MOST_TOKENS[device]
    if device == "cpu":
        worth = 1 << max(1, _MOST_WORK // (shape.layers * shape.hidden)).bit_length() - 1
        tokens = min(tokens, max(_LEAST_MOST, worth))
    return Pass(tokens, max(1, min(tokens, _MOST_LOGITS[device] // shape.vocabulary)))


def fitting(shape: Shape, load: Load, free: int) -> Pass:
    """The same, halved until its activations fit into `free` bytes: tokens and places that need not be one row's.

    Halves only, so that small changes of what is free change nothing.
    """
    largest = most(shape, load.device)
    while largest.tokens > 1 and activations(shape, load, largest) > _ROOM * free:
        tokens = largest.tokens // 2
        largest = Pass(tokens, max(1, min(tokens, largest.places // 2)))
    return largest


def free_memory(container: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of main memory that can be had without swapping: the machine's, or the container's where it has a limit."""
    available = int(psutil.virtual_memory().available)
    try:
        limit, used, facts = ((container / f"memory.{name}").read_text() for name in ("max", "current", "stat"))
        files = dict(line.split() for line in facts.splitlines())["inactive_file"]  # given up when memory is wanted
        return max(0, min(available, int(limit) - int(used) + int(files)))
    except (OSError, ValueError, KeyError):  # not Linux, no limits ("max"), or an older kind of them
        return available


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
    return configured(config, facts.parameters)


def configured(config: Mapping[str, Any], parameters: int) -> Shape:
    """The sizes that a configuration says; what it does not say is guessed from the number of parameters."""
    guess = _guessed(parameters)
    hidden = _size(config, "hidden_size", "n_embd", "d_model") or guess.hidden
    heads = _size(config, "num_attention_heads", "n_head", "num_heads") or max(1, hidden // 64)
    head = _size(config, "head_dim") or max(1, hidden // heads)
    inner = _size(config, "intermediate_size", "n_inner", "ffn_dim") or 4 * hidden
    return Shape(
        parameters,
        hidden,
        _size(config, "num_hidden_layers", "n_layer", "num_layers") or guess.layers,
        inner * (_size(config, "num_experts_per_tok") or 1),
        _size(config, "vocab_size") or guess.vocabulary,
        heads * head,
        head * (_size(config, "num_key_value_heads") or heads),
        heads,
        config.get("tie_word_embeddings") is True,
    )


def _weights(shape: Shape, load: Load) -> int:
    """In QLoRA the layers are of four bits; embeddings and output layer stay as they are."""
    if load.kind != "qlora":
        return shape.parameters * load.number_bytes
    whole = min(shape.parameters, shape.vocabulary * shape.hidden * (1 if shape.tied else 2))
    return whole * load.number_bytes + round((shape.parameters - whole) * _NF4_BYTES)


def _kept(shape: Shape, load: Load) -> int:
    """Bytes of a token that a layer keeps for the way back.

    The two norms' inputs in fp32; queries, keys, values and what attention makes of them; of the inner layer both
    projections and the activation. A frozen projection keeps nothing, but one with an adapter what goes into that, in
    fp32, and the mask of its dropout (on the CPU in fp32, too), and DoRA two times what comes out.
    """
    mask = 1 if load.device == "cuda" else 4
    base = 2 * shape.queries + 2 * shape.keys + 3 * shape.inner
    adapters = sum((4 + mask) * wide + (8 * high if load.kind == "dora" else 0) for wide, high in _widths(shape, load))
    return 8 * shape.hidden + base * load.number_bytes + adapters + 4 * load.rank


def _widths(shape: Shape, load: Load) -> list[tuple[int, int]]:
    """What goes into and what comes out of each module of a layer that has an adapter, in numbers a token."""
    hidden, inner, queries, keys = shape.hidden, shape.inner, shape.queries, shape.keys
    known = {
        "q_proj": (hidden, queries),
        "k_proj": (hidden, keys),
        "v_proj": (hidden, keys),
        "o_proj": (queries, hidden),
        "qkv_proj": (hidden, queries + 2 * keys),
        "c_attn": (hidden, queries + 2 * keys),
        "query_key_value": (hidden, queries + 2 * keys),
        "gate_proj": (hidden, inner),
        "up_proj": (hidden, inner),
        "gate_up_proj": (hidden, 2 * inner),
        "c_fc": (hidden, inner),
        "down_proj": (inner, hidden),
        "c_proj": (hidden + inner, 2 * hidden),  # attention's and the inner layer's have one name
    }
    names = {each.rsplit(".", 1)[-1] for each in load.modules or ("all-linear",)}
    return [known.get(name, (hidden, hidden)) for name in (_ALL_MODULES if "all-linear" in names else sorted(names))]


def _size(config: Mapping[str, Any], *names: str) -> int | None:
    found = next((config[name] for name in names if config.get(name) is not None), None)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 < found < 2**31 else None


def _guessed(parameters: int) -> Shape:
    """Decoders have about 12 · layers · hidden² numbers, and a layer for some 80 of their hidden size."""
    hidden = max(64, round((parameters * 80 / 12) ** (1 / 3)))
    return Shape(
        parameters,
        hidden,
        max(2, hidden // 80),
        4 * hidden,
        _VOCABULARY,
        queries=hidden,
        keys=hidden,
        heads=max(1, hidden // 64),
    )
