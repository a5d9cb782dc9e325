"""`dlm-lsp status`: what has been learned, read from the document and its store without changing either."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dlm_lsp.cli.printer import Printer
from dlm_lsp.document import Document
from dlm_lsp.runs.plain import escaped
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus, SectionState
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.telling import count, headline, section_sentence
from dlm_lsp.store import version_name
from dlm_lsp.training.protocol import Learner

_STYLES = {
    SectionState.LEARNED: "green",
    SectionState.PARTLY: "yellow",
    SectionState.NEW: "cyan",
    SectionState.CHANGED: "cyan",
}


def look(path: Path, home: Path | None) -> tuple[DocumentStatus, Document | None]:
    """The same record that an editor would show. Nothing is started: no worker, no model, no lock."""
    supervisor = Supervisor(learner=_never, settings=RunSettings(home=home, warm_on_open=False))
    record = supervisor.looked_at(path)
    return record, supervisor.document(path)


def show(record: DocumentStatus, document: Document | None, console: Console) -> None:
    """A headline, the facts of the current version, a line a section, and the document's problems."""

    def say(text: str, style: str = "") -> None:
        console.print(escaped(text), style=style, markup=False, highlight=False, soft_wrap=True)

    say(f"{record.document.name}: {record.note or headline(record)}", "bold")
    say(f"base     {record.base or 'unknown'}")
    if record.version is not None:
        loss = f", loss {record.version_loss:.2f}" if record.version_loss is not None else ""
        steps = f", {count(record.version_steps, 'step')}" if record.version_steps is not None else ""
        when = record.version_at or "at an unknown time"
        say(f"version  {version_name(record.version)}, committed {when}{steps}{loss}")
    if record.store is not None:
        say(f"store    {record.store}")
    if record.removed:
        say(
            f"removed  {count(record.removed, 'lesson')} left the document; the adapter knows them until a full retrain"
        )
    table = Table(box=None, show_header=False, pad_edge=False)
    for section in record.sections:
        table.add_row(
            f"line {section.range.start.line + 1}",
            section.kind,
            Text(escaped(section_sentence(section))),
            style=_STYLES.get(section.state, "dim"),
        )
    console.print(table)
    Printer(console, record.document).problems(document)


def _never() -> Learner:
    raise AssertionError("looking at a status needs no learner")
