"""The status record as plain JSON-able data: one shape for the command line, notifications and requests."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from dlm_lsp.document import Position, Range
from dlm_lsp.runs.status import DocumentStatus, SectionStatus
from dlm_lsp.store import path_text


def payload(status: DocumentStatus) -> dict[str, Any]:
    """Every field of the record by its name; ranges are 0-based lines and code-point columns, paths are text."""
    plain: dict[str, Any] = _plain(status)
    plain["state"] = status.state.value
    return plain


def plain_of(section: SectionStatus) -> dict[str, Any]:
    """The same of one section."""
    plain: dict[str, Any] = _plain(section)
    return plain


def _plain(value: Any) -> Any:
    """In one pass: `dataclasses.asdict` copies deeply, and this is done for every change of a status."""
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Range | Position):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return path_text(value)
    return {name: _plain(getattr(value, name)) for name in _names(kind)}  # type: ignore[arg-type]  # classes are hashable


@lru_cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))
