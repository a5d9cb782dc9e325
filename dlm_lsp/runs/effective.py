"""From frontmatter to what the learner is told."""

from __future__ import annotations

from pathlib import Path

from dlm_lsp.document import Frontmatter
from dlm_lsp.training.protocol import AdapterShape, BaseRequest, TrainingSettings


def adapter_shape(frontmatter: Frontmatter) -> AdapterShape:
    training = frontmatter.training
    modules = training.target_modules
    return AdapterShape(
        kind=training.adapter,
        rank=training.lora_r,
        alpha=training.lora_alpha,
        dropout=training.lora_dropout,
        target_modules=None if modules == "auto" else tuple(modules),
    )


def training_settings(frontmatter: Frontmatter) -> TrainingSettings:
    """A rate or a number of epochs that the author did not write stays None: the learner's rules decide."""
    training = frontmatter.training
    written = training.model_fields_set
    return TrainingSettings(
        learning_rate=training.learning_rate if "learning_rate" in written else None,
        num_epochs=training.num_epochs if "num_epochs" in written else None,
        sequence_len=training.sequence_len,
        micro_batch_size=None if training.micro_batch_size == "auto" else training.micro_batch_size,
        grad_accum=None if training.grad_accum == "auto" else training.grad_accum,
        optimizer=training.optimizer,
        lr_scheduler=training.lr_scheduler,
        warmup_ratio=training.warmup_ratio,
        precision=training.precision,
        seed=training.seed,
    )


def base_request(frontmatter: Frontmatter, path: Path, revision: str | None) -> BaseRequest:
    return BaseRequest(reference=frontmatter.base_model, document_dir=str(path.parent), revision=revision)
