"""What can be said of a document's base on this machine before it is loaded: memory, licence, what media it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dlm_lsp.document import Document, Frontmatter, Severity
from dlm_lsp.training.bases import BaseFacts, base_facts
from dlm_lsp.training.memory import USUAL_CONTEXT, Load, Memory, Pass, estimate, shape_of

TOO_LARGE = "base-too-large"
LICENCE_TO_ACCEPT = "base-licence"
LICENCE_UNKNOWN = "base-licence-unknown"

_HUB = "https://huggingface.co/"
_CHARACTERS = 3  # of a token, at the least that is usual
_TEMPLATE = 16  # tokens that a chat template adds to an exchange
_TAKES = {"image": "vision-language", "audio": "audio-language"}


@dataclass(frozen=True, slots=True)
class BaseUse:
    """A base, and what the document would have it do. `row_tokens` is rounded up, so that typing rarely changes it."""

    reference: str
    kind: Literal["lora", "dora", "qlora"] = "lora"
    rank: int = 8
    modules: tuple[str, ...] | None = None
    row_tokens: int = USUAL_CONTEXT
    row_targets: int = USUAL_CONTEXT
    micro_batch: int | None = None  # None: "auto", which goes down to a single row where memory is small
    number_bytes: int = 4


def base_use(document: Document, frontmatter: Frontmatter) -> BaseUse:
    """A row is as long as `sequence_len` allows, and no longer than the longest lesson; sources may hold any."""
    training = frontmatter.training
    tokens = targets = training.sequence_len
    if not training.sources:
        longest = [section.longest for section in document.sections]
        tokens = min(tokens, _rounded(max([letters for letters, _ in longest], default=0)))
        targets = min(tokens, _rounded(max([answer for _, answer in longest], default=0)))
    return BaseUse(
        frontmatter.base_model,
        training.adapter,
        training.lora_r,
        None if training.target_modules == "auto" else tuple(training.target_modules),
        tokens,
        targets,
        None if training.micro_batch_size == "auto" else training.micro_batch_size,
        2 if training.precision in ("bf16", "fp16") else 4,
    )


def _rounded(letters: int) -> int:
    return max(64, 1 << (letters // _CHARACTERS + _TEMPLATE).bit_length())


def check_base(use: BaseUse, folder: Path, available: int) -> tuple[tuple[str, Severity, str], ...]:
    """Code, severity and sentence of each finding; `available`: bytes of memory that are free now."""
    facts = base_facts(use.reference, folder)
    if facts is None or facts.obstacle is not None:
        return ()  # an error on the base says so already
    found = [*_licence(facts)]
    memory = memory_for(use, facts)
    if memory is not None and memory.total > available:
        found.append((TOO_LARGE, Severity.WARNING, _too_large(use, facts, memory, available)))
    return tuple(found)


def memory_for(use: BaseUse, facts: BaseFacts) -> Memory | None:
    """What training takes on the CPU; None where the size of the base is not known."""
    shape = shape_of(facts)
    if shape is None:
        return None
    tokens = min(use.row_tokens, facts.context_length or use.row_tokens)
    rows = use.micro_batch or 1
    load = Load(use.rank, use.modules, use.number_bytes, use.kind, longest_row=tokens)
    return estimate(shape, load, Pass(rows * tokens, rows * min(use.row_targets, tokens)))


def media_refusal(use: BaseUse, folder: Path) -> dict[str, str]:
    """For each kind of media that the base cannot take: why, as a sentence."""
    facts = base_facts(use.reference, folder)
    if facts is None or (facts.directory is None and facts.parameters is None):
        return {}  # nothing is known of it
    said = "takes text only" if facts.modality.startswith("text") else f"is a {facts.modality} model"
    return {
        kind: f"{use.reference} {said}, so this {kind} section teaches it nothing. Write what matters about it as text."
        for kind, modality in _TAKES.items()
        if facts.modality != modality
    }


def _licence(facts: BaseFacts) -> list[tuple[str, Severity, str]]:
    page = f"{_HUB}{facts.hf_id}"
    if facts.gated and facts.directory is None:
        name = f" ({facts.license})" if facts.license else ""
        message = f"The licence of {facts.hf_id}{name} must be accepted before it can be downloaded: log in at {page}."
        return [(LICENCE_TO_ACCEPT, Severity.INFORMATION, message)]
    if facts.license is None and facts.reference.startswith("hf:"):
        message = f"The licence of {facts.hf_id} is not known here: read it at {page} before you share what it learns."
        return [(LICENCE_UNKNOWN, Severity.INFORMATION, message)]
    return []


def _too_large(use: BaseUse, facts: BaseFacts, memory: Memory, available: int) -> str:
    rows = "a row" if use.micro_batch in (None, 1) else f"{use.micro_batch} rows"
    parts = (
        f"weights {_shown(memory.weights)}, adapter and optimizer {_shown(memory.adapter)}, "
        f"activations and logits {_shown(memory.activations)} for {rows} of {use.row_tokens:,} tokens"
    )
    return (
        f"If trained on this machine's CPU, {use.reference} takes about {_shown(memory.total)} of memory ({parts}) and "
        f"{_shown(available)} is free. Choose a smaller base, or {_relief(use, facts, available)}."
    )


def _relief(use: BaseUse, facts: BaseFacts, available: int) -> str:
    """The least change by which it would fit."""
    single: dict[str, Any] = {"micro_batch": None if use.micro_batch is None else 1}
    halved: dict[str, Any] = {"number_bytes": 2}
    short: dict[str, Any] = {"row_tokens": min(use.row_tokens, 256)}
    for change, advice in (
        (single, "write `micro_batch_size: 1` under `training`"),
        (halved, "write `precision: bf16` under `training`"),
        (single | halved, "write `micro_batch_size: 1` and `precision: bf16` under `training`"),
        (single | halved | short, "lower `training.sequence_len`, with `micro_batch_size: 1` and `precision: bf16`"),
    ):
        memory = memory_for(replace(use, **change), facts)
        if memory is not None and memory.total <= available:
            return advice
    return "train it on a GPU"


def _shown(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**29 else f"{max(1, round(size / 2**20))} MiB"
