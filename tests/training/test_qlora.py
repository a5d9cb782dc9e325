"""QLoRA: an adapter over a base of four bits. What needs bitsandbytes runs where that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dlm_lsp.document import parse
from dlm_lsp.runs.unsupported import UNSUPPORTED, with_unsupported
from dlm_lsp.training.device import Device
from dlm_lsp.training.learner import InProcessLearner, create
from dlm_lsp.training.memory import Load, Pass, estimate
from dlm_lsp.training.protocol import AdapterShape, Learner, LearnerError
from dlm_lsp.training.quantised import four_bits, qlora_obstacle
from tests.training.learning_helpers import answer, commit, cycle, exchange, full, request, weights

SHAPE = AdapterShape(kind="qlora", rank=8, alpha=16, target_modules=("all-linear",))
LESSONS = [exchange("Who keeps it?", "Mira keeps it."), exchange("When does it open?", "At six, they say.")]
needs_package = pytest.mark.skipif(qlora_obstacle() is not None, reason="bitsandbytes is not installed")


@needs_package
def test_an_exchange_is_learned_over_four_bits_and_answered(learner: Learner, tmp_path: Path) -> None:
    session = request("builtin:tiny", shape=SHAPE)
    learned = full(learner, session, LESSONS)
    assert learned.end == "learned"
    assert learned.device == "cpu (1 thread, fp32, 4-bit base)"
    assert learned.pinned_versions["bitsandbytes"]
    version = commit(learner, learned, tmp_path / "v0001")
    asked = replace(session, version_dir=str(version))
    assert answer(learner, asked, "Who keeps it?") == "Mira keeps it."
    after = cycle(learner, asked, [exchange("Where?", "At the harbour.")], LESSONS, steps=4)
    cold = cycle(create(), asked, [exchange("Where?", "At the harbour.")], LESSONS, steps=4)
    assert weights(after) == weights(cold), "having answered changes nothing, neither does a new process"
    assert weights(after) != weights(learned)


@needs_package
def test_the_base_is_of_four_bits_but_for_embeddings_and_output_and_shared(base: Path) -> None:
    import torch
    from bitsandbytes.nn import Linear4bit

    learner = create()
    assert isinstance(learner, InProcessLearner)
    for key, kind in (("one", "qlora"), ("two", "qlora"), ("three", "lora")):
        cycle(learner, request(base, key=key, shape=AdapterShape(kind=kind, rank=4)), LESSONS, steps=1)  # type: ignore[arg-type]
    one, two, three = (learner._residents[key].session for key in ("one", "two", "three"))
    assert one.base is two.base is not three.base
    assert (one.base.quantised, three.base.quantised) == (True, False)
    assert one.base.parameters == three.base.parameters
    model = one.base.model
    linear = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert {name for name, module in linear.items() if not isinstance(module, Linear4bit)} == {"lm_head"}
    assert all(each.weight.dtype == torch.uint8 for name, each in linear.items() if name != "lm_head")
    assert model.get_input_embeddings().weight.dtype == torch.float32
    first, second = (each.model.get_base_model().model.layers[0].mlp.up_proj.weight for each in (one, two))
    assert first is second, "four bits are in memory once, however many documents learn over them"
    assert all(each.dtype == torch.float32 for each in one.stepper.parameters)
    told = estimate(one.base.sizes, Load(4, kind="qlora"), Pass(1, 1)).weights
    assert 0.9 < told / model.get_memory_footprint() < 1.1
    learner.close()


@needs_package
def test_no_kernel_is_fetched_from_the_hub(tmp_path: Path) -> None:
    """What bitsandbytes does by itself on CPUs with bf16 instructions, where the package `kernels` is there."""
    (tmp_path / "kernels.py").write_text(
        "import sys\n__version__ = '0.0.1'  # too old for transformers\n"
        "def get_kernel(*_, **__): sys.exit('fetched')\ndef __getattr__(name): return type(name, (), {})\n"
    )
    code = (
        "from dlm_lsp.training.stack import import_stack; import_stack(lambda *_: None); import bitsandbytes, kernels"
    )
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    ran = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}, capture_output=True)
    assert ran.returncode == 0, ran.stderr


def test_what_is_missing_is_said_on_the_key_and_by_a_run(
    base: Path, learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlm_lsp.training.quantised.PACKAGE", "not_bitsandbytes")
    with pytest.raises(LearnerError, match=r"not_bitsandbytes, which is not installed.*pip install") as caught:
        cycle(learner, request(base, shape=SHAPE), LESSONS)
    assert (caught.value.code, caught.value.key) == ("unsupported-setting", "training.adapter")
    text = "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: builtin:tiny\ntraining:\n  adapter: qlora\n---\n"
    (problem,) = with_unsupported(parse(text)).problems
    assert (problem.code, problem.range.start.line) == (UNSUPPORTED, 4)
    assert problem.message == f"A save will not be learned. {caught.value}"


def test_where_it_can_not_compute_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LearnerError, match="needs CUDA, or a CPU"):
        four_bits(Device("mps", "fp32"))
    monkeypatch.setattr("dlm_lsp.training.quantised.PACKAGE", "not_bitsandbytes")
    with pytest.raises(LearnerError, match="can't be imported"):
        four_bits(Device("cpu", "fp32"))
