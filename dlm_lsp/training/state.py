"""The training state beside an adapter: what it takes to continue a run as if it had never ended.

`training_state.pt` is a `torch.save` of plain values and tensors; it is read back with `weights_only=True`
alone, and only when its digest fits. The keys are the store format's, version 2.
"""

from __future__ import annotations

import io
import json
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlm_lsp.store import read_training_state

log = logging.getLogger(__name__)

STATE_FILE = "training_state.pt"
RNG_FILE = "training_state.rng.json"

_VERSION = 2


@dataclass(frozen=True, slots=True)
class TrainingState:
    """`optimizer` is a torch optimizer's state dict; `global_step` counts steps since the adapter began."""

    optimizer: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    scaler: Mapping[str, Any] | None
    global_step: int
    epoch: float


def state_files(
    state: TrainingState, *, seed: int, base_revision: str | None, pinned_versions: Mapping[str, str], quantised: bool
) -> dict[str, bytes]:
    """The bytes of the state's two files; the store adds the digest."""
    import torch

    # Of the one GPU that is used: asking all would make a context on each, and another machine may have fewer.
    cuda = [torch.cuda.get_rng_state()] if torch.cuda.is_available() else None
    buffer = io.BytesIO()
    torch.save(
        {
            "_state_sidecar_version": _VERSION,
            "optimizer_state_dict": state.optimizer,
            "scheduler_state_dict": dict(state.scheduler),
            "scaler_state_dict": dict(state.scaler) if state.scaler else None,
            "torch_rng_state": torch.get_rng_state(),
            "cuda_rng_state": cuda,
            "global_step": state.global_step,
            "epoch": state.epoch,
            "best_val_loss": float("inf"),  # there is no validation split
            "dlm_manifest_hash": None,
            "base_model_revision": base_revision,
            "pinned_versions": dict(pinned_versions),
            "use_qlora": quantised,
        },
        buffer,
    )
    return {STATE_FILE: buffer.getvalue(), RNG_FILE: _generators(seed, state.global_step)}


def read_state(version_dir: Path) -> TrainingState | None:
    """The state of a version, its random generators set, or None (and a log line that says why)."""
    import torch

    try:
        data = read_training_state(version_dir)
        if data is None:
            raise ValueError("it is not there, or its digest does not fit")
        saved = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if saved["_state_sidecar_version"] != _VERSION:
            raise ValueError(f"its version is {saved['_state_sidecar_version']}, not {_VERSION}")
        state = TrainingState(
            optimizer=dict(saved["optimizer_state_dict"]),
            scheduler=dict(saved["scheduler_state_dict"] or {}),
            scaler=saved["scaler_state_dict"],
            global_step=int(saved["global_step"]),
            epoch=float(saved["epoch"]),
        )
        torch.set_rng_state(saved["torch_rng_state"])
        if saved["cuda_rng_state"] and torch.cuda.is_available():
            torch.cuda.set_rng_state(saved["cuda_rng_state"][0])
    except Exception as error:
        # A version without usable state is still an adapter to continue from: only the moments begin anew.
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        log.warning("the training state of %s is not used, moments begin anew: %s", version_dir.name, reason)
        return None
    return state


def _generators(seed: int, step: int) -> bytes:
    """The states of the generators of numpy and Python for the next step, as the format writes them.

    Nothing here draws from the process-wide ones: every choice is derived from seed and step.
    """
    import numpy

    words = numpy.random.RandomState([seed & 0xFFFFFFFF, step]).get_state(legacy=False)
    version, numbers, gauss = random.Random(f"step {seed} {step}").getstate()
    keys = words["state"]["key"]
    return json.dumps(
        {
            "_rng_sidecar_version": 1,
            "numpy_rng_state": {
                "name": words["bit_generator"],
                "state_hex": keys.tobytes().hex(),
                "state_dtype": str(keys.dtype),
                "state_shape": list(keys.shape),
                "pos": int(words["state"]["pos"]),
                "has_gauss": int(words["has_gauss"]),
                "cached_gaussian": float(words["gauss"]),
            },
            "python_random_state": {"version": version, "state": list(numbers), "gauss_next": gauss},
        }
    ).encode()
