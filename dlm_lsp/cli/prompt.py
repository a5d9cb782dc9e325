"""`dlm-lsp prompt`: one question, or a line at a time, to what the document has taught."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console

from dlm_lsp.cli.ending import ending
from dlm_lsp.cli.lines import lines
from dlm_lsp.cli.printer import say
from dlm_lsp.cli.watching import until
from dlm_lsp.cli.wording import in_terminal
from dlm_lsp.runs.plain import escaped
from dlm_lsp.runs.questions import Answer, AskRefused
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.store import StoreError
from dlm_lsp.training.choice import LEARNERS
from dlm_lsp.training.protocol import LearnerError

# How long the token in flight may take at the end, in seconds.
_STOP_DEADLINE = 10.0
# How often what is waited for is looked at, in seconds.
_LOOK = 1.0


async def prompt(
    path: Path,
    question: str | None,
    settings: RunSettings,
    *,
    version: int | None = None,
    max_tokens: int = 256,
    temperature: float = 0.0,
) -> int:
    """Prints answers to standard output and everything else to standard error; an exit code."""
    console = Console(stderr=True)
    supervisor = Supervisor(learner=LEARNERS, settings=settings)

    async def ask(asked: str) -> None:
        answer = supervisor.ask(path, asked, version=version, max_new_tokens=max_tokens, temperature=temperature)
        await _print(answer, console)

    async with ending() as teardown:
        supervisor.ends_with(teardown, _STOP_DEADLINE)
        supervisor.start(asyncio.get_running_loop())
        if not _may_answer(supervisor, path, version, console):
            return 1
        try:
            await until(ask(question) if question is not None else _talk(ask, console), teardown.begun)
        except (AskRefused, LearnerError, StoreError) as error:
            if teardown.code is None:
                say(console, in_terminal(str(error), path), "red")
                return 1
    return teardown.code or 0


async def _talk(ask: Callable[[str], Coroutine[Any, Any, None]], console: Console) -> None:
    """A question a line, until the end of the input."""
    mark = sys.stdin.isatty()
    if mark:
        console.print("? ", end="", style="bold")
    async for line in lines():
        if text := line.strip():
            await ask(text)
        if mark:
            console.print("? ", end="", style="bold")


def _may_answer(supervisor: Supervisor, path: Path, version: int | None, console: Console) -> bool:
    """Whether there is a document to ask; says why not, or who answers if that is nobody who has learned."""
    status = supervisor.looked_at(path)
    document = supervisor.document(path)
    if document is None or document.frontmatter is None:
        console.print(f"{escaped(path.name)} has errors in its frontmatter; `dlm-lsp status` names them", markup=False)
        return False
    if status.version is None and version is None:
        console.print("nothing is learned yet: the bare base model answers", style="dim")
    return True


async def _print(answer: Answer, console: Console) -> None:
    downloads = asyncio.create_task(_say_downloads(answer, console))
    try:
        async for piece in answer:
            sys.stdout.write(_shown(piece))
            sys.stdout.flush()
    finally:
        downloads.cancel()
    sys.stdout.write("\n")


async def _say_downloads(answer: Answer, console: Console) -> None:
    """Says on a terminal what is being waited for before the first word, if it may take long."""
    said = ""
    while True:
        if answer.waits_for != said and "download" in answer.waits_for:
            said = answer.waits_for
            console.print(escaped(said), style="dim", markup=False)
        await asyncio.sleep(_LOOK)


def _shown(piece: str) -> str:
    """A piece of the answer; a terminal gets no control characters, which a document may have taught."""
    return escaped(piece, keep="\n\t") if sys.stdout.isatty() else piece
