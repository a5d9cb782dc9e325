"""`dlm-lsp status`: what has been learned, read from the document and its store without changing either."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dlm_lsp.cli import printer
from dlm_lsp.cli.wording import in_terminal
from dlm_lsp.document import Problem, Section
from dlm_lsp.runs.delta import Delta
from dlm_lsp.runs.fingerprints import changed_shape_keys, shape_of
from dlm_lsp.runs.history import Chapter, chapter_sentence
from dlm_lsp.runs.labels import label, removed_sentence
from dlm_lsp.runs.memory import Recall
from dlm_lsp.runs.payload import payload, plain
from dlm_lsp.runs.plain import escaped
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.snapshot import take
from dlm_lsp.runs.status import DocumentStatus, SectionState
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.telling import (
    CONFIG_WAITS,
    TO_BE_ANSWERED,
    count,
    headline,
    learned_or_read,
    section_sentence,
)
from dlm_lsp.runs.truth import Truth
from dlm_lsp.store import version_name
from dlm_lsp.training.protocol import Learner

_STYLES = {
    SectionState.LEARNED: "green",
    SectionState.PARTLY: "yellow",
    SectionState.FAILED: "red",
    SectionState.NEW: "cyan",
    SectionState.CHANGED: "cyan",
}
REMOVED_SHOWN = SOURCES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Look:
    """The same record that an editor would show, and what the store remembers; no truth where there is no text.

    `reshaped` says that the current version is an adapter of another shape than the text asks for; else it is empty.
    `sourced` are the sourced files by name, each with whether it is learned, partly learned or new; `left_out` says
    what is wrong with the others.
    """

    record: DocumentStatus
    truth: Truth | None = None
    recall: Recall = field(default_factory=Recall)
    reshaped: str = ""
    sourced: tuple[tuple[str, SectionState], ...] = ()
    left_out: tuple[Problem, ...] = ()

    def as_json(self, *, history: bool = False) -> dict[str, Any]:
        """All of it as one JSON object, with `history` each section's: hashes and figures, no text of the document."""
        given = payload(self.record)
        if self.truth is not None:
            given["summary"] = self.truth.summary
            given["removed_lessons"] = [plain(lesson) for lesson in self.truth.removed({})]
            for (section, _), told in zip(self.truth.sections(), given["sections"], strict=True):
                if history:
                    told["history"] = [plain(chapter) for chapter in self.history(section)]
        return given

    def history(self, section: Section) -> tuple[Chapter, ...]:
        """What happened to a section, version by version."""
        return self.truth.story(section, self.recall.chronicle) if self.truth is not None else ()


def look(path: Path, home: Path | None) -> Look:
    """Reads document and store. Nothing is started: no worker, no model, no lock."""
    supervisor = Supervisor(learner=_never, settings=RunSettings(home=home, warm_on_open=False))
    record = supervisor.looked_at(path)
    truth = supervisor.truth(path)
    if truth is None:
        return Look(record)
    return Look(record, truth, supervisor.recall_now(truth, removed=True), _reshaped(truth), *_sourced(truth))


def _reshaped(truth: Truth) -> str:
    frontmatter, shape, version = truth.document.frontmatter, truth.view.ledger.shape, truth.status.version
    if frontmatter is None or version is None or not shape:
        return ""
    keys = changed_shape_keys(shape, shape_of(frontmatter, truth.status.document))
    delta = Delta(fresh=(), known=(), removed=0, shape_changed=keys)
    return delta.shape_message(frontmatter.base_model, version_name(version)) if keys else ""


def _sourced(truth: Truth) -> tuple[tuple[tuple[str, SectionState], ...], tuple[Problem, ...]]:
    document, lessons = truth.document, truth.view.ledger.lessons
    if document.frontmatter is None or not document.frontmatter.training.sources or not document.trainable:
        return (), ()
    found = []
    snapshot = take(truth.status.document, document)
    for section in snapshot.sections:
        if section.origin is None:
            continue
        known = [lessons.get(each.identity) for each in section.lessons]
        state = SectionState.NEW
        if any(known):
            learned = all(each is not None and each.complete and each.learned for each in known)
            state = SectionState.LEARNED if learned else SectionState.PARTLY
        found.append((section.origin, state))
    return tuple(found), snapshot.source_problems


def show(found: Look, console: Console, *, history: bool = False) -> None:
    """A headline, the facts of the current version, a line a section, and the document's problems."""
    record, truth = found.record, found.truth

    def say(text: str, style: str = "") -> None:
        printer.say(console, in_terminal(text, record.document), style)

    say(f"{record.document.name}: {record.note or headline(record)}", "bold")
    say(f"base     {record.base or 'unknown'}")
    if record.version is not None:
        loss = f", loss {record.version_loss:.2f}" if record.version_loss is not None else ""
        steps = f", {count(record.version_steps, 'step')}" if record.version_steps is not None else ""
        when = record.version_at or "at an unknown time"
        say(f"version  {version_name(record.version)}, committed {when}{steps}{loss}")
    if record.store is not None:
        say(f"store    {record.store}")
    if truth is not None:
        say(f"summary  {truth.summary}")
        if record.sections:
            console.print(_table(found, truth, history=history))
        prose = [told.state for told in record.sections if told.kind == "prose"] + [state for _, state in found.sourced]
        if SectionState.LEARNED in prose:
            say(f"prose    is read, not known by heart; {TO_BE_ANSWERED}", "dim")
    if found.sourced:
        counted = Counter(state for _, state in found.sourced)
        states = ", ".join(f"{number} {_of_text(state)}" for state, number in counted.items())
        say(f"sources  {count(len(found.sourced), 'file')}: {states}")
        for name, state in found.sourced[:SOURCES_SHOWN]:
            say(f"         {name}: {_of_text(state)}", _STYLES.get(state, "dim"))
        if (more := len(found.sourced) - SOURCES_SHOWN) > 0:
            say(f"         and {count(more, 'other')}", "dim")
    if found.reshaped:
        say(f"settings {found.reshaped}", "yellow")
    if record.config_changed and record.version is not None:
        say(f"settings {CONFIG_WAITS}")
    if record.removed:
        say(
            f"removed  {count(record.removed, 'lesson')} left the document; the adapter knows them until a full retrain"
        )
    if truth is not None:
        for lesson in truth.removed(found.recall.words, REMOVED_SHOWN):
            say(f"         {removed_sentence(lesson)}", "dim")
        if (more := len(truth.left) - REMOVED_SHOWN) > 0:
            say(f"         and {count(more, 'other')}", "dim")
    printed = printer.Printer(console, record.document)
    printed.problems(truth.document if truth else None)
    printed.listed(record.document.name, found.left_out)


def _of_text(state: SectionState) -> str:
    return learned_or_read("prose") if state is SectionState.LEARNED else state


def _table(found: Look, truth: Truth, *, history: bool) -> Table:
    """A row a section; with `history`, its story and its exchanges below it."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for section, told in truth.sections():
        style = _STYLES.get(told.state, "dim")
        line = f"line {told.range.start.line + 1}"
        table.add_row(
            line, told.kind, Text(escaped(in_terminal(section_sentence(told), found.record.document))), style=style
        )
        if not history:
            continue
        for chapter in found.history(section):
            table.add_row(
                "", "", Text(escaped(chapter_sentence(chapter, told.kind, many=told.lessons > 1))), style="dim"
            )
        for number, exchange, lesson in truth.exchanges(section) if told.lessons > 1 else ():
            where, style = f"line {exchange.range.start.line + 1}", _STYLES.get(lesson.state, "dim")
            table.add_row(where, f"exchange {number}", Text(escaped(label(lesson))), style=style)
    return table


def _never() -> Learner:
    raise AssertionError("looking at a status needs no learner")
