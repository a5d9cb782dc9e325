"""Frozen linear layers on the CPU, multiplied by the faster of torch's two libraries.

torch multiplies matrices of 32 bits with MKL, which leaves AVX-512 unused on processors that are not Intel's: on AMD's
oneDNN takes less than half the time. torch asks oneDNN only if it was allowed to compute in bf16, and oneDNN does that
where the processor has units for it and else not. So whether it is faster, and as exact, is measured before it is used.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from dlm_lsp.training.measured import measured

log = logging.getLogger(__name__)

_FEW_ROWS = 16  # with fewer, as in an answer that is made token by token, oneDNN's fixed cost is too high
_FASTER = 0.75  # of MKL's time that oneDNN may take at most: of two that are alike, the usual one stays
_EXACT = 1e-5  # of the largest number; 32 bits stay below a tenth of this, TF32 is ten times above it


class FrozenLinear(torch.nn.Linear):
    """A linear layer whose own weights get no gradient."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.numel() < _FEW_ROWS * self.in_features:
            return super().forward(inputs)
        product: torch.Tensor = _Product.apply(inputs, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return product


def quicken(model: torch.nn.Module) -> None:
    """Has the frozen linear layers of an fp32 model on the CPU use oneDNN, where that pays on this machine."""
    if not onednn_pays():
        return
    for module in model.modules():
        if type(module) is torch.nn.Linear and not module.weight.requires_grad:
            module.__class__ = FrozenLinear


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(weight)
        with onednn():
            return torch.nn.functional.linear(inputs, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        with onednn():
            return grads[0] @ weight, None, None


@contextmanager
def onednn() -> Iterator[None]:
    """Inside, torch multiplies with oneDNN. For single products only: attention's many small ones take much longer."""
    matmul: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def onednn_pays() -> bool:
    """Measured once on each machine: what is multiplied by the other library has other last bits."""
    return bool(measured("oneDNN pays", lambda: (int(_onednn_is_faster()), True), 0, 1))


def _onednn_is_faster() -> bool:
    """In the processor time of one thread: what else runs hardly matters."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.backends.mkldnn, "matmul")):  # type: ignore[no-untyped-call]
        return False
    chance = torch.Generator().manual_seed(0)
    left, right = (torch.randn(size, generator=chance) for size in ((256, 512), (512, 512)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        usual = _seconds(lambda: left @ right)
        with onednn():
            found, quick = left @ right, _seconds(lambda: left @ right)
    finally:
        torch.set_num_threads(threads)
    true = left.double() @ right.double()
    error = float((found - true).abs().max() / true.abs().max())
    pays = error < _EXACT and quick < _FASTER * usual
    log.info("oneDNN takes %.2f of MKL's time, error %.0e: %s", quick / usual, error, "used" if pays else "not used")
    return pays


def _seconds(product: Callable[[], object]) -> float:
    """The best of seven, after one that prepares."""
    product()
    taken = []
    for _ in range(7):
        began = time.thread_time()
        product()
        taken.append(time.thread_time() - began)
    return min(taken)
