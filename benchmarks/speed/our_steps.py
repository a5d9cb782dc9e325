"""Our optimizer steps on given rows: the other half of `beside_trl`, in a process of its own like TRL's.

Reads one job (`beside_trl.Job` as JSON) from standard input and prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from dlm_lsp.training.bases import ResolvedBase
from dlm_lsp.training.protocol import AdapterShape, BaseRequest, SessionRequest, TrainingSettings
from dlm_lsp.training.rows import Row
from dlm_lsp.training.stack import import_stack


def run(job: dict[str, Any]) -> dict[str, Any]:
    import_stack(lambda module, share: None)
    import torch

    from dlm_lsp.training.session import Session

    settings = TrainingSettings(
        precision=job["precision"],
        micro_batch_size=job["rows"] // job["accumulation"],
        grad_accum=job["accumulation"],
        seed=0,
    )
    adapter = job["adapter"]
    shape = AdapterShape("lora", adapter["r"], adapter["lora_alpha"], adapter["lora_dropout"])
    session = Session(_base(job), SessionRequest("benchmark", BaseRequest("random", "."), shape, settings))
    steps = [
        [Row(f"{number}", "exchange", 0, tuple(tokens), first) for number, (tokens, first) in enumerate(batch)]
        for batch in job["batches"]
    ]
    for rows in steps[: job["warm"]]:
        session.step(rows, 1e-4)
    _wait(job["device"])
    began, computed = time.perf_counter(), time.process_time()
    for rows in steps[job["warm"] :]:
        session.step(rows, 1e-4)
    _wait(job["device"])
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - computed,
        "read": sum(len(row.tokens) for rows in steps for row in rows),
        "trained": sum(row.targets for rows in steps for row in rows),
        "memory": torch.cuda.max_memory_allocated() if job["device"] == "cuda" else None,
        "parameters": sum(each.numel() for each in session.stepper.parameters),
        "kernel": "sdpa",
    }


def _base(job: dict[str, Any]) -> Any:
    """The base as it is loaded anywhere, but for its weights: they are drawn where they compute, and lie on no disk."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from dlm_lsp.training.device import Device
    from dlm_lsp.training.loading import load_base

    def drawn(directory: str, *, dtype: Any, **_: Any) -> Any:
        with torch.device(job["device"]):
            return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(directory), dtype=dtype)

    torch.manual_seed(0)
    AutoModelForCausalLM.from_pretrained = drawn
    place = Path(job["base"])
    return load_base(
        ResolvedBase("random", "benchmarks/random", place, "0" * 40, "LlamaForCausalLM", job["parameters"]),
        Device(job["device"], job["precision"]),
        quantised=False,
    )


def _wait(device: str) -> None:
    """For what the GPU still computes."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    print(json.dumps(run(json.load(sys.stdin))))
