"""`dlm-lsp answers`: what was answered before and after a version, to the questions that it was the first to learn."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from rich.console import Console

from dlm_lsp.cli.ending import ending
from dlm_lsp.cli.printer import say
from dlm_lsp.cli.watching import until
from dlm_lsp.cli.wording import in_terminal
from dlm_lsp.runs.answer_texts import markdown
from dlm_lsp.runs.answers import Answers, Comparison
from dlm_lsp.runs.questions import AskRefused
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.store import StoreError
from dlm_lsp.training.choice import LEARNERS
from dlm_lsp.training.protocol import LearnerError

# How long the token in flight may take at the end, in seconds.
_STOP_DEADLINE = 10.0


async def answers(path: Path, version: int | None, settings: RunSettings) -> int:
    """Prints the Markdown document to standard output, or why there is none to standard error; an exit code."""
    supervisor = Supervisor(learner=LEARNERS, settings=settings)
    found: list[Comparison] = []

    async def look() -> None:
        found.append(await Answers(supervisor).of(path, version))

    async with ending() as teardown:
        supervisor.ends_with(teardown, _STOP_DEADLINE)
        supervisor.start(asyncio.get_running_loop())
        supervisor.looked_at(path)
        try:
            await until(look(), teardown.begun)
        except (AskRefused, LearnerError, StoreError) as error:
            if teardown.code is None:
                say(Console(stderr=True), in_terminal(str(error), path), "red")
                return 1
    if not found:
        return teardown.code or 1
    sys.stdout.write(markdown(path.name, found[0]))
    return teardown.code or 0
