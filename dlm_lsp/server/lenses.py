"""Code lenses and code actions: the state of a document and its sections, and what can be done. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from lsprotocol import types

from dlm_lsp.document import Document, Severity
from dlm_lsp.runs.labels import label
from dlm_lsp.runs.status import DocumentStatus, RunState, SectionState
from dlm_lsp.runs.telling import count, headline
from dlm_lsp.runs.truth import Truth
from dlm_lsp.server.commands import Command
from dlm_lsp.server.convert import Positions
from dlm_lsp.store import version_name

_RETRAIN_NEW = "Full retrain with the new adapter"
_TRAIN_AGAIN = (Command.TRAIN_NOW, "Train again")
MAX_SECTIONS = 500
REVERT_SHAPE = "dlm.revertShape"
REVERT_TITLE = "Revert the change"
_TOP = types.Range(types.Position(0, 0), types.Position(0, 0))


@dataclass(frozen=True, slots=True)
class LensContext:
    """What lenses are made of. `mode` is the setting `dlm.codeLens`."""

    uri: str
    truth: Truth
    positions: Positions
    mode: str

    @property
    def status(self) -> DocumentStatus:
        return self.truth.status


def lenses(context: LensContext) -> list[types.CodeLens]:
    """Those of every provider; none when they are switched off."""
    return [] if context.mode == "off" else [lens for provider in PROVIDERS for lens in provider(context)]


def document_lenses(context: LensContext) -> list[types.CodeLens]:
    """The state first; then what fits it: cancel while something goes on, otherwise train and retrain, if it can be."""
    uri, status, document = context.uri, context.status, context.truth.document
    entries = [(Command.SHOW_STATUS, _state(status, document))]
    if status.state is RunState.WAITING:
        entries.append((Command.UNLOCK, "Unlock"))
    if status.state is not RunState.IDLE:
        entries.append((Command.CANCEL, "Cancel"))
    elif document.trainable:
        if status.pending:
            entries.append((Command.TRAIN_NOW, "Train now"))
        entries.append((Command.FULL_RETRAIN, "Full retrain"))
    return [types.CodeLens(range=_TOP, command=_command(*entry, uri)) for entry in entries]


def section_lenses(context: LensContext) -> list[types.CodeLens]:
    """The state of each section above it, for editors without inlay hints."""
    if context.mode != "sections":
        return []
    found = []
    for _, told in islice(context.truth.sections(), MAX_SECTIONS):
        if told.state is not SectionState.EMPTY or told.reason:
            start = context.positions.position(told.range.start)
            command = _command(Command.SHOW_STATUS, label(told), context.uri)
            found.append(types.CodeLens(range=types.Range(start, start), command=command))
    return found


def shape_lenses(context: LensContext) -> list[types.CodeLens]:
    """Above the key that the adapter can't go on with: what can be done about it."""
    last = context.status.last
    if last is None or not is_reshaped(context.status):
        return []
    place = context.truth.document.key_place(tuple((last.key or "").split(".")))
    start = context.positions.position(place.key.start) if place else _TOP.start
    where = types.Range(start, start)
    revert = types.Command(title=REVERT_TITLE, command=REVERT_SHAPE, arguments=[{"uri": context.uri}])
    retrain = _command(Command.FULL_RETRAIN, _RETRAIN_NEW, context.uri)
    helps = (retrain, revert) if context.truth.document.trainable else (revert,)
    return [types.CodeLens(range=where, command=command) for command in helps]


def is_reshaped(status: DocumentStatus) -> bool:
    """Whether the last save changed what fixes the adapter's tensors, and nothing has come of it yet."""
    return status.run is None and status.last is not None and status.last.code == "shape-changed"


PROVIDERS: tuple[Callable[[LensContext], list[types.CodeLens]], ...] = (document_lenses, shape_lenses, section_lenses)


def actions(
    uri: str,
    status: DocumentStatus,
    diagnostics: Sequence[types.Diagnostic],
    only: Sequence[str] | None,
    *,
    trainable: bool,
) -> list[types.CodeAction]:
    """Full retrain if it can be, unlock for a locked store. `only` holds the kinds that the client asks for."""
    found = []
    locked = [each for each in diagnostics if each.code == "store-locked"]
    if locked and wanted(types.CodeActionKind.QuickFix, only):
        found.append(_action(Command.UNLOCK, "Remove the lock of a dead process", uri, quick_fix_of=locked))
    failed = [each for each in diagnostics if each.code == "run-failed"]
    if failed and trainable and wanted(types.CodeActionKind.QuickFix, only):
        reshaped = status.last is not None and status.last.code == "shape-changed"
        again = (Command.FULL_RETRAIN, _RETRAIN_NEW) if reshaped else _TRAIN_AGAIN
        found.append(_action(*again, uri, quick_fix_of=failed))
    if status.state is RunState.IDLE and wanted(types.CodeActionKind.Source, only):
        if trainable:
            found.append(_action(Command.FULL_RETRAIN, "Full retrain of this document", uri))
        if status.version is not None and status.version > 1:
            found.append(_action(Command.REVERT, f"Revert to the version before {version_name(status.version)}", uri))
    return found


def _state(status: DocumentStatus, document: Document) -> str:
    """The state without figures that change by the second: those are in progress and hover."""
    if status.run is None:
        errors = sum(1 for problem in document.problems if problem.severity is Severity.ERROR)
        return headline(status) + (f" · {count(errors, 'error')} to mend before it trains" if errors else "")
    if status.run.state is RunState.QUEUED:
        return "queued"
    if status.run.state is RunState.WAITING:
        return "waiting for the store's lock"
    return "full retrain" if status.run.kind == "full" else "training"


def _action(
    command: Command, title: str, uri: str, *, quick_fix_of: list[types.Diagnostic] | None = None
) -> types.CodeAction:
    return types.CodeAction(
        title=title,
        kind=types.CodeActionKind.QuickFix if quick_fix_of else types.CodeActionKind.Source,
        diagnostics=quick_fix_of,
        command=_command(command, title, uri),
    )


def _command(command: Command, title: str, uri: str) -> types.Command:
    return types.Command(title=title, command=command.value, arguments=[{"uri": uri}])


def wanted(kind: types.CodeActionKind, only: Sequence[str] | None) -> bool:
    """Kinds are hierarchical: asking for `source` includes `source.x`; asking for nothing includes all."""
    name = kind.value
    return only is None or any(name == each or name.startswith(f"{each}.") or each == "" for each in only)
