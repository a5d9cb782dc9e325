"""What to compute on: device, number format and number of threads."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dlm_lsp.training.memory import free_memory
from dlm_lsp.training.protocol import LearnerError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

Precision = Literal["bf16", "fp16", "fp32"]

_FASTER = 0.8  # more threads must take at most this part of the time: on a shared machine they cost steadiness


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

    def describe(self, threads: int, quantised: bool = False) -> str:
        """Such as "cpu (1 thread, fp32)"."""
        said = [f"{threads} thread{'' if threads == 1 else 's'}"] if self.kind == "cpu" else []
        said += [self.precision, *(["4-bit base"] if quantised else [])]
        return f"{self.kind} ({', '.join(said)})"


def choose_device(precision: Precision | None) -> Device:
    """The best device here, in the written precision or its fastest safe one. Raises LearnerError."""
    import torch

    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return Device("cuda", precision or ("bf16" if fast else "fp32"))
    kind: Literal["cpu", "mps"] = "mps" if torch.backends.mps.is_available() else "cpu"
    if precision == "fp16":
        raise LearnerError(
            "fp16 needs a CUDA GPU, and there is none here. Remove `training.precision`, or set it to bf16 or fp32.",
            code="unsupported-setting",
            key="training.precision",
        )
    return Device(kind, precision or "fp32")


_measured: dict[int, int] = {}  # by size of the base: threads are measured once per process


def choose_threads(size: int, step: Callable[[], object]) -> int:
    """Sets and returns torch's number of threads for a base of `size` parameters, by timing `step`.

    One thread is kept unless more are clearly faster. `DLM_THREADS` overrides the measurement.
    """
    import torch

    if size not in _measured:
        written = _written_threads()
        _measured[size] = written if written is not None else _fastest(step)
        log.info("training with %d of %d threads", _measured[size], _cores())
    torch.set_num_threads(_measured[size])
    return _measured[size]


def _fastest(step: Callable[[], object]) -> int:
    import torch

    best = 1
    torch.set_num_threads(1)
    if _cores() == 1:
        return 1
    step()  # the first one allocates
    best_time = _time(step)
    while best * 2 <= _cores():
        torch.set_num_threads(best * 2)
        step()  # starts the threads
        taken = _time(step)
        if taken > _FASTER * best_time:
            break
        best, best_time = best * 2, taken
    return best


def _time(step: Callable[[], object]) -> float:
    """The better of two: the other one may have been disturbed."""
    taken = []
    for _ in range(2):
        began = time.perf_counter()
        step()
        taken.append(time.perf_counter() - began)
    return min(taken)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _written_threads() -> int | None:
    written = os.environ.get("DLM_THREADS", "")
    if not written:
        return None
    if written.isdecimal() and int(written) >= 1:
        return int(written)
    log.warning("DLM_THREADS is %r, not a number of threads from 1 on: measuring instead", written)
    return None
