"""Files of one JSON object a line, bounded in size: for what is good to know, and nothing depends on."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from dlm_lsp.store import disk

MAX_BYTES = 512 * 1024

T = TypeVar("T")


def append(path: Path, line: bytes) -> None:
    """Adds a line, after ending what a crash left half-written. When large, keeps the newer half."""
    old = disk.read(path) or b""
    if len(old) + len(line) > MAX_BYTES:
        disk.write(path, old[old.find(b"\n", len(old) // 2) + 1 :] + line, durable=False)
        return
    disk.append(path, line if not old or old.endswith(b"\n") else b"\n" + line, durable=False)


def read(path: Path, of: TypeAdapter[T]) -> tuple[T, ...]:
    """What all lines say, oldest first; those that say nothing of the kind are passed over."""
    found = []
    for line in (disk.read(path) or b"").splitlines():
        try:
            found.append(of.validate_json(line))
        except ValidationError:
            continue
    return tuple(found)
