"""What lies around a document, for the commands that train it: its hooks are told of, and watched with its sources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlm_lsp.cli.printer import Printer
from dlm_lsp.runs.clock import SystemClock
from dlm_lsp.runs.events import TERMINAL, Queued
from dlm_lsp.runs.hooks import hooks_path
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.watching import FileWatch, Watching


@contextmanager
def around(supervisor: Supervisor, path: Path, printer: Printer, *, watch: bool) -> Iterator[None]:
    """Says what is wrong with the hooks of the document at `path`; with `watch`, changes there and of sources count."""

    def told(document: Path) -> None:
        printer.listed(hooks_path(document).name, supervisor.hooks.problems(document))

    def learn(document: Path) -> None:
        printer.say("a source has changed", "dim")
        supervisor.saved(document, None)

    supervisor.hooks.told = told
    watching = Watching(supervisor, SystemClock(), learn)
    files = FileWatch(watching.told)
    if not watch:
        yield
        return
    watching.install = files.install
    watching.look(path)
    forget = supervisor.subscribe(
        lambda event, status: watching.look(path) if isinstance(event, (Queued, *TERMINAL)) else None
    )
    try:
        yield
    finally:
        forget()
        watching.stop()
        files.install(())
