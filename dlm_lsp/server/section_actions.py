"""What can be done about the sections at a place: train one, rehearse what was forgotten, go back. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lsprotocol import types

from dlm_lsp.document import Range
from dlm_lsp.runs.status import DocumentStatus, SectionState, SectionStatus
from dlm_lsp.runs.telling import count
from dlm_lsp.server.commands import Command
from dlm_lsp.server.lenses import wanted
from dlm_lsp.store import version_name

_TRAINABLE = (SectionState.NEW, SectionState.CHANGED, SectionState.PARTLY)
_UNLEARNED = ("not-learned", "partly-learned")


def section_actions(
    uri: str,
    status: DocumentStatus,
    place: Range,
    diagnostics: Sequence[types.Diagnostic],
    only: Sequence[str] | None,
    *,
    trainable: bool,
) -> list[types.CodeAction]:
    """Those of the sections that `place` touches: quick fixes of what the client shows there, or source actions."""
    here = [each for each in status.sections if touches(each.range, place)]
    found = [*_train(uri, here, diagnostics), *_remember(uri, status, here, diagnostics)]
    if not trainable:
        found = [action for action in found if action.command and action.command.command != Command.TRAIN_SECTIONS]
    return [action for action in found if action.kind is not None and wanted(types.CodeActionKind(action.kind), only)]


def touches(section: Range, place: Range) -> bool:
    """Whether they have a line in common; a section ends before the line at whose first column it ends."""
    last = section.end.line - (1 if section.end.column == 0 and section.end.line > section.start.line else 0)
    return section.start.line <= place.end.line and place.start.line <= last


def _train(
    uri: str, here: Sequence[SectionStatus], diagnostics: Sequence[types.Diagnostic]
) -> Iterator[types.CodeAction]:
    chosen = [each.section_id for each in here if each.state in _TRAINABLE]
    if not chosen:
        return
    title = "Train this section" if len(chosen) == 1 else f"Train these {len(chosen)} sections"
    yield _action(Command.TRAIN_SECTIONS, title, _of(diagnostics, *_UNLEARNED), uri=uri, sections=chosen)


def _remember(
    uri: str, status: DocumentStatus, here: Sequence[SectionStatus], diagnostics: Sequence[types.Diagnostic]
) -> Iterator[types.CodeAction]:
    """All forgotten sections are rehearsed together: one at a time, each could push out the next."""
    lost = [each for section in here for each in section.forgotten]
    if not lost:
        return
    shown = _of(diagnostics, "forgotten")
    sections = [each.section_id for each in status.forgotten]
    title = f"Rehearse {'this' if len(sections) == 1 else 'these'} ({count(len(sections), 'forgotten section')})"
    yield _action(Command.TRAIN_SECTIONS, title, shown, uri=uri, sections=sections)
    known = [each.revert_to for each in lost if each.revert_to is not None]
    if known:
        name = version_name(min(known))
        yield _action(Command.REVERT, f"Revert to {name}, which still knew it", shown, uri=uri, version=name)


def _of(diagnostics: Sequence[types.Diagnostic], *codes: str) -> list[types.Diagnostic]:
    return [each for each in diagnostics if each.code in codes]


def _action(command: Command, title: str, mends: list[types.Diagnostic], **arguments: Any) -> types.CodeAction:
    return types.CodeAction(
        title=title,
        kind=types.CodeActionKind.QuickFix if mends else types.CodeActionKind.Source,
        diagnostics=mends or None,
        command=types.Command(title=title, command=command.value, arguments=[arguments]),
    )
