"""Whether plans suit the machine: what a step takes beside what the model of memory says, and which format is faster.

python -m benchmarks.speed.plans
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.speed.table import Row, run_alone
from dlm_lsp.training.memory import Load, Pass, activations, configured

LLAMA = {
    "hidden_size": 256, "intermediate_size": 640, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 4, "vocab_size": 2048,
}  # fmt: skip
MANY_WORDS = {**LLAMA, "vocab_size": 64_000}
WIDE = {**LLAMA, "hidden_size": 768, "intermediate_size": 2048, "num_attention_heads": 12, "num_hidden_layers": 2}
QWEN = {**LLAMA, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 8192}
GPT = {"n_embd": 256, "n_layer": 4, "n_head": 4, "vocab_size": 2048, "n_positions": 512}
# What of: architecture, its sizes, rows, tokens and targets of each, and what is not as usual.
STEPS: dict[str, tuple[str, dict[str, int], tuple[int, int, int], dict[str, Any]]] = {
    "short answers": ("llama", LLAMA, (8, 48, 12), {}),
    "prose": ("llama", LLAMA, (8, 256, 255), {}),
    "one long row": ("llama", LLAMA, (1, 1024, 64), {}),
    "many words, few targets": ("llama", MANY_WORDS, (8, 64, 8), {}),
    "many words, all targets": ("llama", MANY_WORDS, (8, 64, 63), {}),
    "wide": ("llama", WIDE, (4, 128, 32), {}),
    "all linear modules": ("llama", LLAMA, (8, 128, 32), {"modules": ["all-linear"]}),
    "dora": ("llama", LLAMA, (8, 128, 32), {"kind": "dora"}),
    "bf16": ("llama", LLAMA, (8, 128, 32), {"precision": "bf16"}),
    "qwen3": ("qwen3", QWEN, (8, 128, 32), {}),
    "gpt2": ("gpt2", GPT, (8, 128, 32), {"modules": ["c_attn", "c_proj"]}),
}
USUAL: dict[str, Any] = {
    "modules": ["q_proj", "k_proj", "v_proj", "o_proj"], "kind": "lora", "precision": "fp32",
}  # fmt: skip

# One step of the learner for each, every one in a fork of its own; prints by how many bytes each grew at most.
TAKEN = """
import json, os, re, sys
from pathlib import Path
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM
from dlm_lsp.training.device import Device
from dlm_lsp.training.rows import Row
from dlm_lsp.training.stepping import Limits, Stepper

def told(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

def rows(count, length, targets):
    return [Row(str(each), "exchange", 0, (7,) * length, length - targets) for each in range(count)]

def step(architecture, config, sizes, options):
    torch.set_num_threads(1)
    count, length, targets = sizes
    device = Device("cpu", options["precision"])
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **config), dtype=device.dtype)
    model.requires_grad_(False)
    modules = "all-linear" if options["modules"] == ["all-linear"] else options["modules"]
    shape = LoraConfig(r=8, lora_dropout=0.05, target_modules=modules, use_dora=options["kind"] == "dora")
    stepper = Stepper(get_peft_model(model, shape).train(), device)
    endless = 1 << 60
    stepper.step(rows(1, 4, 2), 1e-4, Limits(8, endless, endless), 0)  # what is allocated once
    Path("/proc/self/clear_refs").write_text("5")  # the most is what is resident now
    before = told("VmRSS")
    stepper.step(rows(count, length, targets), 1e-4, Limits(count, endless, endless), 0)
    print(told("VmHWM") - before, flush=True)

for case in json.loads(sys.argv[1]):
    if os.fork() == 0:
        step(*case)
        os._exit(0)
    if os.wait()[1]:
        sys.exit("a step failed")
"""


def taken() -> dict[str, int]:
    """Bytes by which a process grew in each of the steps. Linux only: elsewhere the most cannot be told apart."""
    cases = [(*case[:3], {**USUAL, **case[3]}) for case in STEPS.values()]
    command = [sys.executable, "-c", TAKEN, json.dumps(cases)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(zip(STEPS, map(int, ran.stdout.split()), strict=True))


def told(name: str) -> int:
    """What the model says of that step, in bytes."""
    _, config, (rows, tokens, targets), written = STEPS[name]
    options = {**USUAL, **written}
    load = Load(8, tuple(options["modules"]), 2 if options["precision"] == "bf16" else 4, options["kind"])
    return activations(configured(config, 0), load, Pass(rows * tokens, rows * targets))


def formats(rounds: int) -> tuple[float, str]:
    """Seconds of a step in bf16 over those in fp32, by turns (median), and which of them is chosen here."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers.models.llama.configuration_llama import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    from dlm_lsp.training.device import Device, choose_device
    from dlm_lsp.training.rows import Row as TokenRow
    from dlm_lsp.training.stepping import Limits, Stepper

    torch.set_num_threads(1)
    config = LlamaConfig(**WIDE)
    steppers = []
    for precision in ("fp32", "bf16"):
        device = Device("cpu", precision)
        model = LlamaForCausalLM(config).to(device.dtype).requires_grad_(False)
        shape = LoraConfig(r=8, lora_dropout=0.05, target_modules=USUAL["modules"])
        steppers.append(Stepper(get_peft_model(model, shape).train(), device))
    step_rows = [TokenRow(str(each), "exchange", 0, (7,) * 48, 36) for each in range(8)]
    ratios = []
    for _ in range(rounds + 1):
        seconds = []
        for stepper in steppers:
            began = time.perf_counter()
            stepper.step(step_rows, 1e-4, Limits(8, 1 << 60, 1 << 60), 0)
            seconds.append(time.perf_counter() - began)
        ratios.append(seconds[1] / seconds[0])
    return statistics.median(ratios[1:]), choose_device(None, configured(WIDE, 0)).precision


def rows(quick: bool) -> list[Row]:
    ratio, chosen = formats(3 if quick else 9)
    better = "bf16" if ratio < 1 else "fp32"
    found = [
        Row(
            "a step in bf16 / in fp32", f"hidden 768, CPU: {chosen} is chosen", f"{ratio:.2f}", better, chosen == better
        )
    ]
    if sys.platform != "linux":
        return found
    for name, grew in taken().items():
        share = told(name) / grew
        condition = f"{name}: {told(name) / 2**20:.0f} MiB told, {grew / 2**20:.0f} taken"
        found.append(Row("memory of a step, told / taken", condition, f"{share:.2f}", "0.85 to 2", 0.85 < share < 2))
    return found


if __name__ == "__main__":
    run_alone(rows, __doc__)
