"""Short hashes of what a snapshot would train: shape, configuration and data, each independent of the others.

They are made of effective values, so that what means the same is the same: the order and spelling of keys and numbers,
comments and defaults that are written out change nothing. Only a rate and a number of epochs that are written differ
from those that are not: a rule chooses the latter (`effective.training_settings`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dlm_lsp.document import Frontmatter
from dlm_lsp.runs.effective import adapter_shape, training_settings
from dlm_lsp.training.bases import registry


@dataclass(frozen=True)
class Fingerprints:
    """`shape` is readable canonical JSON, so that a change can be named; `config` and `data` are 16 hex digits.

    `identities` are those of the lessons, of which `data` is made when somebody asks for it: most saves do not.
    The fourth, that of the hooks, is of a file and no part of a snapshot: `hooks.HooksFile.digest`.
    """

    shape: str
    config: str
    identities: frozenset[str]

    @cached_property
    def data(self) -> str:
        return _hashed(json.dumps(sorted(self.identities), separators=(",", ":")))


def fingerprints(frontmatter: Frontmatter, path: Path, identities: frozenset[str]) -> Fingerprints:
    """Those of a document at `path` with these lessons."""
    return Fingerprints(
        shape=shape_of(frontmatter, path),
        config=config_digest(frontmatter),
        identities=identities,
    )


def config_digest(frontmatter: Frontmatter) -> str:
    """The fingerprint of every effective setting that fits any adapter of one shape. Reads no file."""
    return _digest(_config(frontmatter))


def config_of(frontmatter: Frontmatter) -> dict[str, Any]:
    """Every effective setting that fits any adapter of one shape, by dotted frontmatter key."""
    config = _normal(_config(frontmatter))
    return {
        **{f"training.{name}": value for name, value in config["settings"].items()},
        "training.lora_alpha": config["alpha"],
        "training.lora_dropout": config["dropout"],
        "system_prompt": config["system_prompt"],
    }


def shape_of(frontmatter: Frontmatter, path: Path) -> str:
    """What fixes the adapter's tensors, by dotted frontmatter key, as canonical JSON."""
    shape = adapter_shape(frontmatter)
    return _canonical(
        {
            "base_model": _base_identity(frontmatter.base_model, path),
            "training.adapter": shape.kind,
            "training.lora_r": shape.rank,
            "training.target_modules": "auto" if shape.target_modules is None else sorted(set(shape.target_modules)),
        }
    )


def changed_shape_keys(before: str, after: str) -> tuple[str, ...]:
    """The dotted frontmatter keys in which two shapes differ; all of `after` when `before` cannot be read."""
    try:
        old = json.loads(before)
    except (ValueError, RecursionError):
        old = None
    new = json.loads(after)
    return tuple(sorted(key for key in new if not isinstance(old, dict) or old.get(key) != new[key]))


def shape_value(shape: str, key: str) -> Any:
    """What a shape says for a dotted frontmatter key."""
    return json.loads(shape)[key]


def _config(frontmatter: Frontmatter) -> dict[str, Any]:
    """Names and nesting are those that stores hold digests of: another name would make every document differ."""
    shape = adapter_shape(frontmatter)
    return {
        "settings": asdict(training_settings(frontmatter)),
        "alpha": shape.alpha,
        "dropout": shape.dropout,
        "system_prompt": frontmatter.system_prompt,
    }


def _base_identity(reference: str, path: Path) -> str:
    """A directory is one base however its path is written; every other reference is its own name."""
    if reference in registry() or reference.startswith(("builtin:", "hf:")):
        return reference
    try:
        return str((path.parent / Path(reference).expanduser()).resolve())
    except (OSError, ValueError, RuntimeError):  # a NUL, a home that cannot be found: its own name, and no base
        return reference


def _canonical(value: Any) -> str:
    """One text for one value. Raises ValueError for a number that is not finite, which the schema lets nobody write."""
    return json.dumps(_normal(value), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _digest(value: Any) -> str:
    return _hashed(_canonical(value))


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _normal(value: Any) -> Any:
    """1 and 1.0 are one number."""
    if isinstance(value, dict):
        return {key: _normal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
