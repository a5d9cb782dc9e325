"""Stands for a server: starts a learner's process, says which, and is in mid-run until it is killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dlm_lsp.training.process import ProcessLearner
from tests.training.fake_child import COMMAND
from tests.training.learning_helpers import Recorder, cycle, exchange, request


class Says(Recorder):
    def __init__(self, learner: ProcessLearner) -> None:
        super().__init__()
        self.learner = learner

    def step(self, *told: float) -> None:  # type: ignore[override]
        os.write(1, f"{self.learner.pid}\n".encode())


if __name__ == "__main__":
    learner = ProcessLearner(COMMAND)
    cycle(learner, request("fake:base"), [exchange("Who?", sys.argv[1])], control=Says(learner))
