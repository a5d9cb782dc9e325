"""Starts the real server with the fake learner, as an editor would start it.

Environment: `DLM_FAKE_GATE` names the pipe that paces the learner, `DLM_FAKE_STEPS` the steps of a run;
`DLM_FAKE_NO_SYSTEM_LOCKS` makes it find itself on a file system that has none.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def learner() -> object:
    from tests.fakes import FakeLearner, Gate

    gate = os.environ.get("DLM_FAKE_GATE")
    return FakeLearner(steps=int(os.environ.get("DLM_FAKE_STEPS", "5")), gate=Gate(Path(gate)) if gate else None)


if __name__ == "__main__":
    if os.environ.get("DLM_FAKE_NO_SYSTEM_LOCKS"):
        from dlm_lsp.store import disk

        disk._try_system_lock = lambda descriptor: None  # type: ignore[assignment]
    from dlm_lsp.server import serve_stdio, serve_tcp

    if len(sys.argv) > 1:
        sys.exit(serve_tcp("127.0.0.1", int(sys.argv[1]), learner))  # type: ignore[arg-type]
    sys.exit(serve_stdio(learner))  # type: ignore[arg-type]
