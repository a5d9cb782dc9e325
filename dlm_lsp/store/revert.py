"""Reverting: an earlier version becomes current again. The flip of the pointer is the one instant at which it does."""

from __future__ import annotations

from dlm_lsp.store import disk, journal, manifest, rebuild, recovery, versions
from dlm_lsp.store.errors import StoreError, reported
from dlm_lsp.store.journal import JournalEntry
from dlm_lsp.store.lock import Held
from dlm_lsp.store.paths import Layout, version_name
from dlm_lsp.store.times import stamp
from dlm_lsp.store.versions import Checker, Version


def revert(layout: Layout, held: Held, checker: Checker, number: int | None, now: float) -> Version:
    """Makes version `number` current (None: the newest usable one before the current one) in a recovered store.

    Nothing is removed: newer versions, the replay corpus and the runs in the manifest stay. Raises StoreError, and
    then nothing changed. An error after the pointer flipped is told in the version's notes: the next run completes
    what is left. `now` in seconds since the epoch.
    """
    held.check()
    with reported("revert the store", layout.root):
        if disk.facts(layout.intent) is not None:
            raise StoreError("an earlier commit is not finished; recover the store first", "store-busy")
        target = _target(layout, checker, number)
        known = manifest.load(layout)
        held.check()
        try:
            versions.point_at(layout, target)
        except OSError:
            if versions.pointed(layout) != target:
                raise
    notes: tuple[str, ...] = ()
    try:
        with reported("bring the store up to date", layout.root):
            if known is not None:
                notes = manifest.save(layout, rebuild.agreeing(layout, known.manifest), stamp(now))
            journal.append(layout.journal, JournalEntry("reverted", now, version=target))
    except StoreError as error:
        notes = (f"{version_name(target)} is current; the next run completes the store's records: {error}",)
    return Version(target, layout.version(target), notes)


def _target(layout: Layout, checker: Checker, number: int | None) -> int:
    """The version to make current. Raises StoreError `cannot-revert` with the reason why there is none."""
    current, committed = versions.pointed(layout), recovery.committed(layout, checker)
    if current is None:
        raise StoreError("there is no version yet, so there is nothing to revert to", "cannot-revert")
    if number is None:
        older = [other for other in committed if other < current and checker.fault(layout, other) is None]
        if not older:
            raise StoreError(f"there is no version before {version_name(current)}", "cannot-revert")
        return older[-1]
    if number == current:
        raise StoreError(f"{version_name(number)} is current already", "cannot-revert")
    if number not in committed:
        there = ", ".join(version_name(other) for other in committed)
        raise StoreError(f"there is no version {version_name(number)}; there are {there or 'none'}", "cannot-revert")
    if (fault := checker.fault(layout, number)) is not None:
        raise StoreError(f"{version_name(number)} cannot be used: {fault}", "cannot-revert")
    return number
