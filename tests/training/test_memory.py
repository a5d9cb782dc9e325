"""The estimate of memory, held against what a real step of the built-in base takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dlm_lsp.training.bases import BaseFacts, base_facts, registry
from dlm_lsp.training.memory import Load, estimate, shape_of

# A step like the learner's, with every token as a target, in a process of its own; prints by how many bytes it grew.
STEP = """
import re, resource, sys
from pathlib import Path
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
rows, length, rank = map(int, sys.argv[2:])
def most():
    if sys.platform == "linux":  # what getrusage says begins with the parent's
        return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32, local_files_only=True)
model.requires_grad_(False)
before = most()
shape = LoraConfig(r=rank, lora_dropout=0.05, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
model = get_peft_model(model, shape).train()
optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad])
tokens = torch.randint(5, 1000, (rows, length))
logits = model(input_ids=tokens, use_cache=False).logits.float()
torch.nn.functional.cross_entropy(logits.view(-1, logits.shape[-1]), tokens.view(-1)).backward()
optimizer.step()
print(most() - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="getrusage is not there")
def test_the_estimate_is_of_the_order_of_a_real_step() -> None:
    facts = base_facts("builtin:tiny")
    assert facts is not None and facts.directory is not None
    shape = shape_of(facts)
    assert shape is not None
    command = [sys.executable, "-c", STEP, str(facts.directory), "8", "512", "8"]
    grew = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
    told = estimate(shape, Load(rank=8, row_tokens=512, micro_batch=8))
    assert 0.5 < (told.adapter + told.activations) / grew < 2


def test_the_shape_comes_from_the_configuration_where_it_is_here(tmp_path: Path) -> None:
    facts = base_facts("builtin:tiny")
    assert facts is not None
    shape = shape_of(facts)
    assert shape is not None and (shape.hidden, shape.layers, shape.inner, shape.vocabulary) == (256, 4, 640, 2048)
    assert shape_of(BaseFacts("hf:a/b", "a/b")) is None, "nothing is known of it"


@pytest.mark.parametrize("hidden_layers", [("smollm2-135m", 576, 30), ("qwen2.5-3b", 2048, 36), ("qwen3-8b", 4096, 36)])
def test_a_shape_is_guessed_from_the_parameters_alone(hidden_layers: tuple[str, int, int]) -> None:
    key, hidden, layers = hidden_layers
    entry = registry()[key]
    shape = shape_of(BaseFacts(key, entry.hf_id, parameters=entry.parameters))
    assert shape is not None
    assert 0.4 < shape.hidden * shape.layers / (hidden * layers) < 2.5


def test_more_of_anything_takes_more() -> None:
    facts = base_facts("builtin:tiny")
    shape = shape_of(facts) if facts is not None else None
    assert shape is not None
    least = estimate(shape, Load(rank=4, row_tokens=128, micro_batch=1)).total
    for more in (Load(64, None, 128, 1), Load(4, 40, 128, 1), Load(4, None, 512, 1), Load(4, None, 128, 4)):
        assert estimate(shape, more).total > least
