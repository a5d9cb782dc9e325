"""Start-up recovery: every half-way state that a crash of ours or of another tool can leave, and its repair.

Each check yields findings: what is there, and how to set it right. `recover` repairs, under the lock;
`leftovers` only reads. What is certainly a leftover is removed; what cannot be judged is renamed to say so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from dlm_lsp.store import commit as committing
from dlm_lsp.store import disk, dlm_lock, journal, manifest, rebuild, versions
from dlm_lsp.store.commit import Intent
from dlm_lsp.store.errors import StoreError
from dlm_lsp.store.journal import JournalEntry
from dlm_lsp.store.manifest import Manifest
from dlm_lsp.store.paths import Layout, version_name
from dlm_lsp.store.replay import Replay
from dlm_lsp.store.times import stamp
from dlm_lsp.store.versions import Checker, VersionRecord

FOREIGN_GRACE_SECONDS = 3600.0  # other tools train without the lock: their newer leftovers may be at work still

_FOREIGN_TEMPORARY = re.compile(r"\.tmp\.(\d+)(\.[0-9a-f]{8})?$")


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` is there, a phrase; `repair` sets it right and returns a phrase that says how."""

    what: str
    repair: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Case:
    """The store that is looked at, its replay corpus, and the moment (seconds since the epoch)."""

    layout: Layout
    checker: Checker
    replay: Replay
    now: float


def recover(layout: Layout, checker: Checker, replay: Replay, now: float) -> tuple[str, ...]:
    """Repairs the store; the caller holds its lock. Returns sentences on what was done, none when sound.

    Raises StoreError `manifest-newer` before anything is touched, OSError when a repair fails; calling it
    again goes on from there.
    """
    case = Case(layout, checker, replay, now)
    _load_manifest(case)
    done = [f"{finding.what}: {finding.repair()}" for check in _CHECKS for finding in check(case)]
    if done:
        journal.append(layout.journal, JournalEntry("recovered", now, detail="; ".join(done)))
    return tuple(done)


def leftovers(layout: Layout, checker: Checker, replay: Replay, now: float) -> tuple[str, ...]:
    """What the next run would repair. Only reads."""
    case = Case(layout, checker, replay, now)
    _load_manifest(case)
    found: list[str] = []
    for check in _CHECKS:
        findings = [finding.what for finding in check(case)]
        found += findings
        if findings and check in (_damaged_manifest, _unfinished_commit, _pointer):
            break  # the later checks would tell the consequences once more
    return tuple(found)


# --- the checks, in the order in which they repair ----------------------------------------------------------


def _temporary_files(case: Case) -> Iterator[Finding]:
    layout = case.layout
    folders = (layout.root, layout.adapter, layout.versions, layout.replay, layout.logs, layout.ours)
    paths = [folder / name for folder in (*folders, layout.records) for name in disk.names(folder)]
    for found, whose in (
        ([path for path in paths if disk.is_temporary(path.name)], "an interrupted write"),
        ([path for path in paths if _abandoned(path, case.now)], "another tool's interrupted write"),
    ):
        if found:
            many = "1 temporary file" if len(found) == 1 else f"{len(found)} temporary files"
            yield Finding(f"{many} of {whose}", partial(_discard_all, found))


def _damaged_manifest(case: Case) -> Iterator[Finding]:
    layout = case.layout
    found = _load_manifest(case)
    pending = _pending(layout)
    ours = (number for number in versions.numbers(layout) if case.checker.record(layout, number))
    if isinstance(found, StoreError):
        yield Finding(str(found), partial(_rebuild_manifest, case))
    elif found is None and any(number != pending for number in ours):
        yield Finding("manifest.json is missing", partial(_rebuild_manifest, case))


def _unfinished_commit(case: Case) -> Iterator[Finding]:
    layout = case.layout
    try:
        intent = committing.read_intent(layout)
    except ValueError:
        what = "the record of an unfinished commit is damaged"
        yield Finding(what, partial(_set_aside, case, layout.intent, "damaged"))
        return
    if intent is None:
        return
    number = intent.version
    record = versions.read_record(layout, number)
    whole = record is not None and case.checker.fault(layout, number) is None
    if versions.pointed(layout) != number:
        what = f"version {number} was interrupted before it was committed"
        yield Finding(what, partial(_take_back, case, number))
    elif record is not None and whole:
        what = f"version {number} was committed, but the store was not yet up to date"
        yield Finding(what, partial(_finish, case, intent, record))
    else:
        what = f"version {number} is not the one whose commit was interrupted"
        yield Finding(what, partial(_drop_intent, case, number))


def _useless_records(case: Case) -> Iterator[Finding]:
    layout = case.layout
    there = {f"{version_name(number)}.json" for number in versions.numbers(layout)}
    lost = [name for name in disk.names(layout.records) if name.endswith(".json") and name not in there]
    if lost:
        what = f"the records of versions that are gone ({', '.join(lost)})"
        yield Finding(what, partial(_discard_all, [layout.records / name for name in lost]))
    for number in versions.numbers(layout):
        path = layout.record(number)
        if disk.facts(path) is not None and case.checker.record(layout, number) is None:
            yield Finding(f"the record of version {number} is damaged", partial(_set_aside, case, path, "damaged"))


def _pointer(case: Case) -> Iterator[Finding]:
    layout = case.layout
    number = versions.pointed(layout)
    fault = None if number is None else case.checker.fault(layout, number)
    if number is not None and fault is None:
        return
    usable = [other for other in _usable(case) if other != number]
    substitute = usable[-1] if usable else None
    if number is not None:
        what = f"the current version {number} cannot be used ({fault})"
    elif disk.facts(layout.current) is not None:
        what = "adapter/current.txt names no version"
    elif substitute is not None:
        what = "adapter/current.txt is missing"
    else:
        return
    yield Finding(what, partial(_repoint, case, number, substitute))


def _orphans(case: Case) -> Iterator[Finding]:
    layout = case.layout
    current = versions.pointed(layout) or 0
    known = set(committed(layout, case.checker))
    for number in versions.numbers(layout):
        folder = layout.version(number)
        if number > current and number not in known and _age(folder, case.now) >= FOREIGN_GRACE_SECONDS:
            what = f"version folder {folder.name} was never committed by the program that began it"
            yield Finding(what, partial(_set_aside, case, folder, "uncommitted"))


def _disagreement(case: Case) -> Iterator[Finding]:
    found = _load_manifest(case)
    current = versions.current(case.layout)
    number = current.number if current else 0
    if found is None:
        if current is not None:
            yield Finding("manifest.json is missing", partial(_rebuild_manifest, case))
    elif isinstance(found, Manifest) and found.adapter_version != number:
        what = f"the manifest says version {found.adapter_version}, current is {number or 'none'}"
        yield Finding(what, partial(_agree, case, found))


def _replay_index(case: Case) -> Iterator[Finding]:
    if not case.replay.sound():
        lost = case.replay.entries() is None
        what = "the replay index does not fit its corpus" if lost else "the replay corpus is damaged"
        yield Finding(what, partial(_repair_replay, case))


def _damaged_notes(case: Case) -> Iterator[Finding]:
    """What nothing depends on, but would be in the way of other tools, or hides what comes after it."""
    layout = case.layout
    if disk.facts(layout.dlm_lock) is not None and dlm_lock.read_dlm_lock(layout) is None:
        yield Finding("dlm.lock is damaged", partial(_set_aside, case, layout.dlm_lock, "damaged"))
    if journal.damaged(layout.journal):
        yield Finding("the journal is damaged", partial(_repair_journal, case))


_CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _temporary_files,
    _damaged_manifest,
    _unfinished_commit,
    _useless_records,
    _pointer,
    _orphans,
    _disagreement,
    _replay_index,
    _damaged_notes,
)


# --- repairs ------------------------------------------------------------------------------------------------


def _discard_all(paths: Sequence[Path]) -> str:
    for path in paths:
        disk.discard(path)
    return "removed"


def _set_aside(case: Case, path: Path, why: str) -> str:
    return f"set aside as {disk.set_aside(path, why, stamp(case.now)).name}"


def _take_back(case: Case, number: int) -> str:
    committing.take_back(case.layout, number)
    return "taken back"


def _finish(case: Case, intent: Intent, record: VersionRecord) -> str:
    return "; ".join(("completed", *committing.finish(case.layout, intent, record, case.replay, case.checker)))


def _drop_intent(case: Case, number: int) -> str:
    done = _set_aside(case, case.layout.intent, "not-applied")
    disk.remove(case.layout.record(number))
    return f"{done}, that version stays as it is"


def _repoint(case: Case, bad: int | None, substitute: int | None) -> str:
    layout, done = case.layout, []
    if substitute is not None:
        versions.point_at(layout, substitute)
        done.append(f"version {substitute} is current now")
    else:
        done.append(f"there is no other, current.txt was {_set_aside(case, layout.current, 'damaged')}")
    if bad is not None and disk.is_folder(layout.version(bad)):
        done.append(f"{version_name(bad)} was {_set_aside(case, layout.version(bad), 'damaged')}")
        disk.remove(layout.record(bad))
    return ", ".join(done)


def _agree(case: Case, known: Manifest) -> str:
    notes = manifest.save(case.layout, rebuild.agreeing(case.layout, known), stamp(case.now))
    return "; ".join(("brought in line", *notes))


def _rebuild_manifest(case: Case) -> str:
    layout, kept = case.layout, ""
    pending = _pending(layout)
    numbers = [
        number
        for number in versions.numbers(layout)
        if (number != pending or number == versions.pointed(layout)) and case.checker.fault(layout, number) is None
    ]
    fresh = rebuild.rebuilt(layout, numbers, case.now)
    old = disk.read(layout.manifest)
    if old is not None:
        copy = disk.keep_copy(layout.manifest, old, "damaged", stamp(case.now))
        kept = f", the old file is kept as {copy.name}"
    manifest.save(layout, fresh, stamp(case.now))
    return f"rebuilt from what the store holds{kept}"


def _repair_replay(case: Case) -> str:
    replay = case.replay
    old = disk.read(replay.index) if replay.entries() is None else None
    kept = [
        disk.keep_copy(path, data, "damaged", stamp(case.now)).name
        for path, data in ((replay.index, old), (replay.corpus, replay.unreadable()))
        if data
    ]
    return f"rebuilt with {len(replay.repair())} section(s)" + (
        f", the rest is kept as {', '.join(kept)}" if kept else ""
    )


def _repair_journal(case: Case) -> str:
    path = case.layout.journal
    copy = disk.keep_copy(path, disk.read(path) or b"", "damaged", stamp(case.now))
    entries = journal.read(path)
    disk.write(path, b"".join(map(journal.encode, entries)))
    return f"its {len(entries)} readable line(s) stay, the old file is kept as {copy.name}"


# --- what the checks look at --------------------------------------------------------------------------------


def _load_manifest(case: Case) -> Manifest | StoreError | None:
    return _manifest(case.layout, case.checker)


def _manifest(layout: Layout, checker: Checker) -> Manifest | StoreError | None:
    """The manifest, what is wrong with it, or None when it is missing. Raises `manifest-newer`: hands off."""
    try:
        found = manifest.look(layout, checker.manifest)
    except StoreError as error:
        if error.code == "manifest-newer":
            raise
        return error
    return found.manifest if found else None


def _pending(layout: Layout) -> int | None:
    try:
        intent = committing.read_intent(layout)
    except ValueError:
        return None
    return intent.version if intent else None


def committed(layout: Layout, checker: Checker) -> list[int]:
    """The version folders that the manifest or a record of ours knows, ascending."""
    found = _manifest(layout, checker)
    runs = found.training_runs if isinstance(found, Manifest) else ()
    known = {run.adapter_version for run in runs if not run.adapter_name}
    return [
        number
        for number in versions.numbers(layout)
        if number in known or disk.facts(layout.record(number)) is not None
    ]


def _usable(case: Case) -> list[int]:
    return [
        number for number in committed(case.layout, case.checker) if case.checker.fault(case.layout, number) is None
    ]


def _abandoned(path: Path, now: float) -> bool:
    """Whether `path` is another tool's temporary file that nobody is writing any more."""
    match = _FOREIGN_TEMPORARY.search(path.name)
    if match is None or disk.is_folder(path):
        return False
    return _age(path, now) >= FOREIGN_GRACE_SECONDS and not psutil.pid_exists(int(match[1]))


def _age(path: Path, now: float) -> float:
    """Seconds since the newest change of a file, or of a folder and the files in it."""
    inside = [disk.facts(path / name) for name in disk.names(path)] if disk.is_folder(path) else []
    changes = [found.st_mtime for found in (disk.facts(path), *inside) if found is not None]
    return now - max(changes, default=now)
