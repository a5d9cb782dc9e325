"""Starts the real server with the fake learner; its disk and its clock obey the file that `DLM_FAULTS` names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if __name__ == "__main__":
    from dlm_lsp.server import serve_stdio
    from tests.faults import install
    from tests.server.fake_server import learner

    install(Path(os.environ["DLM_FAULTS"]))
    sys.exit(serve_stdio(learner))  # type: ignore[arg-type]
