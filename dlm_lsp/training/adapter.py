"""The LoRA or DoRA adapter of a session: made, written as the bytes of PEFT's files, read back."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlm_lsp.store import read_regular
from dlm_lsp.store.plain_json import loads
from dlm_lsp.training.protocol import AdapterShape, LearnerError

if TYPE_CHECKING:
    from dlm_lsp.training.loading import LoadedBase

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"

_MOST_CONFIG = 2**20  # bytes
_NAME = "default"  # PEFT's name of a model's only adapter


def make_adapter(base: LoadedBase, shape: AdapterShape, seed: int) -> Any:
    """A PEFT model over `base` with a new adapter, its start values drawn from `seed`.

    Raises LearnerError.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    model = base.bare_copy()
    config = LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        lora_dropout=shape.dropout,
        target_modules=_targets(model, shape),
        use_dora=shape.kind == "dora",
        bias="none",
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(model, config)
    if base.device.kind == "cpu":
        from dlm_lsp.training import dropout

        dropout.quicken(adapted)
    config.base_model_name_or_path = base.resolved.hf_id
    config.revision = base.resolved.revision
    return adapted


def adapter_files(model: Any) -> dict[str, bytes]:
    """The adapter as PEFT's `save_pretrained` names and writes it: config and safetensors."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in adapter_tensors(model).items()}
    config = {**model.peft_config[_NAME].to_dict(), "inference_mode": True}
    return {
        CONFIG_FILE: json.dumps(config, indent=2, sort_keys=True, default=_plain).encode(),
        WEIGHTS_FILE: save(tensors, metadata={"format": "pt"}),
    }


def read_weights(model: Any, version_dir: Path) -> None:
    """Fills the adapter of `model` with the weights of a version.

    Raises LearnerError, and then changes nothing.
    """
    saved = load_weights(version_dir)
    own = adapter_tensors(model)
    if not fits(own, saved):
        raise LearnerError(
            f"The adapter version {version_dir.name} has other tensors than the document's settings ask for "
            "(base model, adapter, rank or target modules changed). Run Full Retrain to begin a new adapter.",
            code="shape-changed",
            key="training.lora_r",
        )
    fill(own, saved)


def load_weights(version_dir: Path) -> dict[str, Any]:
    """A version's tensors by their names in PEFT's file. Raises LearnerError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(version_dir / WEIGHTS_FILE))
    except (OSError, SafetensorError) as error:
        raise LearnerError(
            f"The adapter version {version_dir.name} can't be read ({error}). Run Full Retrain to begin a new adapter.",
            code="version-unreadable",
        ) from error


def fits(own: Mapping[str, Any], saved: Mapping[str, Any]) -> bool:
    """Whether both are the tensors of one shape of adapter."""
    return {name: each.shape for name, each in own.items()} == {name: each.shape for name, each in saved.items()}


def fill(own: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Copies `values` into the tensors `own`, name by name."""
    import torch

    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(values[name])


def read_shape(version_dir: Path) -> AdapterShape:
    """The shape of a version's adapter, as its configuration says; dropout is for learning only. LearnerError."""
    try:
        config = loads(read_regular(version_dir / CONFIG_FILE, _MOST_CONFIG))
        return AdapterShape(
            kind="dora" if config.get("use_dora") else "lora",
            rank=int(config["r"]),
            alpha=int(config["lora_alpha"]),
            dropout=0.0,
            target_modules=_module_names(config["target_modules"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LearnerError(
            f"The configuration of the adapter version {version_dir.name} can't be read "
            f"({type(error).__name__}: {error}). Run Full Retrain to begin a new adapter, or ask another version.",
            code="version-unreadable",
        ) from error


def shape_of(model: Any) -> AdapterShape:
    """The shape of a model's adapter, in the words of `read_shape`."""
    config = model.peft_config[_NAME]
    return AdapterShape(
        kind="dora" if config.use_dora else "lora",
        rank=config.r,
        alpha=config.lora_alpha,
        dropout=0.0,
        target_modules=target_modules(model),
    )


def target_modules(model: Any) -> tuple[str, ...]:
    """The modules on which a model's adapter sits, as its configuration names them."""
    return _module_names(model.peft_config[_NAME].target_modules)


def _module_names(written: str | Iterable[object]) -> tuple[str, ...]:
    """PEFT writes one pattern, or names in any order."""
    return (written,) if isinstance(written, str) else tuple(sorted(map(str, written)))


def adapter_tensors(model: Any) -> dict[str, Any]:
    """The adapter's tensors under the names of PEFT's file; they share memory with the model's."""
    from peft import get_peft_model_state_dict

    # Embeddings are never trained here, and "auto" would ask the hub about the base's vocabulary.
    tensors: dict[str, Any] = get_peft_model_state_dict(model, save_embedding_layers=False)
    return tensors


def _targets(model: Any, shape: AdapterShape) -> list[str]:
    names = _linear_modules(model)
    leaves = {name.rsplit(".", 1)[-1] for name in names}
    if shape.target_modules in (None, ("all-linear",)):
        output = model.get_output_embeddings()
        return sorted({name.rsplit(".", 1)[-1] for name, module in names.items() if module is not output})
    unknown = [
        target
        for target in shape.target_modules
        if not any(name == target or name.endswith(f".{target}") for name in names)
    ]
    if unknown or not shape.target_modules:
        wrong = f"the base model has no module {', '.join(map(repr, unknown))}" if unknown else "the list is empty"
        raise LearnerError(
            f"`training.target_modules`: {wrong}. Use auto, or a list of: {', '.join(sorted(leaves))}.",
            code="unsupported-setting",
            key="training.target_modules",
        )
    return list(shape.target_modules)


def _linear_modules(model: Any) -> dict[str, Any]:
    """The modules that an adapter can sit on, by their full names."""
    import torch
    from transformers.pytorch_utils import Conv1D

    return {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear | Conv1D)}


def _plain(value: object) -> object:
    """PEFT keeps target modules in a set: sorted, the same adapter always gives the same bytes."""
    return sorted(value) if isinstance(value, set) else str(value)
