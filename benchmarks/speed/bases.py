"""Bases to measure with: the built-in one, and random-weight Llamas of any size that speak its tokens.

What a step costs depends on a model's shapes and not on what it knows, so that nothing has to be downloaded.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlm_lsp.training import bases

BUILTIN = Path(bases.__file__).parent / "builtin" / "tiny"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama's sizes, as its configuration names them; `key_heads` None: as many as heads."""

    hidden: int
    layers: int
    inner: int
    heads: int
    key_heads: int | None = None
    vocabulary: int = 2048  # the built-in tokenizer's


SIZES: dict[str, Shape | None] = {
    "tiny": None,  # the built-in base, 3.5 million parameters
    "20m": Shape(hidden=512, layers=6, inner=1408, heads=8),
    "50m": Shape(hidden=768, layers=8, inner=2048, heads=12),  # 58 million
    "135m": Shape(hidden=576, layers=30, inner=1536, heads=9, key_heads=3, vocabulary=49152),  # SmolLM2's
}


def base(size: str, folder: Path) -> Path:
    """The directory of a base of one of `SIZES`, made in `folder` when it is not there yet."""
    shape = SIZES[size]
    if shape is None:
        return BUILTIN
    place = folder / size
    return place if place.is_dir() else random_llama(place, shape)


def reference(directory: Path) -> str:
    """How a document names the base in `directory`."""
    return bases.BUILTIN if directory == BUILTIN else str(directory)


def random_llama(folder: Path, shape: Shape, *, dtype: str = "float32", context: int = 1024, seed: int = 0) -> Path:
    """Writes a base with random weights and the built-in tokenizer into `folder`, and returns that."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads or shape.heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = LlamaForCausalLM(config)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    for name in _TOKENIZER:
        shutil.copy(BUILTIN / name, folder / name)
    return folder
