"""Code actions that mend a problem by changing the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lsprotocol import types
from ulid import ULID

from dlm_lsp.document import Document, Fix, Position, Problem, Range
from dlm_lsp.server.convert import Positions
from dlm_lsp.server.lenses import wanted


def fixes(
    document: Document, uri: str, positions: Positions, place: Range, context: types.CodeActionContext
) -> list[types.CodeAction]:
    """The fixes of every problem that touches `place`; of alternatives the first is preferred."""
    if not wanted(types.CodeActionKind.QuickFix, context.only):
        return []
    found = []
    for problem in document.problems:
        if not (problem.range.start <= place.end and place.start <= problem.range.end):
            continue
        for number, fix in enumerate((*problem.fixes, *_new_id(document, problem))):
            found.append(
                types.CodeAction(
                    title=fix.title,
                    kind=types.CodeActionKind.QuickFix,
                    diagnostics=_told(problem, positions, context.diagnostics),
                    is_preferred=number == 0,
                    edit=types.WorkspaceEdit(
                        changes={uri: [types.TextEdit(positions.range(fix.range), fix.text)]},
                    ),
                )
            )
    return found


def _told(problem: Problem, positions: Positions, told: Sequence[types.Diagnostic]) -> list[types.Diagnostic]:
    """The client's own diagnostics that are this problem, by which it ties the action to them."""
    place = positions.range(problem.range)
    return [each for each in told if each.code == problem.code and each.range == place]


def _new_id(document: Document, problem: Problem) -> Iterator[Fix]:
    """A document without an id gets one, different at each asking: that is why it is no fix of the parser's."""
    if problem.code == "missing-key" and "dlm_id" in problem.message and ("dlm_id",) not in document.keys:
        below = Position(problem.range.end.line + 1, 0)
        yield Fix("Give this document an id of its own", Range(below, below), f"dlm_id: {ULID()}\n")
