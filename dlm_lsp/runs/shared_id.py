"""Two documents with one `dlm_id`: they share a store, and each run forgets what only the other one holds. Pure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dlm_lsp.document import Document, Problem, Related, Severity
from dlm_lsp.document.entry import Entry
from dlm_lsp.runs.plain import escaped
from dlm_lsp.runs.sources import relative

CODE = "shared-id"
_NAMED = 3
_RELATED = 10


def shared_id(
    document: Document, path: Path, others: Sequence[tuple[Path, Entry]], learned_from: str | None
) -> Problem | None:
    """The problem of `document` on its id; None without `others`. `learned_from`: the path that the store names."""
    place = document.keys.get(("dlm_id",))
    if not others or place is None:
        return None
    names = [_name(other, path) for other, _ in others]
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    count = "2 documents" if len(others) == 1 else f"{len(others) + 1:,} documents"
    return Problem(
        CODE,
        Severity.WARNING,
        f"This dlm_id is also that of {', '.join(names[:_NAMED])}{more}: {count} share one store, and learning one "
        f"makes the adapter forget what only another holds. {_advice(path, [p for p, _ in others], learned_from)}",
        place.value,
        tuple(
            Related("The same dlm_id is written here.", entry.id_range, other)
            for other, entry in others[:_RELATED]
            if entry.id_range is not None
        ),
    )


def _advice(path: Path, others: Sequence[Path], learned_from: str | None) -> str:
    if learned_from is None:
        return "Nothing has been learned yet: give one of them a new id."
    if _is(path, learned_from):
        return "What was learned last came from this document: give the other a new id."
    owner = next((other for other in others if _is(other, learned_from)), None)
    if owner is not None:
        return f"What was learned last came from {_name(owner, path)}: give this document a new id."
    return f"What was learned last came from {escaped(Path(learned_from).name)}: give one of them a new id."


def _is(path: Path, written: str) -> bool:
    return os.path.normcase(written) == os.path.normcase(str(path))


def _name(other: Path, path: Path) -> str:
    """As seen from the document at `path`, where that is near; else whole."""
    return escaped(relative(other, path.parent) or str(other))
