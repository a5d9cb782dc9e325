"""What to compute on: device, number format and number of threads."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import psutil

from dlm_lsp.training.measured import cores, measured
from dlm_lsp.training.memory import Shape, free_memory
from dlm_lsp.training.protocol import LearnerError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

Precision = Literal["bf16", "fp16", "fp32"]

_FASTER = 0.8  # more threads must take at most this part of the time: on a shared machine they cost steadiness
_OTHERS = 0.15  # of all processors, used by others meanwhile: with more, what was measured is not kept
_CLEARLY = 0.7  # bf16 must take at most this part of fp32's time: where it is not made for, it takes many times as long
_LEAST_HIDDEN = 512  # hidden size from which it is asked: what small bases learn is the same on every machine
_MOST_WIDE = 2048  # larger products take longer to measure and say nothing else


@dataclass(frozen=True, slots=True)
class Device:
    """`kind` is torch's device type."""

    kind: Literal["cpu", "mps", "cuda"]
    precision: Precision

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the base weights; the adapter's own weights are always fp32."""
        import torch

        return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[self.precision]

    def free_memory(self) -> int:
        """Bytes that can still be had there, those included that torch has kept for itself."""
        import torch

        if self.kind == "cuda":
            free, _ = torch.cuda.mem_get_info()
            return free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        if self.kind == "mps":
            return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
        return free_memory()

    def describe(self, threads: int, quantised: bool) -> str:
        """Such as "cpu (1 thread, fp32)"."""
        said = [f"{threads} thread{'' if threads == 1 else 's'}"] if self.kind == "cpu" else []
        said += [self.precision, *(["4-bit base"] if quantised else [])]
        return f"{self.kind} ({', '.join(said)})"


def choose_device(precision: Precision | None, sizes: Shape | None = None) -> Device:
    """The best device here, in the written precision or its fastest safe one for a base of `sizes`.

    On a CPU that is measured, once on each machine; without `sizes` it is fp32. Raises LearnerError.
    """
    import torch

    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return Device("cuda", precision or ("bf16" if fast else "fp32"))
    kind: Literal["cpu", "mps"] = "mps" if torch.backends.mps.is_available() else "cpu"
    if precision == "bf16" and kind == "mps":
        _check_bf16_on_mps()
    if precision == "fp16":
        raise LearnerError(
            "fp16 needs a CUDA GPU, and there is none here. Remove `training.precision`, or set it to bf16 or fp32.",
            code="unsupported-setting",
            key="training.precision",
        )
    if precision is None and kind == "cpu" and sizes is not None and sizes.hidden >= _LEAST_HIDDEN:
        return Device(kind, "bf16" if _bf16_pays(sizes) else "fp32")
    return Device(kind, precision or "fp32")


def empty_caches() -> None:
    """Gives back to other programs what torch keeps of a GPU's memory."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def _check_bf16_on_mps() -> None:
    """Torch has it from macOS 14 on, on Apple's own GPUs only. Raises LearnerError."""
    import torch

    try:
        torch.zeros(1, dtype=torch.bfloat16, device="mps")
    except (TypeError, RuntimeError) as error:
        raise LearnerError(
            f"This machine's GPU does not compute in bf16 ({error}). Remove `training.precision`, or set it to fp32.",
            code="unsupported-setting",
            key="training.precision",
        ) from error


def _bf16_pays(sizes: Shape) -> bool:
    """Whether products of the base's sizes (of the largest that are still quick) take clearly less time in bf16."""
    hidden, inner = min(sizes.hidden, _MOST_WIDE), min(sizes.inner, 3 * _MOST_WIDE)
    return bool(measured(f"bf16 pays at {hidden} x {inner}", lambda: (int(_bf16_is_faster(hidden, inner)), True), 0, 1))


def _bf16_is_faster(hidden: int, inner: int) -> bool:
    """By the best of some, with one thread: what else runs hardly matters."""
    import torch

    from dlm_lsp.training import linear

    def seconds(form: torch.dtype) -> float:
        layer = torch.nn.Linear(hidden, inner, bias=False, dtype=form).requires_grad_(False)
        if form == torch.float32:
            linear.quicken(layer)
        tokens = torch.ones((64, hidden), dtype=form, requires_grad=True)
        return min(_timed(lambda: layer(tokens).sum().backward()) for _ in range(6))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = seconds(torch.float32)
        return seconds(torch.bfloat16) < _CLEARLY * whole
    finally:
        torch.set_num_threads(threads)


def choose_threads(what: str, step: Callable[[], object]) -> int:
    """Sets and returns torch's number of threads for bases like `what`, by timing `step`, once on each machine.

    One thread is kept unless more are clearly faster. `DLM_THREADS` overrides the measurement.
    """
    import torch

    written = _written_threads()
    threads = written or measured(f"threads for {what}", lambda: _fastest(step), 1, cores())
    torch.set_num_threads(threads)
    return threads


def _fastest(step: Callable[[], object]) -> tuple[int, bool]:
    """The number of threads, and whether little else ran meanwhile: else it is not the answer for good."""
    import torch

    if cores() == 1:
        return 1, True
    best, best_time, threads = 1, 0.0, 1
    psutil.cpu_percent()  # begins a span of which the next call tells
    own, began = time.process_time(), time.perf_counter()
    while threads <= cores():
        torch.set_num_threads(threads)
        step()  # the first one allocates, and starts the threads
        taken = min(_timed(step), _timed(step))  # the other one may have been disturbed
        if threads > 1 and taken > _FASTER * best_time:
            break
        best, best_time, threads = threads, taken, threads * 2
    processors = psutil.cpu_count() or 1
    mine = (time.process_time() - own) / (time.perf_counter() - began)
    return best, psutil.cpu_percent() / 100 * processors - mine < _OTHERS * processors


def _timed(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def _written_threads() -> int | None:
    written = os.environ.get("DLM_THREADS", "")
    if not written:
        return None
    if written.isdecimal() and int(written) >= 1:
        return int(written)
    log.warning("DLM_THREADS is %r, not a number of threads from 1 on: measuring instead", written)
    return None
