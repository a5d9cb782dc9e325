"""`dlm.lock`: what a full retrain ran on, for the original tool to compare its next run with."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dlm_lsp.store import disk, plain_json
from dlm_lsp.store.paths import Layout
from dlm_lsp.store.times import zulu

HardwareTier = Literal["cuda-sm80+", "cuda-sm<80", "mps", "cpu", "rocm"]

LOCK_VERSION = 1


@dataclass(frozen=True, slots=True)
class DlmLock:
    """What only the run knows. `dlm_sha256`: hex digest of the document file's raw bytes.

    `base_model_revision` is required by the format and must not be empty; `pinned_versions` maps packages
    (torch, transformers, peft, …) to plain version strings. `license_acceptance` is taken from the manifest when None.
    """

    dlm_sha256: str
    base_model_revision: str
    hardware_tier: HardwareTier
    seed: int
    pinned_versions: Mapping[str, str] = field(default_factory=dict)
    cuda_version: str | None = None
    rocm_version: str | None = None
    license_acceptance: Mapping[str, Any] | None = None
    world_size: int = 1

    def __post_init__(self) -> None:
        if len(self.dlm_sha256) != 64 or set(self.dlm_sha256) - set("0123456789abcdef"):
            raise ValueError("dlm_sha256 must be 64 lower-case hex digits")
        if not self.base_model_revision:
            raise ValueError("base_model_revision must not be empty; write no dlm.lock without one")
        if self.world_size < 1:
            raise ValueError("world_size must be at least 1")


def encode(lock: DlmLock, dlm_id: str, run_id: int, at: float) -> bytes:
    """The file's bytes: JSON, sorted keys, two spaces, a final LF. `at` in seconds since the epoch."""
    if not math.isfinite(at):
        raise ValueError("the moment must be finite")
    value = {
        **asdict(lock),
        "pinned_versions": dict(lock.pinned_versions),
        "license_acceptance": None if lock.license_acceptance is None else dict(lock.license_acceptance),
        "base_model_sha256": None,
        "created_at": zulu(at),
        "determinism_class": "best-effort",
        "determinism_flags": {},
        "dlm_id": dlm_id,
        "last_run_id": run_id,
        "lock_version": LOCK_VERSION,
    }
    return (json.dumps(value, sort_keys=True, indent=2) + "\n").encode()


def read_dlm_lock(layout: Layout) -> Mapping[str, Any] | None:
    """The values of the store's `dlm.lock` as written, by whichever tool; None when missing or unreadable."""
    data = disk.read(layout.dlm_lock)
    if data is None:
        return None
    try:
        value = plain_json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
