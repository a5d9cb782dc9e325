"""What was read of files: as long as a file does not change, it is not read again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from dlm_lsp.store import disk
from dlm_lsp.store.regular import Signature

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """What was made of at most `most` files, those that were looked at last. May be used from any thread."""

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._known: dict[Path, tuple[Signature, Value]] = {}

    def of(self, path: Path, load: Callable[[], Value]) -> Value | None:
        """What `load` makes of the file at `path`; None when there is none. Raises what `load` raises."""
        found = disk.signature(path)
        if found is None:
            return None
        known = self._known.get(path)
        if known is not None and known[0] == found:
            return known[1]
        value = load()
        self.put(path, found, value)
        return value

    def put(self, path: Path, signature: Signature, value: Value) -> None:
        """Keeps what the file says that has this signature."""
        known = {**self._known, path: (signature, value)}
        for surplus in list(known)[: max(0, len(known) - self._most)]:
            del known[surplus]
        self._known = known
