"""Dropout for the CPU, whose random numbers cost a third of torch's: sixteen bits an element, not a number."""

from __future__ import annotations

import torch

_BITS = 16


class QuickDropout(torch.nn.Dropout):
    """`torch.nn.Dropout` with its probability rounded to 1/65536, drawn from torch's generator of the CPU."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return inputs
        kept: torch.Tensor = _bits(inputs.numel()) >= round(self.p * 2**_BITS) - 2 ** (_BITS - 1)
        return inputs * kept.view_as(inputs).to(inputs.dtype).mul_(1 / (1 - self.p))


def quicken(model: torch.nn.Module) -> None:
    """Replaces every dropout of a model on the CPU."""
    for module in list(model.modules()):
        for name, dropout in module.named_children():
            if type(dropout) is torch.nn.Dropout:
                module.add_module(name, QuickDropout(dropout.p))


def _bits(count: int) -> torch.Tensor:
    """`count` random numbers from -32768 to 32767."""
    words = torch.randint(-(2**63), 2**63 - 1, (-(-count * _BITS // 64),), dtype=torch.int64)
    return words.view(torch.int16)[:count]
