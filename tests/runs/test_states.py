"""The table of a run's states: every one is reached by real events, and the author is told of it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dlm_lsp.document import parse
from dlm_lsp.runs import events, states
from dlm_lsp.runs.narrate import after
from dlm_lsp.runs.payload import payload
from dlm_lsp.runs.states import TRANSITIONS, IllegalTransitionError, RunState
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.telling import headline, progress_message
from dlm_lsp.training.protocol import Learned
from tests.fakes import BASE_ID, DEVICE

PATH = Path("/documents/notes.dlm")


def told(kind: type[events.Event], /, **fields: Any) -> events.Event:
    return kind(document=PATH, run=1, at=100.0, **fields)


LEARNED = Learned(
    files={},
    end="learned",
    steps=1,
    tokens=16,
    final_loss=0.5,
    lessons=(),
    base_id=BASE_ID,
    base_revision=None,
    device=DEVICE,
    seed=1,
    torch_version="0",
)
QUEUED = told(events.Queued, kind="cycle")
RESTART = told(events.Queued, kind="cycle", detail="restarting with seed 7", restarts=True)
WAITING = told(events.Waiting, pid=7, host="here", since=None, detail="process 7 learns")
STARTED = told(events.Started, kind="cycle", fresh=1, known=0)
TOKENISE = told(events.Phase, name="tokenise")
TRAIN = told(events.Phase, name="train")
WRITE = told(events.Phase, name="write")
STEP = told(events.Step, step=1, total=4, loss=0.5, learning_rate=0.1, tokens=1)
ABSORBING = told(events.Absorbing)
ABSORBED = told(events.Absorbed, text=parse(""), added=2, removed=0)
SWAPPING = told(events.Swapping, hooks="0123456789abcdef")
SWAPPED = told(events.Swapped, hooks="0123456789abcdef")
HOOKS_TOLD = told(events.HooksTold, problems=())
STOPPING = told(events.Stopping)
TICK = told(events.Stopping, seconds_left=252.0)
STUCK = told(events.Stuck, detail="it came to no step boundary.")
GOING_ON = told(events.GoingOn)
FINISHED = told(events.Finished, kind="cycle", version=1, learned=LEARNED, seconds=1.0, message="learned in 1 step")
FAILED = told(events.Failed, code="base-missing", message="The base is not there.")
RUNNING = (QUEUED, STARTED, TOKENISE, TRAIN, STEP)


def walk(story: Sequence[events.Event]) -> DocumentStatus:
    status = DocumentStatus(PATH)
    for event in story:
        status = after(status, event)
    return status


# How a run comes into each state, and what is said of it in the status line and in the progress.
WAYS: dict[RunState, tuple[tuple[events.Event, ...], str]] = {
    RunState.IDLE: ((*RUNNING, WRITE, FINISHED), "nothing learned yet"),
    RunState.QUEUED: ((QUEUED,), "queued"),
    RunState.RESTARTING: ((*RUNNING, STOPPING, WRITE, FINISHED, RESTART), "restarting with seed 7"),
    RunState.WAITING: ((QUEUED, WAITING), "waiting for the store's lock: process 7 learns"),
    RunState.LOADING: ((QUEUED, STARTED), "loading the model"),
    RunState.PREPARING: ((QUEUED, STARTED, TOKENISE), "tokenising"),
    RunState.TRAINING: (RUNNING, "step 1/4 · loss 0.50"),
    RunState.ABSORBING: ((*RUNNING, ABSORBING), "step 1/4 · loss 0.50 · taking in what was saved"),
    RunState.SWAPPING: ((*RUNNING, SWAPPING), "step 1/4 · loss 0.50 · taking the new hooks"),
    RunState.STOPPING: ((*RUNNING, STOPPING, TICK), "stopping after this step (4:12 left)"),
    RunState.STUCK: ((*RUNNING, STOPPING, STUCK), "does not stop: it came to no step boundary."),
    RunState.WRITING: ((*RUNNING, WRITE), "writing the new version"),
    RunState.FAILED: ((*RUNNING, FAILED), "failed: The base is not there."),
}


@pytest.mark.parametrize("state", RunState)
def test_every_state_is_reached_and_told(state: RunState) -> None:
    story, words = WAYS[state]
    status = walk(story)
    assert status.stage is state
    assert words in headline(status)
    if status.run is not None:
        assert words in progress_message(status.run)
        assert payload(status)["run"]["state"] == state.value
    else:
        assert payload(status)["state"] == "idle", "clients know a failure by `last`"


def test_the_table_names_every_state_and_each_is_entered_and_left() -> None:
    assert set(TRANSITIONS) == set(RunState)
    for state, following in TRANSITIONS.items():
        assert following, f"{state} is never left"
        assert any(state in others for before, others in TRANSITIONS.items() if before is not state), state


@pytest.mark.parametrize(
    ("story", "state", "detail"),
    [
        ((*RUNNING, ABSORBING, ABSORBED), RunState.TRAINING, "absorbed 2 sections"),
        ((*RUNNING, ABSORBING, GOING_ON), RunState.TRAINING, ""),
        ((*RUNNING, STOPPING, GOING_ON), RunState.TRAINING, ""),
        ((QUEUED, STARTED, STOPPING, GOING_ON), RunState.LOADING, ""),
        ((QUEUED, STOPPING, GOING_ON), RunState.QUEUED, ""),
        ((QUEUED, STOPPING, STARTED, TOKENISE, TRAIN, STEP), RunState.STOPPING, ""),
        ((*RUNNING, STOPPING, ABSORBED), RunState.STOPPING, ""),
        ((*RUNNING, STOPPING, STUCK, STEP, STOPPING), RunState.STUCK, ""),
        ((*RUNNING, STOPPING, STUCK, WRITE), RunState.WRITING, ""),
        ((QUEUED, STARTED, ABSORBING), RunState.LOADING, ""),
    ],
)
def test_what_comes_out_of_what(story: tuple[events.Event, ...], state: RunState, detail: str) -> None:
    status = walk(story)
    assert status.run is not None
    assert (status.run.state, status.run.detail) == (state, detail)


@pytest.mark.parametrize(("end", "hooks"), [(SWAPPED, "hooks swapped"), (HOOKS_TOLD, "")])
def test_a_swap_ends_in_training_whether_it_was_done_or_the_file_was_broken(end: events.Event, hooks: str) -> None:
    status = walk((*RUNNING, SWAPPING))
    assert status.run is not None and status.run.state is RunState.SWAPPING
    status = walk((*RUNNING, SWAPPING, end))
    assert status.run is not None
    assert (status.run.state, status.run.hooks) == (RunState.TRAINING, hooks)


@pytest.mark.parametrize("story", [(*RUNNING, WAITING), (STARTED, WRITE), (*RUNNING, WRITE, TRAIN)])
def test_an_illegal_transition_is_an_error_in_tests(story: tuple[events.Event, ...]) -> None:
    with pytest.raises(IllegalTransitionError):
        walk(story)


def test_elsewhere_it_is_a_line_in_the_log_and_the_newest_state_is_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(states, "STRICT", False)
    with caplog.at_level(logging.ERROR):
        assert walk((*RUNNING, WRITE, TRAIN)).stage is RunState.TRAINING
    assert "Phase led from writing to training" in caplog.text


def test_an_event_of_another_run_changes_nothing() -> None:
    status = walk(RUNNING)
    assert after(status, dataclasses.replace(STOPPING, run=2)) == status
