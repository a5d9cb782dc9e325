"""Of another process' story it counts whether a run goes on there, not whether one waits for its turn."""

from __future__ import annotations

import pytest

from dlm_lsp.runs.states import ENDS, RunState
from dlm_lsp.serving.source import Source


@pytest.mark.parametrize("state", [each for each in RunState if each not in ENDS])
def test_a_run_that_waits_for_its_turn_or_the_store_does_not_go_on_yet(state: RunState) -> None:
    told = {"type": "state", "status": {"run": {"run": 1, "state": state.value}}}
    waits = (RunState.QUEUED, RunState.RESTARTING, RunState.WAITING)
    assert Source(told).busy is (state not in waits)
