"""Inlay hints: a few words on what is known, at the end of each section's first line and of each question's. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lsprotocol import types

from dlm_lsp.document import Position
from dlm_lsp.runs.labels import label
from dlm_lsp.runs.status import SectionState
from dlm_lsp.runs.truth import Truth
from dlm_lsp.server.convert import Positions
from dlm_lsp.server.stories import Told, told_at

_LINE_END = 2**31 - 1  # beyond any: positions are moved to the nearest that exists


def hints(truth: Truth, positions: Positions, uri: str, first: int, last: int) -> list[types.InlayHint]:
    """The hints on the lines `first` to `last`, both included. Costs what these lines hold."""
    return [
        types.InlayHint(
            position=positions.position(Position(line, _LINE_END)),
            label=text,
            padding_left=True,
            data={"uri": uri, "line": line, "section_id": section_id},
        )
        for line, text, section_id in _marks(truth, first, last)
        if first <= line <= last
    ]


def resolved(hint: types.InlayHint, told: Told, line: int, section_id: str) -> types.InlayHint:
    """The hint with its story as a tooltip; as it was if the text has become another one."""
    for section, status in told.truth.sections(line, line):
        if status.section_id == section_id:
            text, _ = told_at(told, section, status, line)
            hint.tooltip = types.MarkupContent(types.MarkupKind.Markdown, text)
    return hint


def place_of(data: Any) -> tuple[str, int, str] | None:
    """The document, line and section that a hint of ours names; None for anything else."""
    if not isinstance(data, dict):
        return None
    uri, line, section_id = data.get("uri"), data.get("line"), data.get("section_id")
    if isinstance(uri, str) and isinstance(line, int) and isinstance(section_id, str):
        return uri, line, section_id
    return None


def _marks(truth: Truth, first: int, last: int) -> Iterator[tuple[int, str, str]]:
    for section, status in truth.sections(first, last):
        if status.state is SectionState.EMPTY and not status.reason:
            continue
        yield status.range.start.line, label(status), status.section_id
        if len(section.exchanges) < 2:
            continue
        for _, exchange, lesson in truth.exchanges(section, first, last):
            yield exchange.range.start.line, label(lesson), status.section_id
