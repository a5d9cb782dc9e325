"""A base model in memory: frozen weights, tokenizer, and what the rest needs to know of them."""

from __future__ import annotations

import copy
import itertools
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlm_lsp.training.memory import Shape, configured
from dlm_lsp.training.protocol import LearnerError
from dlm_lsp.training.quantised import four_bits, settle
from dlm_lsp.training.stack import collector_resting

if TYPE_CHECKING:
    from dlm_lsp.training.bases import ResolvedBase
    from dlm_lsp.training.device import Device

log = logging.getLogger(__name__)

# Everything of a snapshot that a tokenizer is loaded from.
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)


@dataclass(frozen=True, slots=True)
class LoadedBase:
    """`model` is a transformers causal language model without adapter; it is never changed, only copied.

    `tokenizer_files` are the bytes that an adapter version carries, so that it can be used without the base's
    directory. `quantised`: its linear layers are of four bits.
    """

    resolved: ResolvedBase
    device: Device
    quantised: bool
    model: Any
    tokenizer: Any
    context_length: int
    hidden_size: int
    parameters: int
    sizes: Shape
    end_tokens: tuple[int, ...]
    tokenizer_files: Mapping[str, bytes]

    def bare_copy(self) -> Any:
        """Modules of its own over the same weights: an adapter goes in without a second copy in memory."""
        tensors = itertools.chain(self.model.parameters(), self.model.buffers())
        return copy.deepcopy(self.model, {id(tensor): tensor for tensor in tensors})


def load_base(resolved: ResolvedBase, device: Device, quantised: bool) -> LoadedBase:
    """Loads a snapshot's weights (safetensors only, never code) and tokenizer. Raises LearnerError."""
    model, tokenizer = _from_files(resolved, device, quantised)
    model.requires_grad_(False)
    model.eval()
    if quantised:
        settle(model)
    else:
        model.to(device.kind)
    if (device.kind, device.precision) == ("cpu", "fp32"):
        from dlm_lsp.training import linear

        linear.quicken(model)
    config = model.config.get_text_config()
    if len(tokenizer) > config.vocab_size:
        raise LearnerError(
            f"The tokenizer of the base model {resolved.reference!r} has {len(tokenizer)} tokens, but the "
            f"model only {config.vocab_size}: they don't belong together. Choose another base model.",
            code="base-unreadable",
            key="base_model",
        )
    parameters = model.num_parameters()  # two of four bits are one number of a tensor
    return LoadedBase(
        resolved=resolved,
        device=device,
        quantised=quantised,
        model=model,
        tokenizer=tokenizer,
        context_length=_context_length(config, resolved),
        hidden_size=config.hidden_size,
        parameters=parameters,
        sizes=configured(config.to_dict(), parameters),
        end_tokens=_end_tokens(model, tokenizer),
        tokenizer_files=_tokenizer_files(resolved.directory, tokenizer),
    )


def _from_files(resolved: ResolvedBase, device: Device, quantised: bool) -> tuple[Any, Any]:
    """Model and tokenizer as transformers makes them. Raises LearnerError."""
    from transformers.models.auto.modeling_auto import AutoModelForCausalLM
    from transformers.models.auto.tokenization_auto import AutoTokenizer

    directory = str(resolved.directory)
    # Onto a GPU weight by weight: all of them in main memory first may be more than it has.
    options = four_bits(device) if quantised else {"device_map": {"": "cuda"}} if device.kind == "cuda" else {}
    try:
        with collector_resting():
            tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
            model = AutoModelForCausalLM.from_pretrained(
                directory,
                dtype=device.dtype,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                **options,
            )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
        raise LearnerError(
            f"The base model {resolved.reference!r} can't be loaded: {reason}",
            code="base-unreadable",
            key="base_model",
        ) from error
    return model, tokenizer


def _context_length(config: Any, resolved: ResolvedBase) -> int:
    lengths = (getattr(config, "max_position_embeddings", None), resolved.context_length)
    return min((length for length in lengths if length), default=2048)


def _end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    ends: set[int] = set()
    for source in (tokenizer, model.config.get_text_config(), model.generation_config):
        value = getattr(source, "eos_token_id", None)
        ends |= {value} if isinstance(value, int) else set(value or ())
    return tuple(sorted(ends))


def _tokenizer_files(directory: Path, tokenizer: Any) -> dict[str, bytes]:
    """The snapshot's own files, or, where it has only an older format, what transformers makes of them."""
    if (directory / "tokenizer.json").is_file():
        return _read(directory)
    with tempfile.TemporaryDirectory() as written:
        tokenizer.save_pretrained(written)
        return _read(Path(written))


def _read(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in _TOKENIZER_FILES if (directory / name).is_file()}
