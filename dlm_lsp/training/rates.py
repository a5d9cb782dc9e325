"""How fast to learn: the learning rate of each step. `docs/learning.md` gives the reasons and sources."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dlm_lsp.training.protocol import TrainingSettings

HIGHEST_RATE = 2e-3
B_RATIO = 2.0  # of the matrices B's rate to that of all else: LoRA+
BETA2 = 0.999  # AdamW's
MEETING = 10  # steps in which a cycle meets what is new
CYCLE_WARM_UP = 5  # steps, only when the optimizer's moments are fresh


def peak_rate(settings: TrainingSettings, hidden_size: int) -> float:
    """The written rate, or 5e-4 · (2000 / hidden size)^0.78, at most 2e-3."""
    if settings.learning_rate is not None:
        return settings.learning_rate
    return min(HIGHEST_RATE, 5e-4 * math.pow(2000 / hidden_size, 0.78))


def b_ratio(settings: TrainingSettings) -> float:
    """How many times faster the matrices B are learned than all else; a written rate is the same for all."""
    return 1.0 if settings.learning_rate is not None else B_RATIO


def cycle_rate(peak: float, settled: int, moments_step: int) -> float:
    """`settled`: steps that the moments had seen when all was learned last; `moments_step`: those up to now.

    Adam divides by the root of the mean squared gradient of about 1/(1 - beta2) steps. Rows that are learned have
    hardly any gradient, so after `settled` steps the n-th one on new rows is too large by the root of
    (1 - beta2^(settled + n)) / (1 - beta2^n), ten times in the end. The rate makes up for it. The first steps of fresh
    moments are warmed up.
    """
    steady = math.sqrt((1 - BETA2**MEETING) / (1 - BETA2 ** (settled + MEETING)))
    return peak * steady * min(1.0, (moments_step + 1) / CYCLE_WARM_UP)


@dataclass(frozen=True, slots=True)
class FullSchedule:
    """Warm-up, then `kind` over the rest of `total` steps, as the frontmatter's `lr_scheduler` says."""

    peak: float
    kind: Literal["cosine", "linear", "constant"]
    warmup: int
    total: int

    def rate(self, step: int) -> float:
        """The rate of step `step` (from 0). Neither the first nor the last step has rate 0."""
        if step < self.warmup:
            return self.peak * (step + 1) / (self.warmup + 1)
        if self.kind == "constant":
            return self.peak
        left = 1 - (step - self.warmup) / max(1, self.total - self.warmup)
        return self.peak * (left if self.kind == "linear" else 0.5 * (1 - math.cos(math.pi * left)))


def warm_up_steps(ratio: float, total: int) -> int:
    return math.ceil(ratio * total)
