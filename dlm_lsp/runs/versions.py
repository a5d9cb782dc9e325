"""The committed versions of a document, for whoever lets somebody choose one. Reads only, from any thread."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC

from dlm_lsp.store import Store

_NAMED = re.compile(r"v?0*([1-9]\d{0,8})")


@dataclass(frozen=True, slots=True)
class Made:
    """A version on disk; `at` (seconds since the epoch), `steps` and `loss` where the manifest still tells them."""

    number: int
    current: bool
    at: float | None = None
    steps: int | None = None
    loss: float | None = None


def made(store: Store) -> tuple[Made, ...]:
    """All of them, ascending. Raises StoreError."""
    current, manifest = store.current(), store.manifest()
    found = []
    for version in store.versions():
        run = manifest.run_of(version.number) if manifest else None
        ended = run.ended_at.replace(tzinfo=UTC).timestamp() if run and run.ended_at else None
        found.append(
            Made(
                version.number,
                current is not None and current.number == version.number,
                ended,
                run.steps if run else None,
                run.final_train_loss if run else None,
            )
        )
    return tuple(found)


def named_version(named: object) -> int | None:
    """The number that `3`, `"3"` or `"v0003"` names; None for what names no version."""
    match = None if isinstance(named, bool) else _NAMED.fullmatch(str(named))
    return int(match[1]) if match else None
