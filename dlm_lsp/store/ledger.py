"""What an adapter version knows: per lesson, what was learned and when. Hashes and figures, never text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Known:
    """What the adapter knows of one lesson. Losses in nats per trained token; `learned_at` is ISO 8601 UTC.

    `version` is the version that last trained it. Versions that are 0 stand for the one being committed and are
    filled in then. What the forgetting guard saw: `score` and `exact` in version `scored_in`, None if it did not
    look. A forgotten lesson is so since `forgotten_since`, and was last seen to be known in `sound_in`.
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
    score: float | None = None  # nats per trained token, without dropout
    exact: bool | None = None  # each trained token was the most likely one
    scored_in: int | None = None
    forgotten_since: int | None = None
    sound_in: int | None = None

    def numbered(self, version: int) -> Known:
        """This with `version` in the places of the version being committed."""
        if 0 not in (self.version, self.scored_in, self.forgotten_since):
            return self
        scored_in = version if self.scored_in == 0 else self.scored_in
        since = version if self.forgotten_since == 0 else self.forgotten_since
        return replace(self, version=self.version or version, scored_in=scored_in, forgotten_since=since)


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
        lessons = {identity: known.numbered(version) for identity, known in self.lessons.items()}
        return replace(self, lessons=lessons, version=version)
