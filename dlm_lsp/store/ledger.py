"""What an adapter version knows: per lesson, what was learned and when. Hashes and figures, never text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Known:
    """What the adapter knows of one lesson. Losses in nats per trained token; `learned_at` is ISO 8601 UTC.

    `version` is the version that last trained it; 0 stands for the one being committed and is filled in then.
    """

    version: int
    times_seen: int
    complete: bool
    learned: bool
    anchor: str
    section_id: str
    learned_at: str
    loss_before: float | None = None
    loss_after: float | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is true of adapter version `version`. `lessons` maps a lesson's identity to what is known of it.

    `shape`, `config` and `data` are the fingerprints of the snapshot that was learned.
    """

    lessons: Mapping[str, Known] = field(default_factory=dict)
    base_id: str = ""
    base_revision: str | None = None
    shape: str = ""
    config: str = ""
    data: str = ""
    device: str = ""
    version: int = 0

    def numbered(self, version: int) -> Ledger:
        """This ledger as that of `version`, with the lessons of this run (version 0) counted to it."""
        lessons = {
            identity: known if known.version else replace(known, version=version)
            for identity, known in self.lessons.items()
        }
        return replace(self, lessons=lessons, version=version)
