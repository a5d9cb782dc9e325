"""Going back to an earlier version, on the worker thread between two runs, under the store's lock."""

from __future__ import annotations

from dlm_lsp.store import Holder, Store, StoreError, version_name


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
