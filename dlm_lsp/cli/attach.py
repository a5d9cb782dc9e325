"""`dlm-lsp attach`: what the running servers of a document do, in a terminal. It only looks."""

from __future__ import annotations

import os
import sys
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from dlm_lsp.cli.ending import ending
from dlm_lsp.cli.printer import is_told_plainly, say
from dlm_lsp.cli.train import EXIT_FAILED, EXIT_OK
from dlm_lsp.cli.watching import until
from dlm_lsp.runs.following import Heard, follow
from dlm_lsp.runs.records import MAX_DOCUMENT_BYTES
from dlm_lsp.runs.snapshot import read
from dlm_lsp.runs.telling import start_message
from dlm_lsp.store import Store, dlm_home, live, read_regular


async def attach(path: Path, home: Path | None, *, raw: bool) -> int:
    """Shows events until interrupted; an exit code. `raw`: each line as it came, and no other output."""
    console, beside = Console(), Console(stderr=True)
    if not live.SUPPORTED:
        say(
            beside,
            "dlm-lsp: attaching is not possible on Windows yet; `dlm-lsp serve DOC --page` shows runs of its own",
        )
        return EXIT_FAILED
    try:
        frontmatter = read(read_regular(path, MAX_DOCUMENT_BYTES), None).frontmatter
    except OSError as error:
        say(beside, f"dlm-lsp: {path} cannot be read: {error.strerror or error}")
        return EXIT_FAILED
    if frontmatter is None:
        say(beside, f"dlm-lsp: {path.name} has no valid dlm_id in its frontmatter, so no server can be found by it")
        return EXIT_FAILED

    store = Store(dlm_home(home), frontmatter.dlm_id)

    def nobody() -> None:
        what = f"no server has {path.name} open; waiting for one"
        if not store.exists():
            what = f"{path.name} was never learned; waiting for its first run"
        say(beside, f"{what} (Ctrl-C ends)", "yellow")

    shown = Shown(console)

    async def show() -> None:
        async with aclosing(follow(store, nobody)) as heard:
            async for each in heard:
                if not raw:
                    shown.hear(each)
                elif each.told is not None:
                    print(each.text, flush=True)  # noqa: T201 - this is the output

    async with ending() as teardown:
        try:
            await until(show(), teardown.begun)
        except BrokenPipeError:  # whoever reads has seen enough
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_OK if teardown.code is None else teardown.code


class Shown:
    """One line for each thing that happens; with several servers each says which one it is about."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._servers: dict[str, int] = {}  # process ids
        self._said = ""

    def hear(self, heard: Heard) -> None:
        told = heard.told
        if told is None:
            pid = self._servers.pop(heard.source, None)
            if pid is not None:
                say(self._console, f"the server (process {pid}) has ended", "yellow")
        elif told["type"] == "state":
            self._state(heard.source, told)
        elif told["type"] == "event" and (line := event_line(told)) and line != self._said:
            self._said = line
            which = f"[{self._servers.get(heard.source, '?')}] " if len(self._servers) > 1 else ""
            say(self._console, which + line, _STYLES.get(str(told.get("event")), ""))

    def _state(self, source: str, told: dict[str, Any]) -> None:
        pid = told.get("pid")
        status = _table(told.get("status"))
        if source not in self._servers:
            self._servers[source] = pid if isinstance(pid, int) else 0
            say(self._console, f"attached to process {pid}: {Path(str(told.get('document'))).name}", "dim")
        self._said = str(status.get("message") or "")
        say(self._console, self._said)


_STYLES = {
    "finished": "green",
    "failed": "red",
    "cancelled": "yellow",
    "waiting": "yellow",
    "step": "dim",
    "phase": "dim",
}


def event_line(told: dict[str, Any]) -> str:
    """What an event says in a terminal; empty if that is nothing new."""
    kind, status, now = told.get("event"), _table(told.get("status")), _table(told.get("now"))
    message = str(status.get("message") or now.get("message") or "")
    match kind:
        case "step":
            step, total = told.get("step"), told.get("total")
            if not isinstance(step, int) or not isinstance(total, int):
                return ""
            return message if is_told_plainly(step, total) else ""
        case "phase":
            return message if told.get("fraction") is None else ""
        case "started":
            fresh, known = told.get("fresh"), told.get("known")
            return start_message(str(told.get("kind")), fresh, known or 0) if isinstance(fresh, int) else ""
        case "finished" | "skipped" | "failed" | "cancelled":
            notes = told.get("notes")
            return " · ".join([message, *(map(str, notes) if isinstance(notes, list) else ())])
        case "changed":
            return str(status.get("note") or "") or message
        case _:
            return str(told.get("detail") or message)


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
