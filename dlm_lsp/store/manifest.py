"""`manifest.json`, shared with other tools: its model, its exact encoding, and what to do with odd ones.

Other tools refuse a manifest with a key that they do not know, so none is ever written; keys that we do not
know are named to the caller, who keeps the old file aside before it writes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from dlm_lsp.store import disk, plain_json
from dlm_lsp.store.errors import StoreError
from dlm_lsp.store.kept import Kept
from dlm_lsp.store.paths import Layout
from dlm_lsp.store.times import naive, to_naive

SCHEMA_VERSION = 1

Moment = Annotated[datetime, AfterValidator(to_naive)]
"""Naive UTC, whole seconds: an aware one would crash the other tools' arithmetic."""

Loss = Annotated[float | None, AfterValidator(lambda value: value if value is None or math.isfinite(value) else None)]


class TrainingRun(BaseModel):
    """One committed run. `started_at`, `ended_at` naive UTC; losses in nats per token."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: int = Field(ge=1)
    started_at: Moment
    ended_at: Moment | None = None
    adapter_version: int = Field(ge=1)
    base_model_revision: str | None = None
    seed: int
    steps: int = Field(default=0, ge=0)
    final_train_loss: Loss = None
    final_val_loss: Loss = None
    status: Literal["running", "completed", "failed", "cancelled"] = "completed"
    pinned_versions: dict[str, str] = Field(default_factory=dict)
    summary_path: str | None = None
    adapter_name: str | None = None
    weight_distribution: Any = None


class Manifest(BaseModel):
    """The store's account of itself, as every tool reads it. `exports` and licence are carried verbatim."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dlm_id: str = Field(min_length=1)
    schema_version: Literal[1] = 1
    created_at: Moment = Field(default_factory=lambda: naive(time.time()))
    updated_at: Moment = Field(default_factory=lambda: naive(time.time()))
    base_model: str = Field(min_length=1)
    base_model_revision: str | None = None
    base_model_sha256: str | None = None
    adapter_version: int = Field(default=0, ge=0)
    adapter_sha256: str | None = None
    adapter_config_sha256: str | None = None
    adapter_versions: dict[str, int] = Field(default_factory=dict)
    training_runs: tuple[TrainingRun, ...] = ()
    exports: tuple[dict[str, Any], ...] = ()
    content_hashes: dict[str, str] = Field(default_factory=dict)
    pinned_versions: dict[str, str] = Field(default_factory=dict)
    source_path: str | None = None
    license_acceptance: dict[str, Any] | None = None

    @property
    def next_run_id(self) -> int:
        return 1 + max((run.run_id for run in self.training_runs), default=0)

    def run_of(self, version: int) -> TrainingRun | None:
        """The newest run recorded for flat version `version`."""
        runs = (run for run in self.training_runs if run.adapter_version == version and not run.adapter_name)
        return max(runs, key=lambda run: run.run_id, default=None)


@dataclass(frozen=True, slots=True)
class ReadManifest:
    """A manifest as found, and the dotted names of keys in it that we do not know and would not write."""

    manifest: Manifest
    foreign: tuple[str, ...] = ()


def encode(manifest: Manifest) -> bytes:
    """The file's bytes: UTF-8 JSON, sorted keys, two spaces, a final LF."""
    plain = manifest.model_dump()  # its JSON mode refuses half a surrogate pair
    text = json.dumps(plain, sort_keys=True, indent=2, ensure_ascii=False, default=datetime.isoformat) + "\n"
    return text.encode(errors="backslashreplace")  # half a surrogate pair, from another tool, becomes a JSON escape


def decode(data: bytes, where: object = "manifest.json") -> ReadManifest:
    """Reads a manifest. Raises StoreError `manifest-corrupt`, or `manifest-newer` for a later schema."""
    value = _loaded(data, where)
    value, foreign = _without_foreign(value)
    try:
        return ReadManifest(Manifest.model_validate(value), foreign)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"{where} is damaged: {place}: {first['msg']}", "manifest-corrupt") from error


def salvage(data: bytes) -> dict[str, Any]:
    """What of a damaged manifest is right by itself: valid keys, runs and exports. Empty when it is no JSON at all."""
    try:
        value, _ = _without_foreign(_loaded(data, "manifest.json"))
    except StoreError:
        return {}
    while True:
        try:
            Manifest.model_validate({"dlm_id": "-", "base_model": "-"} | value)
            return value
        except ValidationError as error:
            wrong = {problem["loc"][:2] for problem in error.errors(include_url=False)}
            for name in {str(place[0]) for place in wrong}:
                bad = {place[1] for place in wrong if place[0] == name and len(place) > 1}
                if bad and isinstance(value[name], list):
                    value[name] = [item for index, item in enumerate(value[name]) if index not in bad]
                else:
                    value.pop(name)


def _loaded(data: bytes, where: object) -> dict[str, Any]:
    try:
        value = plain_json.loads(data)
    except ValueError as error:
        raise StoreError(f"{where} is damaged: it is no JSON ({error})", "manifest-corrupt") from error
    if not isinstance(value, dict):
        raise StoreError(f"{where} is damaged: it must be a JSON object", "manifest-corrupt")
    schema = value.get("schema_version", SCHEMA_VERSION)
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise StoreError(
            f"{where} was written by a newer dlm (schema {schema}, this program knows {SCHEMA_VERSION}); "
            "update this program, or train with that one",
            "manifest-newer",
        )
    return value


def _without_foreign(value: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """`value` without unknown keys at the levels that we write ourselves, and their dotted names."""
    foreign = [name for name in value if name not in Manifest.model_fields]
    known = {name: part for name, part in value.items() if name in Manifest.model_fields}
    runs = known.get("training_runs")
    if isinstance(runs, list):
        for index, run in enumerate(runs):
            if isinstance(run, dict):
                foreign += [f"training_runs.{index}.{name}" for name in _foreign_in(run)]
        known["training_runs"] = [
            {name: part for name, part in run.items() if name in TrainingRun.model_fields}
            if isinstance(run, dict)
            else run
            for run in runs
        ]
    return known, tuple(foreign)


def _foreign_in(run: Iterable[str]) -> list[str]:
    return [name for name in run if name not in TrainingRun.model_fields]


def load(layout: Layout) -> ReadManifest | None:
    """The store's manifest, or None when there is none. Raises StoreError as `decode` does, and OSError."""
    data = disk.read(layout.manifest)
    return None if data is None else decode(data, layout.manifest)


def look(layout: Layout, kept: Kept[ReadManifest | None]) -> ReadManifest | None:
    """The same; one that did not change since it was read is not read again."""
    return kept.of(layout.manifest, lambda: load(layout))


def save(layout: Layout, manifest: Manifest, when: str) -> tuple[str, ...]:
    """Replaces the manifest. One with foreign keys is kept as a copy named with `when`. Returns notes."""
    try:
        found = load(layout)
    except StoreError:
        found = None
    notes = keep_foreign(layout, found, when)
    disk.make_folders(layout.root)
    disk.write(layout.manifest, encode(manifest))
    return notes


def keep_foreign(layout: Layout, found: ReadManifest | None, when: str) -> tuple[str, ...]:
    """Keeps a copy of a manifest that is to be replaced, if it has keys that we do not know. Returns notes."""
    old = disk.read(layout.manifest) if found is not None and found.foreign else None
    if found is None or old is None:
        return ()
    copy = disk.keep_copy(layout.manifest, old, "foreign-keys", when)
    return (f"the manifest held keys unknown to this program ({', '.join(found.foreign)}): kept in {copy.name}",)
