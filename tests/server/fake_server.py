"""Starts the real server with the fake learner, as an editor would start it.

Environment: `DLM_FAKE_GATE` names the pipe that paces the learner, `DLM_FAKE_TONGUE` the one that paces the words of
its answers, `DLM_FAKE_STEPS` the steps of a run; `DLM_FAKE_NO_SYSTEM_LOCKS` makes it find itself on a file system
that has none.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def learner() -> object:
    from tests.fakes import FakeLearner, Gate

    gate, tongue = (
        Gate(Path(name)) if (name := os.environ.get(f"DLM_FAKE_{which}")) else None for which in ("GATE", "TONGUE")
    )
    return FakeLearner(steps=int(os.environ.get("DLM_FAKE_STEPS", "5")), gate=gate, tongue=tongue, diary=False)


def process_learner() -> object:
    """The same, in a process of its own, with little patience for one that does not stop."""
    from dlm_lsp.training.patience import Patience
    from dlm_lsp.training.process import ProcessLearner
    from tests.training.fake_child import COMMAND

    return ProcessLearner(COMMAND, Patience(stop=0.5))


if __name__ == "__main__":
    if os.environ.get("DLM_FAKE_NO_SYSTEM_LOCKS"):
        from dlm_lsp.store import disk

        disk._try_system_lock = lambda descriptor: None  # type: ignore[assignment]
    from dlm_lsp.server import serve_stdio, serve_tcp

    learners = {"thread": learner, "process": process_learner}
    if sys.argv[1:2] == ["--tcp"]:
        host, _, port = sys.argv[2].rpartition(":")
        sys.exit(serve_tcp(host, int(port), learners))  # type: ignore[arg-type]
    sys.exit(serve_stdio(learners))  # type: ignore[arg-type]
