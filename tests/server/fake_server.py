"""Starts the real server with the fake learner, as an editor would start it.

Environment: `DLM_FAKE_GATE` names the pipe that paces the learner, `DLM_FAKE_STEPS` the steps of a run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def learner() -> object:
    from tests.fakes import FakeLearner, Gate

    gate = os.environ.get("DLM_FAKE_GATE")
    steps = int(os.environ.get("DLM_FAKE_STEPS", "5"))
    return FakeLearner(steps=steps, gate=Gate(Path(gate)) if gate else None, diary=False)


if __name__ == "__main__":
    from dlm_lsp.server import serve_stdio, serve_tcp

    if len(sys.argv) > 1:
        sys.exit(serve_tcp("127.0.0.1", int(sys.argv[1]), learner))  # type: ignore[arg-type]
    sys.exit(serve_stdio(learner))  # type: ignore[arg-type]
