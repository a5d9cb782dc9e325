"""A learner's process as `dlm_lsp.training.child` is one, around the fake learner: it starts in no time.

Environment: `DLM_FAKE_GATE` names the pipe that paces the learner; with `DLM_FAKE_START` = "held" the process never
comes to its first word, and with "noisy" it writes nonsense where its reports belong.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dlm_lsp.training.protocol import Control, Learned, LearnPlan
from tests.fakes import FakeLearner, Gate

COMMAND = [sys.executable, str(Path(__file__).resolve())]

# A lesson that contains one of these words makes the run do what it says, after its first step.
FREEZE = "FREEZE"  # native code that keeps the interpreter for itself
DEADLOCK = "DEADLOCK"  # waits for ever, and lets others run
LEAVE = "LEAVE"  # ends the process as if all were well


class Fragile(FakeLearner):
    def learn(self, plan: LearnPlan, control: Control) -> Learned:
        said = " ".join(lesson.answer for lesson in plan.fresh)
        if any(word in said for word in (FREEZE, DEADLOCK, LEAVE)):
            control.step(1, 9, loss=3.0, learning_rate=2e-3, tokens=16)
            end_badly(said)
        return super().learn(plan, control)


def end_badly(how: str) -> NoReturn:
    if FREEZE in how:
        ctypes.PyDLL(None).sleep(1000)
    elif LEAVE in how:
        os._exit(0)
    threading.Event().wait()
    raise AssertionError("for ever is over")


def create() -> FakeLearner:
    gate = os.environ.get("DLM_FAKE_GATE")
    return Fragile(gate=Gate(Path(gate)) if gate else None)


if __name__ == "__main__":
    start = os.environ.get("DLM_FAKE_START", "")
    if start == "held":
        threading.Event().wait()
    if start == "noisy":
        os.write(1, b"Loading checkpoint shards: 100%\n")
    from dlm_lsp.training.child import main

    main(create)
