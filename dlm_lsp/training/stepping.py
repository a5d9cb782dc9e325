"""One optimizer step: micro batches, loss on the target tokens, and what is measured on the way."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlm_lsp.training.batches import micro_batches
from dlm_lsp.training.device import Device, empty_caches
from dlm_lsp.training.judge import Measured
from dlm_lsp.training.optimizer import adamw, make_optimizer, set_rates, trained
from dlm_lsp.training.protocol import LearnerError
from dlm_lsp.training.rows import Row

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

_CLIP = 1.0  # greatest norm of a step's gradient
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")  # as torch words it


@dataclass(slots=True)
class Limits:
    """A micro batch holds at most `rows` rows, `tokens` padded tokens and `places` targets."""

    rows: int
    tokens: int
    places: int


@dataclass(frozen=True, slots=True)
class StepDone:
    """`loss` is the mean negative log likelihood per target token, in nats, before the step."""

    loss: float
    tokens: int
    measured: tuple[Measured, ...]


class LogitsAt:
    """Has a model compute logits of some places only: they are the largest tensor of a step by far.

    What a model does with its logits afterwards (scaling, soft capping) works on each by itself, so choosing
    the places in front of the output layer fits every architecture.
    """

    def __init__(self, model: Any) -> None:
        self._places: torch.Tensor | None = None
        model.get_output_embeddings().register_forward_pre_hook(self._select)

    @contextlib.contextmanager
    def places(self, places: torch.Tensor) -> Iterator[None]:
        """Inside, the model's logits have shape (places, vocabulary).

        `places` index batch and length, flattened.
        """
        self._places = places
        try:
            yield
        finally:
            self._places = None

    def _select(self, _: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        if self._places is None:
            return None
        return (inputs[0].flatten(0, 1).index_select(0, self._places), *inputs[1:])


class Stepper:
    """Takes optimizer steps on a PEFT model's trainable parameters."""

    def __init__(self, model: Any, device: Device) -> None:
        import torch

        self.model = model
        self.device = device
        self.logits_at = LogitsAt(model)
        self.parameters = trained(model)
        self.optimizer = make_optimizer(model)
        # Gradients of half precision activations underflow; with bf16 and fp32 there is nothing to scale.
        scaled = device.kind == "cuda" and device.precision == "fp16"
        self.scaler = torch.amp.GradScaler(device.kind, enabled=scaled)

    def step(self, rows: Sequence[Row], rate: float, limits: Limits, seed: int, b_ratio: float = 1.0) -> StepDone:
        """One step on `rows` at learning rate `rate`, `b_ratio` times that for B; its dropout is drawn from `seed`.

        When memory does not suffice, `limits` is halved for this and all later steps. Raises LearnerError.
        """
        import torch

        while True:
            self.optimizer.zero_grad(set_to_none=True)
            if self.device.kind == "cpu":
                torch.default_generator.manual_seed(seed)
            else:  # which looks through all kinds of devices, and notes for each from where it was called
                torch.manual_seed(seed)
            batches = micro_batches(rows, limits.rows, limits.tokens, limits.places)
            done = self._try_backward(batches, len(rows))
            if done is not None:
                set_rates(self.optimizer, rate, b_ratio)
                return self._update(batches, *done)
            _halve(limits, max(len(batch) for batch in batches))
            empty_caches()

    def exercise(self, rows: Sequence[Row], limits: Limits) -> None:
        """What a step on `rows` does, with copies of the parameters where it would change them."""
        import torch

        batches = micro_batches(rows, limits.rows, limits.tokens, limits.places)
        losses, hits = self._backward(batches, len(rows))
        copies = [torch.nn.Parameter(each.detach().clone()) for each in self.parameters]
        for copy, own in zip(copies, self.parameters, strict=True):
            copy.grad = own.grad
        torch.nn.utils.clip_grad_norm_(copies, _CLIP)
        adamw([copies]).step()
        _measured([row for batch in batches for row in batch], losses, hits)

    def measure(self, rows: Sequence[Row], limits: Limits) -> list[Measured]:
        """What the weights say of `rows` as they are: forward passes without gradient and dropout."""
        import torch

        self.model.eval()
        measured: list[Measured] = []
        for batch in micro_batches(rows, limits.rows, limits.tokens, limits.places):
            tokens, places, targets, _ = self._tensors(batch, len(rows))
            with torch.inference_mode(), self.logits_at.places(places):
                logits = self.model(input_ids=tokens, use_cache=False).logits.float()
                losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none").cpu()
                hits = (logits.argmax(-1) == targets).cpu()
            measured += _measured(batch, losses, hits)
        return measured

    def _try_backward(self, batches: list[list[Row]], count: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """None when memory ran out; by then no traceback holds the tensors any more."""
        import torch

        try:
            return self._backward(batches, count)
        except (torch.OutOfMemoryError, MemoryError):
            return None
        except RuntimeError as error:
            if not any(text in str(error).lower() for text in _OUT_OF_MEMORY):
                raise
            return None

    def _backward(self, batches: list[list[Row]], count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Adds up gradients; returns loss and correctness of each target token, in the order of `batches`."""
        import torch

        losses, hits = [], []
        for batch in batches:
            tokens, places, targets, weights = self._tensors(batch, count)
            with self.logits_at.places(places):
                logits = self.model(input_ids=tokens, use_cache=False).logits
            logits = logits.float()
            loss = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
            torch.autograd.backward(self.scaler.scale((loss * weights).sum()))
            losses.append(loss.detach())
            hits.append(logits.detach().argmax(-1) == targets)
        return torch.cat(losses).cpu(), torch.cat(hits).cpu()

    def _tensors(self, batch: list[Row], count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Token ids (rows, longest row), and for each target its predictor's place, its id and its weight.

        Rows are padded on the right: causal attention never sees the padding, so no mask is needed, and the
        id that pads does not matter. Each row has the same weight in the step, whatever its length.
        """
        import torch

        longest = max(len(row.tokens) for row in batch)
        tokens = [[*row.tokens, *([0] * (longest - len(row.tokens)))] for row in batch]
        places = [
            number * longest + place - 1
            for number, row in enumerate(batch)
            for place in range(row.first_target, len(row.tokens))
        ]
        targets = [token for row in batch for token in row.tokens[row.first_target :]]
        weights = [1 / (row.targets * count) for row in batch for _ in range(row.targets)]
        where = self.device.kind
        return (
            torch.tensor(tokens, device=where),
            torch.tensor(places, device=where),
            torch.tensor(targets, device=where),
            torch.tensor(weights, device=where),
        )

    def _update(self, batches: list[list[Row]], losses: torch.Tensor, hits: torch.Tensor) -> StepDone:
        import torch

        mean = float(losses.mean())
        if not math.isfinite(mean):
            raise LearnerError(
                "The loss became infinite or not a number, so the run was stopped and nothing was kept. "
                "A lower `training.learning_rate` or `training.precision: fp32` helps most often.",
                code="diverged",
                key="training.learning_rate",
            )
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.parameters, _CLIP)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        measured = _measured([row for batch in batches for row in batch], losses, hits)
        return StepDone(mean, len(losses), tuple(measured))


def _measured(rows: Sequence[Row], losses: torch.Tensor, hits: torch.Tensor) -> list[Measured]:
    """Row by row, from loss and correctness of each target token in the order of `rows`."""
    import torch

    counts = [row.targets for row in rows]
    return [
        Measured(row, float(loss.mean()), bool(hit.all()))
        for row, loss, hit in zip(rows, torch.split(losses, counts), torch.split(hits, counts), strict=True)
    ]


def _halve(limits: Limits, rows: int) -> None:
    """Halves what ran out of memory with `rows` rows in its largest micro batch. Raises LearnerError."""
    if rows == 1:
        raise LearnerError(
            "There is not enough memory for a single row. Lower `training.sequence_len`, or choose a smaller "
            "base model.",
            code="out-of-memory",
            key="training.sequence_len",
        )
    limits.rows = rows // 2
    log.warning("out of memory with %d rows at once: continuing with %d", rows, limits.rows)
