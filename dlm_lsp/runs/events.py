"""What a run says while it goes on: a closed set of frozen events, each with run id and sequence number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlm_lsp.document import Document, Problem
from dlm_lsp.training.protocol import Learned, PhaseName, RunKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`document` is the canonical path; `run` counts the runs of this process.

    `sequence` counts the events of this process in the order in which they changed a status; 0 before that.
    """

    document: Path
    run: int
    at: float  # seconds since the epoch
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued(Event):
    """A save (or a command) asks for a run; it begins when the worker is free."""

    kind: RunKind
    detail: str = ""  # why it does not begin yet, if there is more to say than that
    purpose: str = ""  # such as "rehearsing 3 sections", when not all that is new is trained
    restarts: bool = False  # it follows a run that ended early for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """The worker took the run up: from here on there is exactly one terminal event."""

    kind: RunKind
    fresh: int  # lessons to learn
    known: int  # lessons to rehearse from


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesRead(Event):
    """The run read the document's sourced files: the lessons in them, and what was left out and why."""

    problems: tuple[Problem, ...]
    lessons: frozenset[str]  # identities


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Event):
    """Another process holds the store; the run goes on by itself when it is free."""

    pid: int | None
    host: str
    since: float | None  # seconds since the epoch
    detail: str  # one sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase(Event):
    """The run entered a phase, or moved on in it."""

    name: PhaseName
    detail: str = ""
    fraction: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Event):
    """One optimizer step is done."""

    step: int
    total: int
    loss: float
    learning_rate: float
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Absorbed(Event):
    """The run has taken in a newer text, and goes on with it: so many sections are new in it, or left it."""

    text: Document
    added: int
    removed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapped(Event):
    """The run calls the functions of a newer hooks file from here on; `hooks` is its fingerprint (16 hex digits)."""

    hooks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HooksSaid(Event):
    """What is to be known of the run's hooks, such as which one is slow; empty when that is over."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HooksTold(Event):
    """All that is wrong with the hooks file, with places in it."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping(Event):
    """A stop was asked for; the run ends at the next step boundary."""

    detail: str = ""  # what follows then, if it is no cancel
    seconds_left: float | None = None  # until it counts as stuck; told now and then


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck(Event):
    """The run was asked to stop and did not in time. It may still end by itself; nothing restarts after it."""

    detail: str  # sentences for the author


@dataclass(frozen=True, slots=True, kw_only=True)
class Absorbing(Event):
    """A newer text waits for the next step boundary of the run that goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapping(Event):
    """A newer hooks file is being loaded at a step boundary; `hooks` is its fingerprint (16 hex digits)."""

    hooks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingOn(Event):
    """What the run was to stop for, or to take in, was taken back: it goes on as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped(Event):
    """Nothing was trained, and `reason` says why. Terminal; the only event of a save that needs no run."""

    reason: str
    notes: tuple[str, ...] = ()  # what recovery did before


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Event):
    """A version was committed. Terminal."""

    kind: RunKind
    version: int
    learned: Learned
    seconds: float
    message: str  # such as "learned in 31 steps"
    notes: tuple[str, ...] = ()  # what recovery or pruning did


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(Event):
    """The author stopped the run; the last committed version stays. Terminal."""

    version: int | None
    detail: str = ""  # what the stop has cost, if more than the run
    notes: tuple[str, ...] = ()  # what recovery did before


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """The run ended on an error; the last committed version stays. Terminal."""

    code: str
    message: str  # one sentence for the author; the traceback is in the log
    key: str | None = None  # dotted frontmatter key the message is about
    notes: tuple[str, ...] = ()  # what recovery did before


TERMINAL = (Skipped, Finished, Cancelled, Failed)
