"""`lsp/journal.jsonl`: one line for each run event worth keeping, bounded in size, without document text."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from dlm_lsp.store import disk, lines
from dlm_lsp.store.times import Seconds

JournalKind = Literal["started", "finished", "cancelled", "failed", "recovered", "reverted"]

_NEVER_WRITTEN = re.compile(rb"[\x00-\x09\x0b-\x1f]")  # JSON escapes control characters


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What happened. `at` in seconds since the epoch; `run` is the manifest's run id where one exists.

    `detail` is a sentence or a code, never document text. Commit, recovery and reverting write their own entries
    (`finished`, `recovered`, `reverted`).
    """

    event: JournalKind
    at: Seconds
    kind: str = ""
    run: int | None = None
    version: int | None = None
    steps: int | None = None
    loss: float | None = None
    seconds: float | None = None
    seed: int | None = None
    base_revision: str | None = None
    detail: str = ""


def append(path: Path, entry: JournalEntry | bytes) -> None:
    """Adds an entry, or its line."""
    lines.append(path, entry if isinstance(entry, bytes) else encode(entry))


def encode(entry: JournalEntry) -> bytes:
    """One line."""
    plain = {name: value for name, value in asdict(entry).items() if value not in (None, "")}
    return json.dumps(plain, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def damaged(path: Path) -> bool:
    """Whether it holds bytes that no journal has, whole or cut off: a power cut leaves zeros."""
    return _NEVER_WRITTEN.search(disk.read(path) or b"") is not None


def read(path: Path) -> tuple[JournalEntry, ...]:
    """All entries, oldest first."""
    return lines.read(path, _ENTRY)


_ENTRY = TypeAdapter(JournalEntry)
