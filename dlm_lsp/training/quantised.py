"""QLoRA's base: frozen weights of four bits, through bitsandbytes where that is installed. No torch before its use."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import sys
from typing import TYPE_CHECKING, Any

from dlm_lsp.training.protocol import LearnerError

if TYPE_CHECKING:
    from dlm_lsp.training.device import Device

PACKAGE = "bitsandbytes"


def qlora_obstacle() -> str | None:
    """Why QLoRA can't be trained by this installation, as a sentence, and what to do."""
    if importlib.util.find_spec(PACKAGE) is not None:
        return None
    return (
        f"QLoRA needs the package {PACKAGE}, which is not installed: "
        f"`{sys.executable} -m pip install {PACKAGE}`. Or set `training.adapter` to lora or dora."
    )


def import_package() -> None:
    """Imports bitsandbytes if it is installed, as PEFT does for any adapter then.

    Where the package `kernels` is installed as well, it would fetch native code from the hub and run it: not here.
    A broken installation is told by whoever needs it.
    """
    if qlora_obstacle() is not None or PACKAGE in sys.modules:
        return
    logging.getLogger(PACKAGE).setLevel(logging.ERROR)  # it warns of what it was kept from
    kept = sys.modules.get("kernels")
    sys.modules["kernels"] = None  # type: ignore[assignment]
    try:
        with contextlib.suppress(Exception):
            importlib.import_module(PACKAGE)
    finally:
        del sys.modules["kernels"]
        if kept is not None:
            sys.modules["kernels"] = kept


def four_bits(device: Device) -> dict[str, Any]:
    """How transformers is to load a base: linear layers in doubly quantised NF4, computing in the device's format.

    Embeddings, norms and the output layer stay in that format. Source: Dettmers et al. 2023, arXiv 2305.14314.
    Raises LearnerError where there is no way to compute with such weights.
    """
    if device.kind == "mps":
        raise LearnerError(
            f"QLoRA needs CUDA, or a CPU: on MPS {PACKAGE} fetches code from the hub, which is never done here. "
            "Set `training.adapter` to lora or dora.",
            code="unsupported-setting",
            key="training.adapter",
        )
    if PACKAGE not in sys.modules:
        raise LearnerError(
            f"The package {PACKAGE} is installed but can't be imported; `{sys.executable} -m {PACKAGE}` says why. "
            "Install it again, or set `training.adapter` to lora or dora.",
            code="not-installed",
            key="training.adapter",
        )
    from transformers.utils.quantization_config import BitsAndBytesConfig

    wanted = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=device.dtype,
    )
    return {"quantization_config": wanted, "device_map": {"": device.kind}}


def settle(model: Any) -> None:
    """Keeps the layers as they were loaded.

    On CPUs with bf16 instructions bitsandbytes packs weights anew in place when a model first answers; the kernel for
    that packing has no way back, so a model that has answered could not be trained any more.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
