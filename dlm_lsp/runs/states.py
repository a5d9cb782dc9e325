"""The states of a document's run, and the one table of what may follow what."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from enum import StrEnum

log = logging.getLogger(__name__)


class RunState(StrEnum):
    """What a document's run is doing now."""

    IDLE = "idle"
    QUEUED = "queued"
    RESTARTING = "restarting"  # queued as well: it follows a run that ended early for it
    WAITING = "waiting"  # for the store's lock
    LOADING = "loading"
    PREPARING = "preparing"
    TRAINING = "training"
    ABSORBING = "absorbing"  # trains, and takes in a newer text at its next step boundary
    SWAPPING = "swapping"  # trains, and takes other hooks at its next step boundary
    STOPPING = "stopping"
    STUCK = "stuck"  # was asked to stop, and its deadline is over
    WRITING = "writing"  # commits what it has learned
    FAILED = "failed"  # idle, after a run that failed


_S = RunState
ENDS = frozenset({_S.IDLE, _S.FAILED})
QUEUES = frozenset({_S.QUEUED, _S.RESTARTING})
TRAINS = frozenset({_S.TRAINING, _S.ABSORBING, _S.SWAPPING})
STOPS = frozenset({_S.STOPPING, _S.STUCK})

# What may follow each state; that a state follows itself (a step, another detail) is no transition.
TRANSITIONS: Mapping[RunState, frozenset[RunState]] = {
    # A record that takes up a run which goes on already (its document was renamed, say) hears of it in the middle.
    _S.IDLE: QUEUES | {_S.LOADING, _S.FAILED},
    _S.FAILED: QUEUES | {_S.LOADING, _S.IDLE},
    _S.QUEUED: ENDS | {_S.RESTARTING, _S.WAITING, _S.LOADING, _S.STOPPING},
    _S.RESTARTING: ENDS | {_S.QUEUED, _S.WAITING, _S.LOADING, _S.STOPPING},
    _S.WAITING: ENDS | QUEUES | {_S.LOADING, _S.STOPPING},
    _S.LOADING: ENDS | {_S.PREPARING, _S.TRAINING, _S.STOPPING},
    _S.PREPARING: ENDS | {_S.LOADING, _S.TRAINING, _S.STOPPING},
    _S.TRAINING: ENDS | {_S.PREPARING, _S.ABSORBING, _S.SWAPPING, _S.STOPPING, _S.WRITING},
    _S.ABSORBING: ENDS | {_S.PREPARING, _S.TRAINING, _S.SWAPPING, _S.STOPPING, _S.WRITING},
    _S.SWAPPING: ENDS | {_S.PREPARING, _S.TRAINING, _S.ABSORBING, _S.STOPPING, _S.WRITING},
    # Taken back before a step boundary, it goes on with whatever it was doing; a locked store is found late as well.
    _S.STOPPING: ENDS | {_S.QUEUED, _S.WAITING, _S.LOADING, _S.PREPARING, _S.TRAINING, _S.STUCK, _S.WRITING},
    _S.STUCK: ENDS | {_S.WAITING, _S.WRITING},
    _S.WRITING: ENDS | {_S.STOPPING},
}

# Whether an illegal transition is an error (in tests), or a line in the log while the newest state is shown.
STRICT = os.environ.get("DLM_STRICT_STATES") == "1"


class IllegalTransitionError(AssertionError):
    """A run went from one state to another that cannot follow it."""


def check(before: RunState, now: RunState, why: str) -> None:
    """Raises IllegalTransitionError where states are strict, else logs it. `why` names the event."""
    if now is before or now in TRANSITIONS[before]:
        return
    message = f"{why} led from {before} to {now}, which cannot follow it"
    if STRICT:
        raise IllegalTransitionError(message)
    log.error("%s", message)
