"""Going back to an earlier version, on the worker thread between two runs, under the store's lock."""

from __future__ import annotations

import re

from dlm_lsp.store import Holder, Store, StoreError, version_name

_NAMED = re.compile(r"v?0*([1-9]\d{0,8})")


def named_version(named: object) -> int | None:
    """The number that `3`, `"3"` or `"v0003"` names; None for what names no version."""
    match = None if isinstance(named, bool) else _NAMED.fullmatch(str(named))
    return int(match[1]) if match else None


def revert(store: Store, number: int | None) -> str:
    """Makes version `number` (None: the one before the current one) current; says so. Raises StoreError: why not."""
    if not store.exists():
        raise StoreError("there is no version yet, so there is nothing to revert to", "cannot-revert")
    lock = store.try_lock()
    if isinstance(lock, Holder):
        raise StoreError(f"the store is locked: {lock.detail}", "store-busy")
    with lock as held:
        notes = (*held.notes, *store.recover(held))
        version = store.revert(held, number)
    said = f"{version_name(version.number)} is current again; the next save learns what it does not know"
    return ". ".join((said, *notes, *version.notes))
