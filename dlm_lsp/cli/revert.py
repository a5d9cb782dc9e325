"""`dlm-lsp revert`: an earlier version becomes current, done by the supervisor as an editor would have it done."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.training.protocol import Learner


async def revert(path: Path, version: int | None, home: Path | None) -> str:
    """Says what is current now. Raises StoreError: why nothing was done."""
    supervisor = Supervisor(learner=_never, settings=RunSettings(home=home, warm_on_open=False))
    supervisor.start(asyncio.get_running_loop())
    try:
        supervisor.looked_at(path)
        return await supervisor.revert(path, version)
    finally:
        await supervisor.shutdown()


def _never() -> Learner:
    raise AssertionError("reverting needs no learner")
