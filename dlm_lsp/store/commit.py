"""Committing a version: all is written beside, the pointer flips, and the rest follows from the intent.

The flip of `adapter/current.txt` is the one instant at which a run is committed. Before it, the intent says
what to take back; after it, what to bring up to date. `finish` and `take_back` may be repeated at any point.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from dlm_lsp.store import disk, dlm_lock, journal, manifest, versions
from dlm_lsp.store.dlm_lock import DlmLock
from dlm_lsp.store.errors import StoreError, reported
from dlm_lsp.store.journal import JournalEntry
from dlm_lsp.store.ledger import Ledger
from dlm_lsp.store.lock import Held
from dlm_lsp.store.manifest import Manifest, ReadManifest, TrainingRun
from dlm_lsp.store.paths import Layout, mentioned_number
from dlm_lsp.store.replay import Replay, Snapshot, check_addition, encode_snapshot
from dlm_lsp.store.times import naive, stamp
from dlm_lsp.store.versions import Checker, FileDigest, RunFacts, RunKind, Version, VersionRecord

PINNED_VERSIONS = "pinned_versions.json"
TRAINING_RUN = "training_run.json"
_ADDED = {PINNED_VERSIONS, TRAINING_RUN, versions.TRAINING_STATE_DIGEST}
_PINNED_KEYS = ("torch", "transformers", "peft", "trl", "bitsandbytes", "sway")


@dataclass(frozen=True, slots=True)
class Commit:
    """All that a run leaves behind.

    `files`: the version's files by name (adapter_model.safetensors, adapter_config.json, tokenizer files,
    training_state.pt, …); digests and the small JSON files of the format are added. `started_at` and
    `ended_at`: seconds since the epoch. `base_model`: as the document names it. `content_hashes`: the ids of
    the document's sections that are trained whole. `replay_add`: (id, type, content) of sections to remember;
    `replay_remove`: ids of sections to forget for good. `ledger`: lessons learned in this run carry version 0.
    `dlm_lock`: after a full retrain. `keep`: how many versions of ours stay.
    """

    files: Mapping[str, bytes]
    kind: RunKind
    started_at: float
    ended_at: float
    steps: int
    seed: int
    base_model: str
    content_hashes: Sequence[str]
    ledger: Ledger
    final_train_loss: float | None = None
    base_revision: str | None = None
    pinned_versions: Mapping[str, str] = field(default_factory=dict)
    source_path: str | None = None
    replay_add: Sequence[tuple[str, str, str]] = ()
    replay_remove: Sequence[str] = ()
    dlm_lock: DlmLock | None = None
    keep: int = 10


@dataclass(frozen=True, slots=True)
class Intent:
    """What is to be true once `version` is current, besides what its record says."""

    version: int
    replay_add: tuple[tuple[str, str, str], ...] = ()
    replay_remove: tuple[str, ...] = ()
    dlm_lock: DlmLock | None = None


def commit(layout: Layout, held: Held, what: Commit, replay: Replay, checker: Checker) -> Version:
    """Commits `what` as the next version. Raises StoreError, and then the previous version stays current.

    An error after the pointer flipped is told in the version's notes instead: the run is committed, and the
    next one brings the rest up to date.
    """
    held.check()
    files = _checked(what)
    with reported("write the next version", layout.root):
        if disk.facts(layout.intent) is not None:
            raise StoreError("an earlier commit is not finished; recover the store first", "store-busy")
        old = manifest.load(layout)
        number = next_number(layout, old.manifest if old else None)
        before = versions.current(layout)
        record = _record(what, number, old.manifest.next_run_id if old else 1, files, before)
        intent = Intent(number, tuple(what.replay_add), tuple(what.replay_remove), what.dlm_lock)
        stage, pointer = disk.temporary(layout.version(number)), disk.temporary(layout.current)
        try:
            _prepare(layout, stage, files, record, intent, pointer, checker)
            held.check()
            disk.replace(pointer, layout.current)
        except (OSError, StoreError):
            if versions.pointed(layout) != number:
                with suppress(OSError):  # what cannot be taken back now is taken back by recovery
                    disk.discard(stage)
                    disk.remove(pointer)
                    take_back(layout, number)
                raise
    return Version(number, layout.version(number), _follow_up(layout, intent, record, what.keep, replay, checker))


def next_number(layout: Layout, known: Manifest | None) -> int:
    """A version number that was never used, by whatever folder, record, manifest entry or pointer."""
    used = [mentioned_number(name) for name in disk.names(layout.versions) + disk.names(layout.records)]
    if known is not None:
        used += [run.adapter_version for run in known.training_runs if not run.adapter_name]
        used.append(known.adapter_version)
    return 1 + max([*used, versions.pointed(layout) or 0])


def finish(layout: Layout, intent: Intent, record: VersionRecord, replay: Replay, checker: Checker) -> tuple[str, ...]:
    """Brings everything in line with the flipped pointer, then removes the intent. Returns notes."""
    run = record.run
    _write_summary(layout, record)
    with replay.changing(intent.replay_remove, intent.replay_add, run.run_id, run.ended_at) as change:
        found = manifest.load(layout)
        merged = merge(found.manifest if found else None, record, layout.dlm_id)
        notes = manifest.keep_foreign(layout, found, stamp(run.ended_at))
        files = {**change.files, layout.manifest: manifest.encode(merged)}
        if intent.dlm_lock is not None:
            files[layout.dlm_lock] = _dlm_lock(layout, intent.dlm_lock, record, merged)
        written = dict(zip(files, disk.write_all(files, flushed=change.flushed), strict=True))
    checker.manifest.put(layout.manifest, written[layout.manifest], ReadManifest(merged))
    line = journal.encode(_journal_entry(record))
    if line not in (disk.read(layout.journal) or b""):
        journal.append(layout.journal, line)
    disk.remove(layout.intent)
    return notes


def _dlm_lock(layout: Layout, lock: DlmLock, record: VersionRecord, merged: Manifest) -> bytes:
    recorded = merged.run_of(record.version)
    if lock.license_acceptance is None:
        lock = replace(lock, license_acceptance=merged.license_acceptance)
    run_id = recorded.run_id if recorded else record.run.run_id
    return dlm_lock.encode(lock, layout.dlm_id, run_id, record.run.ended_at)


def take_back(layout: Layout, number: int) -> None:
    """Removes what an uncommitted version left. A folder not as recorded is another tool's and stays."""
    if versions.read_record(layout, number) and Checker().fault(layout, number) is None:
        disk.discard(layout.version(number))
    disk.remove(layout.intent)
    disk.remove(layout.record(number))


def merge(known: Manifest | None, record: VersionRecord, dlm_id: str) -> Manifest:
    """The manifest with the run of `record` in it and its version current; what other tools wrote stays."""
    run, ended = record.run, naive(record.run.ended_at)
    if known is None:
        known = Manifest(dlm_id=dlm_id, base_model=run.base_model, created_at=ended)
    runs = known.training_runs
    if known.run_of(record.version) is None:
        taken = {item.run_id for item in runs}
        entry = TrainingRun(
            run_id=known.next_run_id if run.run_id in taken else run.run_id,
            started_at=naive(run.started_at),
            ended_at=ended,
            adapter_version=record.version,
            base_model_revision=run.base_revision,
            seed=run.seed,
            steps=run.steps,
            final_train_loss=run.final_train_loss,
            pinned_versions=dict(run.pinned_versions),
            summary_path=run.summary_path,
        )
        runs = (*runs, entry)
    return known.model_copy(
        update={
            "adapter_version": record.version,
            "base_model": run.base_model,
            "base_model_revision": run.base_revision,
            "content_hashes": {section_id: section_id for section_id in record.content_hashes},
            "source_path": run.source_path or known.source_path,
            "training_runs": runs,
            "updated_at": ended,
        }
    )


def prune(layout: Layout, keep: int, *, never: int) -> tuple[int, ...]:
    """Removes our oldest versions so that `keep` of ours stay, but `never`. Returns the removed numbers."""
    ours = [number for number in versions.numbers(layout) if disk.facts(layout.record(number)) is not None]
    doomed = [number for number in ours[: max(len(ours) - max(keep, 1), 0)] if number != never]
    for number in doomed:
        disk.discard(layout.version(number), durable=False)
    disk.remove_all([layout.record(number) for number in doomed])
    return tuple(doomed)


def exercise() -> None:
    """Does once, on nothing, what a commit does: some of the libraries that it needs load late."""
    disk.exercise()
    empty = b"{}      "
    versions.check_weights(len(empty).to_bytes(8, "little") + empty)
    encode_snapshot(Snapshot("0" * 16, "prose", "", naive(0), naive(0)))


def encode_intent(intent: Intent) -> bytes:
    """The intent file's bytes: one JSON object."""
    return _INTENT.dump_json(intent) + b"\n"


def read_intent(layout: Layout) -> Intent | None:
    """The unfinished commit's intent, or None when there is none. Raises ValueError when it is damaged."""
    data = disk.read(layout.intent)
    return None if data is None else _INTENT.validate_json(data)


def _prepare(
    layout: Layout,
    stage: Path,
    files: Mapping[str, bytes],
    record: VersionRecord,
    intent: Intent,
    pointer: Path,
    checker: Checker,
) -> None:
    for folder in (layout.versions, layout.records, layout.logs):
        disk.make_folders(folder)
    disk.make_new_folder(stage)
    path = layout.record(record.version)
    written, _ = disk.write_all(
        {path: versions.encode_record(record), layout.intent: encode_intent(intent)},
        created={**{stage / name: data for name, data in files.items()}, pointer: versions.pointer(record.version)},
    )
    checker.newest.put(path, written, record)
    disk.rename(stage, layout.version(record.version))


def _follow_up(
    layout: Layout, intent: Intent, record: VersionRecord, keep: int, replay: Replay, checker: Checker
) -> tuple[str, ...]:
    notes: list[str] = []
    try:
        with reported("bring the store up to date", layout.root):
            notes += finish(layout, intent, record, replay, checker)
    except StoreError as error:
        notes.append(f"version {record.version} is committed; the next run completes its records: {error}")
        return tuple(notes)
    try:
        with reported("remove old versions", layout.versions):
            prune(layout, keep, never=record.version)
    except StoreError as error:
        notes.append(str(error))
    return tuple(notes)


def _checked(what: Commit) -> dict[str, bytes]:
    """All files of the version, the added ones included. Raises StoreError for what must not be committed."""
    for name in what.files:
        if name in _ADDED or name != Path(name).name or "\\" in name or name.startswith("."):
            raise StoreError(f"{name!r} is no file name that a version can take", "bad-commit")
    for name in (versions.WEIGHTS, versions.CONFIG):
        if not what.files.get(name):
            raise StoreError(f"the version lacks {name}", "bad-commit")
    if not what.base_model or not math.isfinite(what.started_at) or not math.isfinite(what.ended_at):
        raise StoreError("a commit needs the base model's name and finite moments", "bad-commit")
    try:
        for section_id, section_type, _ in what.replay_add:
            check_addition(section_id, section_type)
    except ValueError as error:
        raise StoreError(str(error), "bad-commit") from error
    versions.check_weights(what.files[versions.WEIGHTS])
    files = dict(what.files)
    if versions.TRAINING_STATE in files:
        digest = FileDigest.of(files[versions.TRAINING_STATE]).sha256
        files[versions.TRAINING_STATE_DIGEST] = f"{digest}\n".encode()
    files[PINNED_VERSIONS] = _json(dict.fromkeys(_PINNED_KEYS) | dict(what.pinned_versions))
    files[TRAINING_RUN] = _json({"use_qlora": "bitsandbytes" in what.pinned_versions})
    return files


def _record(
    what: Commit, number: int, run_id: int, files: Mapping[str, bytes], before: Version | None
) -> VersionRecord:
    loss = what.final_train_loss
    run = RunFacts(
        run_id=run_id,
        kind=what.kind,
        started_at=what.started_at,
        ended_at=what.ended_at,
        steps=what.steps,
        seed=what.seed,
        base_model=what.base_model,
        base_revision=what.base_revision,
        final_train_loss=loss if loss is not None and math.isfinite(loss) else None,
        pinned_versions=dict(what.pinned_versions),
        source_path=what.source_path,
        summary_path=f"logs/train-{run_id:06d}-{stamp(what.ended_at)}.summary.json",
        replaced=before.number if before else None,
    )
    digests = {name: FileDigest.of(data) for name, data in files.items()}
    return VersionRecord(number, run, tuple(what.content_hashes), digests, what.ledger.numbered(number))


def _write_summary(layout: Layout, record: VersionRecord) -> None:
    run = record.run
    if run.summary_path is None:
        return
    summary = {
        "run_id": run.run_id,
        "adapter_version": record.version,
        "seed": run.seed,
        "steps": run.steps,
        "final_train_loss": run.final_train_loss,
        "duration_seconds": max(run.ended_at - run.started_at, 0.0),
    }
    disk.make_folders(layout.logs)
    disk.write(layout.root / run.summary_path, _json(summary), durable=False)


def _journal_entry(record: VersionRecord) -> JournalEntry:
    run = record.run
    return JournalEntry(
        event="finished",
        at=run.ended_at,
        kind=run.kind,
        run=run.run_id,
        version=record.version,
        steps=run.steps,
        loss=run.final_train_loss,
        seconds=round(run.ended_at - run.started_at, 3),
        seed=run.seed,
        base_revision=run.base_revision,
    )


def _json(value: object) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=2) + "\n").encode()


_INTENT = TypeAdapter(Intent)
