"""The one status record per document, from which diagnostics, hover, lenses, progress and pages are computed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from dlm_lsp.document.model import Range, SectionKind
from dlm_lsp.runs.states import RunState as RunState
from dlm_lsp.training.protocol import PhaseName, RunKind

Outcome = Literal["finished", "skipped", "cancelled", "failed"]


class SectionState(StrEnum):
    """What the adapter knows of a section."""

    NEW = "new"
    CHANGED = "changed"
    WAITING = "waiting"  # saved, and part of the queued run
    LEARNING = "learning"
    LEARNED = "learned"
    FAILED = "failed"  # the last run that was to learn it failed; `reason` says why
    PARTLY = "partly"  # the cap came before all of it was learned
    UNTRAINED = "untrained"  # of a kind that is not trained on save; `reason` says why
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """One exchange (or text) that later runs made worse. Losses in nats per token: `was` when it was learned.

    `since`: the version that was first seen to have forgotten it; `revert_to`: the last one that was seen to know
    it, while it is there. `exact`: whether the answer is still word for word, None where that was not looked at.
    """

    range: Range
    was: float | None
    now: float | None
    exact: bool | None
    since: int
    revert_to: int | None


@dataclass(frozen=True)
class SectionStatus:
    """The truth about one section. Losses in nats per token; `version` is the one that last trained it."""

    section_id: str
    kind: SectionKind
    range: Range
    state: SectionState
    reason: str = ""
    version: int | None = None
    times_seen: int = 0
    loss_before: float | None = None
    loss_after: float | None = None
    learned_at: str | None = None  # ISO 8601, UTC
    lessons: int = 0  # exchanges, or 1 for a text
    lessons_learned: int = 0
    forgotten: tuple[Forgotten, ...] = ()


@dataclass(frozen=True, slots=True)
class LessonStatus:
    """The truth about one lesson of a section, in the same words."""

    identity: str
    anchor: str
    state: SectionState
    reason: str = ""
    version: int | None = None
    times_seen: int = 0
    loss_before: float | None = None
    loss_after: float | None = None
    learned_at: str | None = None


@dataclass(frozen=True, slots=True)
class RemovedLesson:
    """What the adapter knows though it left the document. `words`: how it began, while the replay corpus has it.

    `replaced`: the document has another answer to the same question, or another text below the same first line.
    """

    identity: str
    section_id: str
    version: int
    times_seen: int
    loss_after: float | None
    learned_at: str
    replaced: bool
    words: str = ""
    kind: SectionKind | None = None  # known while the replay corpus has it


@dataclass(frozen=True, slots=True)
class Failure:
    """The last run that failed: what it was to learn (identities), and why, as a sentence without full stop."""

    lessons: frozenset[str]
    reason: str
    at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class RunView:
    """The run that is queued or going on."""

    run: int
    kind: RunKind
    state: RunState
    phase: PhaseName | None = None
    detail: str = ""
    step: int = 0
    total: int | None = None
    loss: float | None = None
    percentage: int = 0  # 0..100, never falls within a run
    started_at: float | None = None
    seconds_left: float | None = None
    fresh: int = 0
    purpose: str = ""  # such as "rehearsing 3 sections", when not all that is new is trained
    stop_seconds_left: float | None = None  # while it stops, until it counts as stuck; told now and then
    hooks: str = ""  # such as "hooks swapped", or which one is slow


@dataclass(frozen=True, slots=True)
class LockView:
    """Who holds the store instead of us."""

    pid: int | None
    host: str
    since: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class LastRun:
    """How the last run of this process ended."""

    run: int
    kind: RunKind
    outcome: Outcome
    message: str
    code: str = ""
    key: str | None = None
    steps: int = 0
    loss: float | None = None
    seconds: float = 0.0
    at: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentStatus:
    """Everything that is true of one document's training now. Frozen: a change makes a new record.

    `version` is the committed version that answers questions; `generation` grows with each change of the record.
    """

    document: Path
    dlm_id: str | None = None
    base: str | None = None
    store: Path | None = None
    generation: int = 0
    sections_generation: int = 0  # the generation in which the sections were computed last
    run: RunView | None = None
    lock: LockView | None = None
    last: LastRun | None = None
    version: int | None = None
    version_at: str | None = None  # ISO 8601, UTC
    version_steps: int | None = None
    version_loss: float | None = None
    device: str | None = None
    sections: tuple[SectionStatus, ...] = ()
    removed: int = 0  # lessons the adapter still knows though they left the document
    config_changed: bool = False  # the text has settings that no cycle has trained with yet
    note: str = ""  # one sentence on what the last save will do later, such as "saved, not trained (auto-save)"
    disk: str = ""  # one sentence when the file changed or went without a save
    warm: bool = False

    @property
    def state(self) -> RunState:
        return self.run.state if self.run else RunState.IDLE

    @property
    def stage(self) -> RunState:
        """The state in the table of transitions, which knows idleness after a failure apart."""
        failed = self.last is not None and self.last.outcome == "failed"
        return RunState.FAILED if self.run is None and failed else self.state

    @property
    def forgotten(self) -> tuple[SectionStatus, ...]:
        """Sections of which something was forgotten."""
        return tuple(section for section in self.sections if section.forgotten)

    @property
    def pending(self) -> tuple[SectionStatus, ...]:
        """Sections that the next run would train."""
        settled = (SectionState.LEARNED, SectionState.UNTRAINED, SectionState.EMPTY)
        return tuple([section for section in self.sections if section.state not in settled])
