"""`dlm-lsp serve`: what the document has taught, for other tools on this machine, until the author interrupts."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from pathlib import Path

from rich.console import Console

from dlm_lsp.cli.printer import Printer
from dlm_lsp.cli.train import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, STOP_DEADLINE, learn_saves
from dlm_lsp.cli.watching import Signature, on_interrupt, saves, signature
from dlm_lsp.document import Document
from dlm_lsp.runs.broadcast import broadcasting
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.serving import token as tokens
from dlm_lsp.serving.host import listen
from dlm_lsp.serving.service import Service
from dlm_lsp.training.choice import LEARNERS


async def serve(
    path: Path, settings: RunSettings, *, host: str, port: int, watch: bool, page: bool, token_file: Path | None
) -> int:
    """Serves until interrupted; an exit code. `watch` learns every save; without it a save is only read.

    With `page` there is a page that shows the training, here or in an editor's server.

    The first interrupt ends answers and, after the step in flight, a run. A second one leaves at once.
    """
    try:
        given = tokens.from_file(token_file) if token_file else tokens.from_environment()
        listening = listen(host, port)
    except (tokens.TokenError, OSError) as error:
        taken = f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}; try --port 0"
        Printer(Console(stderr=True), path).say(f"dlm-lsp: {taken if isinstance(error, OSError) else error}")
        return EXIT_FAILED
    token = given or tokens.fresh()
    with Printer(Console(), path) as printer, listening:
        supervisor = Supervisor(learner=LEARNERS, settings=settings)
        supervisor.subscribe(printer)
        broadcast = broadcasting(supervisor)
        supervisor.start(asyncio.get_running_loop())
        try:
            since = signature(path)
            supervisor.looked_at(path)
            streams = broadcast.streams if page else None
            service = Service(supervisor, path, settings.home, listening, token, page=streams, training=watch)
            printer.problems(supervisor.document(path))
            if page:
                printer.say(f"the page: {service.root}/#token={token}")
            for line in _banner(service, path, token if given is None else None, token_file, supervisor.document(path)):
                printer.say(line)
            await _serve(service, supervisor, path, since, printer, watch=watch)
        finally:
            await supervisor.shutdown(STOP_DEADLINE)
            await broadcast.end()
    return EXIT_OK


async def _serve(
    service: Service, supervisor: Supervisor, path: Path, since: Signature | None, printer: Printer, *, watch: bool
) -> None:
    interrupted = asyncio.Event()

    def interrupt() -> None:
        if interrupted.is_set():
            os._exit(EXIT_INTERRUPTED)
        interrupted.set()
        service.end()
        if supervisor.busy:
            printer.say("stopping after this step; Ctrl-C again leaves at once")

    on_interrupt(asyncio.get_running_loop(), interrupt)
    if watch:
        supervisor.train_now(path)
        watching = asyncio.ensure_future(learn_saves(supervisor, path, since, printer, interrupted))
    else:
        if (document := supervisor.document(path)) is not None:
            supervisor.opened(path, document.text)  # so that the first question finds the model warm
        watching = asyncio.ensure_future(_read_saves(supervisor, path, since, interrupted))
    try:
        await service.serve()
    finally:
        interrupted.set()
        await watching


async def _read_saves(supervisor: Supervisor, path: Path, since: Signature | None, stop: asyncio.Event) -> None:
    """The system prompt and the base are those of the newest save, whoever learns it."""
    async for _ in saves(path, since, stop):
        supervisor.looked_at(path)


def _banner(
    service: Service, path: Path, token: str | None, token_file: Path | None, document: Document | None
) -> list[str]:
    """Where it is served, and a line to try it with, which shows the token on no command line."""
    lines = [f"serving {path.name} on {service.url} (Ctrl-C ends)"]
    if token is not None:
        lines += ["", "try it:", f"  export {tokens.VARIABLE}={token}"]
        bearer = f'"${tokens.VARIABLE}"'
    elif token_file is not None:
        bearer = f'"$(cat {shlex.quote(str(token_file))})"'
    else:
        bearer = f'"${tokens.VARIABLE}"'
    question = {"model": service.models.name, "messages": [{"role": "user", "content": _example(document)}]}
    lines.append(
        f"  printf 'Authorization: Bearer %s' {bearer} | curl -sH @- {shlex.quote(service.url + '/chat/completions')} "
        f"-d {shlex.quote(json.dumps(question))}"
    )
    return [*lines, ""]


def _example(document: Document | None) -> str:
    """A question that the document answers, if there is a short one."""
    asked = (each.prompt for section in (document.sections if document else ()) for each in section.lessons)
    return next((text for text in asked if text and len(text) < 80 and text.isprintable()), "Who are you?")
