"""The commands of `dlm-lsp`: each parses its arguments, delegates, and turns the outcome into an exit code."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from dlm_lsp import __version__
from dlm_lsp.runs.plain import escaped, log_to_stderr

app = typer.Typer(
    help="A language server that retrains a .dlm document's LoRA adapter on every save. Without a command it serves an "
    "editor, on standard input and output.\n\nTo begin: dlm-lsp init notes.dlm, then dlm-lsp train notes.dlm --watch, "
    "then dlm-lsp prompt notes.dlm.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DocumentArgument = Annotated[Path, typer.Argument(metavar="DOC", help="The .dlm document.")]
HomeOption = Annotated[Path | None, typer.Option("--home", help="Where stores live; default: $DLM_HOME, then ~/.dlm.")]
LearnerOption = Annotated[
    Literal["thread", "process"],
    typer.Option("--learner", help="Learn in this process, or in one of its own whose crash is survived."),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log more to standard error.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dlm-lsp {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    stdio: Annotated[bool, typer.Option("--stdio", help="Serve on standard input and output.")] = False,
    tcp: Annotated[
        str | None,
        typer.Option("--tcp", metavar="[HOST:]PORT", help="Serve one client on a loopback socket, for debugging."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Without a command: the language server, on standard input and output."""
    if context.invoked_subcommand is not None:
        return
    from dlm_lsp.server import serve_stdio, serve_tcp

    if tcp is None:
        raise typer.Exit(serve_stdio())
    raise typer.Exit(serve_tcp(*_loopback(tcp)))


@app.command()
def init(
    document: Annotated[Path | None, typer.Argument(metavar="DOC", help="The .dlm document to be written.")] = None,
    base: Annotated[
        str, typer.Option("--base", help="The base model: a registry key, hf:org/name, or a directory.")
    ] = "builtin:tiny",
    template: Annotated[
        str | None, typer.Option("--template", metavar="NAME", help="A starter document to begin with.")
    ] = None,
    text: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="A text of yours to begin with, such as notes.md.")
    ] = None,
    list_templates: Annotated[bool, typer.Option("--list-templates", help="Show the starter documents.")] = False,
) -> None:
    """Write a new document with an id of its own and a first exchange to fill in."""
    from dlm_lsp.cli.init import InitError, around_text, listed, named, starter, write
    from dlm_lsp.cli.printer import Printer
    from dlm_lsp.document import parse
    from dlm_lsp.runs.templates import new_document
    from dlm_lsp.training.bases import check_reference

    if list_templates:
        typer.echo(listed())
        raise typer.Exit
    if document is None:
        raise typer.BadParameter("name the document to be written, or --list-templates", param_hint="DOC")
    if document.suffix != ".dlm":
        _fail(f"editors know a document by its name: call it {document.with_suffix('.dlm')}")
    if text is not None and template is not None:
        raise typer.BadParameter("a document begins with a text or a template, not both", param_hint="--from")
    chosen = named(template) if template is not None else None
    if template is not None and chosen is None:
        _fail(f"there is no starter document {template}; `dlm-lsp init --list-templates` shows them")
    if (wrong := check_reference(base, document.parent)) is not None:
        _fail(str(wrong))
    try:
        if text is not None:
            written = around_text(text, base)
        else:
            written = new_document(chosen, base) if chosen is not None else starter(document.stem, base)
        write(document, written)
    except InitError as error:
        _fail(str(error))
    typer.echo(escaped(f"wrote {document}; teach it with: dlm-lsp train {document} --watch"))
    Printer(Console(), document).problems(parse(written))


@app.command()
def train(
    document: DocumentArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and train again on every save.")] = False,
    watch_max_steps: Annotated[int, typer.Option(min=1, help="The most optimizer steps of one cycle.")] = 100,
    watch_debounce_ms: Annotated[
        int, typer.Option(min=0, help="How long a save must be quiet before its cycle begins.")
    ] = 400,
    continue_when_idle: Annotated[
        bool, typer.Option("--continue-when-idle", help="Go on with what the cap of steps has left, between saves.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Start over from the base model, over the whole document.")
    ] = False,
    repl: Annotated[
        bool, typer.Option("--repl", help="Ask the adapter at a prompt while saves train it; watches, too.")
    ] = False,
    hooks: Annotated[
        bool, typer.Option("--hooks", help="Run the code in the hooks file beside the document, if there is one.")
    ] = False,
    learner: LearnerOption = "thread",
    home: HomeOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Learn what the document says and its adapter does not know yet."""
    from dlm_lsp.cli.train import train as run
    from dlm_lsp.runs.settings import RunSettings

    _log(verbose=verbose)
    settings = RunSettings(
        max_steps=watch_max_steps,
        debounce_ms=watch_debounce_ms,
        continue_when_idle=continue_when_idle,
        home=home,
        train_on_auto_save=True,
        warm_on_open=False,
        learner=learner,
        hooks=hooks,
    )
    raise typer.Exit(asyncio.run(run(_existing(document), settings, watch=watch or repl, full=full, repl=repl)))


@app.command()
def prompt(
    document: DocumentArgument,
    question: Annotated[
        str | None, typer.Argument(metavar="[QUESTION]", help="Without it, questions are read line by line.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer, in tokens.")] = 256,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 always gives the likeliest answer.")] = 0.0,
    version: Annotated[
        str | None, typer.Option(help="Which version answers, such as 3 or v0003; default: the current one.")
    ] = None,
    learner: LearnerOption = "thread",
    home: HomeOption = None,
) -> None:
    """Ask the adapter that the document has taught."""
    from dlm_lsp.cli.prompt import prompt as run
    from dlm_lsp.runs.settings import RunSettings

    _log()
    settings = RunSettings(home=home, warm_on_open=False, learner=learner)
    asking = run(
        _existing(document),
        question,
        settings,
        version=_version(version, "--version"),
        max_tokens=max_tokens,
        temperature=temperature,
    )
    raise typer.Exit(asyncio.run(asking))


@app.command()
def status(
    document: DocumentArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Also what each version did to a section, and its exchanges.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Say what has been learned, section by section. Reads only."""
    from dlm_lsp.cli.status import look, show

    _log()
    found = look(_existing(document), home)
    if as_json:
        typer.echo(json.dumps(found.as_json(history=history), indent=2))
    else:
        show(found, Console(), history=history)


@app.command()
def answers(
    document: DocumentArgument,
    version: Annotated[
        str | None, typer.Option("--version", help="Which version, such as 3 or v0003; default: the current one.")
    ] = None,
    learner: LearnerOption = "thread",
    home: HomeOption = None,
) -> None:
    """Say what was answered before and after a version, to the questions that it was the first to learn."""
    from dlm_lsp.cli.answers import answers as run
    from dlm_lsp.runs.settings import RunSettings

    _log()
    settings = RunSettings(home=home, warm_on_open=False, learner=learner)
    raise typer.Exit(asyncio.run(run(_existing(document), _version(version, "--version"), settings)))


@app.command()
def revert(
    document: DocumentArgument,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="Such as 3 or v0003; default: the one before.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Make an earlier version current again. Nothing is removed; a later one can be chosen again."""
    from dlm_lsp.cli.revert import revert as run
    from dlm_lsp.store import StoreError

    _log()
    number = _version(version, "VERSION")
    try:
        typer.echo(asyncio.run(run(_existing(document), number, home)))
    except StoreError as error:
        _fail(str(error))


@app.command("serve")
def serve_document(
    document: DocumentArgument,
    host: Annotated[str, typer.Option("--host", help="A loopback address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any free port.")] = 8356,
    watch: Annotated[bool, typer.Option("--watch", help="Train on every save meanwhile.")] = False,
    page: Annotated[bool, typer.Option("--page", help="Show the training in a browser, live; prints the URL.")] = False,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="Keep the token there, made at the first start; without it $DLM_TOKEN, or a new one at each start.",
        ),
    ] = None,
    learner: LearnerOption = "thread",
    home: HomeOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Let other tools on this machine ask it, as OpenAI's chat API has it; with --page, show the training live."""
    from dlm_lsp.runs.settings import RunSettings

    _log(verbose=verbose)
    _refuse_outside(host, "--host")
    path = _existing(document)
    from dlm_lsp.cli.serve import serve as run

    settings = RunSettings(home=home, train_on_auto_save=True, learner=learner)
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    serving = run(path, settings, host=host, port=port, watch=watch, page=page, token_file=token_file)
    raise typer.Exit(asyncio.run(serving))


@app.command()
def attach(
    document: DocumentArgument,
    raw: Annotated[bool, typer.Option("--json", help="Print each event as it comes: one JSON object a line.")] = False,
    home: HomeOption = None,
) -> None:
    """Watch what the running servers of the document do, live; it only looks."""
    from dlm_lsp.cli.attach import attach as run

    _log()
    raise typer.Exit(asyncio.run(run(_existing(document), home, raw=raw)))


@app.command()
def doctor(home: HomeOption = None) -> None:
    """Check what training needs: versions, device, store, cache."""
    from dlm_lsp.cli.doctor import examine

    raise typer.Exit(examine(home, Console()))


def _loopback(address: str) -> tuple[str, int]:
    """Host and port of `[HOST:]PORT`. Whoever connects commands the server, so only this machine may."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not (port.isascii() and port.isdecimal() and int(port) < 65536):
        raise typer.BadParameter("give [HOST:]PORT, such as 2087 or 127.0.0.1:2087", param_hint="--tcp")
    _refuse_outside(host, "--tcp")
    return host, int(port)


def _refuse_outside(host: str, option: str) -> None:
    try:
        inside = host == "localhost" or ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise typer.BadParameter(
            f"{host} is no loopback address; use 127.0.0.1 and, from another machine, a tunnel", param_hint=option
        )


def _version(named: str | None, where: str) -> int | None:
    """The number of a version as somebody names it on the command line, at `where`."""
    from dlm_lsp.runs.versions import named_version

    number = None if named is None else named_version(named)
    if named is not None and number is None:
        raise typer.BadParameter(f"{named!r} names no version: give 3 or v0003", param_hint=where)
    return number


def _existing(document: Path) -> Path:
    """The document's canonical path, which is its identity everywhere else."""
    if document.is_dir():
        _fail(f"{document} is a directory; name the document in it")
    if not document.is_file():
        _fail(f"{document} is not a file; `dlm-lsp init {document}` makes a new document")
    return document.resolve()


def _fail(message: str) -> None:
    typer.echo(f"dlm-lsp: {escaped(message)}", err=True)
    raise typer.Exit(1)


def _log(*, verbose: bool = False) -> None:
    log_to_stderr(logging.INFO if verbose else logging.ERROR)
