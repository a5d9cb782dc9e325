"""How fast to learn: the learning rate of each step. `docs/learning.md` gives the reasons and sources."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dlm_lsp.training.protocol import TrainingSettings

HIGHEST_RATE = 2e-3
CYCLE_WARM_UP = 5  # steps, only when the optimizer's moments are fresh


def peak_rate(settings: TrainingSettings, hidden_size: int) -> float:
    """The written rate, or 5e-4 · (2000 / hidden size)^0.78, at most 2e-3."""
    if settings.learning_rate is not None:
        return settings.learning_rate
    return min(HIGHEST_RATE, 5e-4 * math.pow(2000 / hidden_size, 0.78))


def cycle_rate(peak: float, moments_step: int) -> float:
    """Constant; the first steps of fresh moments are warmed up. `moments_step`: steps they have seen."""
    return peak * min(1.0, (moments_step + 1) / CYCLE_WARM_UP)


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
