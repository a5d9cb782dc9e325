"""`dlm-lsp serve`: what the document has taught, for other tools on this machine, until the author interrupts."""

from __future__ import annotations

import asyncio
import json
import shlex
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from dlm_lsp._teardown import Stage, Teardown
from dlm_lsp.cli.around import around
from dlm_lsp.cli.ending import ending
from dlm_lsp.cli.printer import Printer
from dlm_lsp.cli.train import EXIT_FAILED, EXIT_OK, ends_after_the_step, learn_saves
from dlm_lsp.cli.watching import saves
from dlm_lsp.document import Document
from dlm_lsp.runs.broadcast import broadcasting
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.serving import token as tokens
from dlm_lsp.serving.host import listen
from dlm_lsp.serving.service import Service
from dlm_lsp.store import Signature, signature
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
        async with ending() as teardown:
            supervisor = Supervisor(learner=LEARNERS, settings=settings)
            supervisor.subscribe(printer)
            broadcast = broadcasting(supervisor)
            supervisor.start(asyncio.get_running_loop())
            since = signature(path)
            supervisor.looked_at(path)
            streams = broadcast.streams if page else None
            service = Service(supervisor, path, settings.home, listening, token, streams=streams, training=watch)
            teardown.add(Stage.STOP, "new requests", service.end)
            ends_after_the_step(teardown, supervisor, printer)
            teardown.add(Stage.CLOSE, "the event socket", broadcast.end)
            beside = ExitStack()
            beside.enter_context(around(supervisor, path, printer, watch=watch))
            teardown.add(Stage.CLOSE, "what is watched", beside.close)
            printer.problems(supervisor.document(path))
            if page:
                printer.say(f"the page: {service.root}/#token={token}")
            for line in _banner(service, path, token if given is None else None, token_file, supervisor.document(path)):
                printer.say(line)
            await _serve(service, supervisor, path, since, printer, teardown, watch=watch)
    return EXIT_OK if teardown.code is None else teardown.code


async def _serve(
    service: Service,
    supervisor: Supervisor,
    path: Path,
    since: Signature | None,
    printer: Printer,
    teardown: Teardown,
    *,
    watch: bool,
) -> None:
    """Until the end has begun; the answers that come meanwhile are the teardown's to end."""
    if watch:
        supervisor.train_now(path)
        watching = asyncio.ensure_future(learn_saves(supervisor, path, since, printer, teardown.begun))
    else:
        if (document := supervisor.document(path)) is not None:
            supervisor.opened(path, document.text)  # so that the first question finds the model warm
        watching = asyncio.ensure_future(_read_saves(supervisor, path, since, teardown.begun))
    serving = asyncio.ensure_future(service.serve())
    teardown.add(Stage.CLOSE, "answers to reach their clients", lambda: serving)
    await asyncio.wait([serving, watching], return_when=asyncio.FIRST_COMPLETED)
    teardown.begin(EXIT_FAILED, "nothing is served any more")
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
