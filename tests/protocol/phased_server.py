"""The real server with a fake learner that goes from phase to phase only when its gate (`DLM_FAKE_GATE`) lets it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def learner() -> Any:
    from dlm_lsp.training.protocol import Control, Learned, LearnPlan
    from tests.fakes import FakeLearner, Gate

    gate = Gate(Path(os.environ["DLM_FAKE_GATE"]))

    class Phased(FakeLearner):
        def learn(self, plan: LearnPlan, control: Control) -> Learned:
            for phase in ("import", "load", "tokenise"):
                control.phase(phase)  # type: ignore[arg-type]
                gate.take(control)
            return super().learn(plan, control)

    return Phased(steps=5, gate=gate)


if __name__ == "__main__":
    from dlm_lsp.server import serve_stdio, serve_tcp

    if sys.argv[1:2] == ["--tcp"]:
        host, _, port = sys.argv[2].rpartition(":")
        sys.exit(serve_tcp(host, int(port), learner))
    sys.exit(serve_stdio(learner))
