"""A lost manifest again, from the old file's sound parts, our records, the journal and the folders."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from dlm_lsp.store import disk, journal, manifest, plain_json, versions
from dlm_lsp.store.commit import merge
from dlm_lsp.store.manifest import Manifest, TrainingRun
from dlm_lsp.store.paths import Layout
from dlm_lsp.store.times import naive

UNKNOWN_BASE = "unknown"


def rebuilt(layout: Layout, numbers: Iterable[int], now: float) -> Manifest:
    """The manifest that agrees with the store, where `numbers` are the usable committed versions on disk."""
    old = disk.read(layout.manifest)
    kept = manifest.salvage(old) if old is not None else {}
    known = Manifest.model_validate(
        {"base_model": UNKNOWN_BASE, "created_at": naive(now), "updated_at": naive(now)}
        | kept
        | {"dlm_id": layout.dlm_id}
    )
    for number in numbers:
        record = versions.read_record(layout, number)
        known = with_guessed_run(layout, known, number) if record is None else merge(known, record, layout.dlm_id)
    known = _with_journal(known, journal.read(layout.journal))
    return agreeing(layout, known, "base_model" in kept)


def agreeing(layout: Layout, known: Manifest, base_known: bool = True) -> Manifest:
    """`known` brought in line with the pointer: its version, a run for it, and what our record says of it."""
    current = versions.current(layout)
    if current is None:
        return known.model_copy(update={"adapter_version": 0})
    record = versions.read_record(layout, current.number)
    if record is not None:
        return merge(known, record, layout.dlm_id)
    known = with_guessed_run(layout, known, current.number)
    base = _base_of(layout, current.number) if not base_known and known.base_model == UNKNOWN_BASE else None
    return known.model_copy(update={"adapter_version": current.number, "base_model": base or known.base_model})


def with_guessed_run(layout: Layout, known: Manifest, number: int) -> Manifest:
    """`known` with a run for a version of another tool that it lacks; what is not known is left open."""
    found = disk.facts(layout.version(number))
    if found is None or known.run_of(number) is not None:
        return known
    made = naive(found.st_mtime)
    run = TrainingRun(run_id=known.next_run_id, started_at=made, ended_at=made, adapter_version=number, seed=0)
    return known.model_copy(update={"training_runs": (*known.training_runs, run)})


def _with_journal(known: Manifest, entries: Iterable[journal.JournalEntry]) -> Manifest:
    """`known` with the runs that the journal tells of and whose versions were pruned since."""
    runs = list(known.training_runs)
    seen = {run.adapter_version for run in runs}
    taken = {run.run_id for run in runs}
    for entry in entries:
        if entry.event == "finished" and entry.version and entry.version not in seen:
            run_id = entry.run if entry.run and entry.run not in taken else 1 + max(taken, default=0)
            with suppress(ValueError, OverflowError):  # figures that no run can have: somebody else wrote the line
                runs.append(
                    TrainingRun(
                        run_id=run_id,
                        started_at=naive(entry.at - (entry.seconds or 0.0)),
                        ended_at=naive(entry.at),
                        adapter_version=entry.version,
                        base_model_revision=entry.base_revision,
                        seed=entry.seed or 0,
                        steps=entry.steps or 0,
                        final_train_loss=entry.loss,
                    )
                )
                seen.add(entry.version)
                taken.add(run_id)
    runs.sort(key=lambda run: run.run_id)
    return known.model_copy(update={"training_runs": tuple(runs)})


def _base_of(layout: Layout, number: int) -> str | None:
    data = disk.read(layout.version(number) / versions.CONFIG)
    try:
        config: Any = plain_json.loads(data or b"null")
    except ValueError:
        return None
    base = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    return base if isinstance(base, str) and base else None
