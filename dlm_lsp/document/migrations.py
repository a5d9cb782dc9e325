"""Frontmatter of older schema versions, brought to the newest one in memory; the file is never touched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dlm_lsp.document.model import KeyPath
from dlm_lsp.document.schema import SCHEMA_VERSION

_DPO_COPIED = ("enabled", "loss_type")
_DPO_HYPERPARAMS = ("beta", "learning_rate", "num_epochs")


@dataclass(slots=True)
class Migrated:
    """The newest form of a frontmatter: `written` maps keys that moved to where the author wrote them."""

    data: dict[str, Any]
    written: dict[KeyPath, KeyPath] = field(default_factory=dict)
    ignored: list[KeyPath] = field(default_factory=list)


def migrate(data: dict[str, Any], version: int) -> Migrated:
    """Brings `data` of schema `version` (1 or more) to `SCHEMA_VERSION`.

    Only version 1 was shaped differently: it had `training.dpo` where `training.preference` is now. All later
    versions only added keys.
    """
    migrated = _from_version_1(data) if version == 1 else Migrated(dict(data))
    if "dlm_version" in migrated.data:
        migrated.data["dlm_version"] = SCHEMA_VERSION
    return migrated


def _from_version_1(data: dict[str, Any]) -> Migrated:
    training = data.get("training")
    if not isinstance(training, dict) or "dpo" not in training:
        return Migrated(dict(data))
    old, new = ("training", "dpo"), ("training", "preference")
    migrated = Migrated({**data, "training": {key: value for key, value in training.items() if key != "dpo"}})
    dpo = training["dpo"]
    if dpo is None:
        return migrated
    migrated.written[new] = old
    if "preference" in training:
        migrated.ignored.append(new)
    if not isinstance(dpo, dict):
        migrated.data["training"]["preference"] = dpo  # of the wrong type: left to validation
        return migrated

    preference: dict[str, Any] = {"method": "dpo"}
    hyperparams: dict[str, Any] = {}
    for key, value in dpo.items():
        if key in _DPO_COPIED:
            preference[key] = value
            migrated.written[(*new, key)] = (*old, key)
        elif key == "reference":
            preference[key] = "pre_adapter" if value == "pre_dpo_adapter" else value
            migrated.written[(*new, key)] = (*old, key)
        elif key in _DPO_HYPERPARAMS:
            hyperparams[key] = value
            migrated.written[(*new, "hyperparams", key)] = (*old, key)
        else:
            migrated.ignored.append((*old, key))
    if hyperparams:
        preference["hyperparams"] = hyperparams
        migrated.written[(*new, "hyperparams")] = old
    migrated.data["training"]["preference"] = preference
    return migrated
