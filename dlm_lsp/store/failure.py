"""`lsp/failed.json`: which lessons the last run was to learn, if it failed. Hashes and a code, never text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from dlm_lsp.store import disk
from dlm_lsp.store.times import Seconds

MAX_LESSONS = 50_000  # what a run of more was to learn is not kept: the file stays below a few megabytes
MAX_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that ended on an error. `at` in seconds since the epoch; `lessons` are identities."""

    at: Seconds
    kind: str
    code: Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=80)]  # a number in the pattern takes 30 ms to compile
    lessons: frozenset[str]


def write(path: Path, failed: FailedRun) -> None:
    """Replaces what was known of an earlier one. Not durable: a power cut may lose it."""
    if len(failed.lessons) <= MAX_LESSONS:
        disk.write(path, _FAILED.dump_json(failed) + b"\n", durable=False)


def read(path: Path) -> FailedRun | None:
    """None when the last run did not fail, or the file cannot be understood."""
    found = disk.facts(path)
    if found is None or found.st_size > MAX_BYTES:
        return None
    try:
        return _FAILED.validate_json(disk.read(path) or b"")
    except ValueError:
        return None


_FAILED = TypeAdapter(FailedRun)
