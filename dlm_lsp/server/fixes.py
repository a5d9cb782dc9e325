"""Code actions that change the text: what mends a problem, and what an author may want of the frontmatter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lsprotocol import types
from ulid import ULID

from dlm_lsp.document import SCHEMA_VERSION, Document, Fix, Position, Problem, Range
from dlm_lsp.document.mending import mendings
from dlm_lsp.document.text import line_end
from dlm_lsp.document.upgrade import declaration, migration
from dlm_lsp.document.yaml_edit import Edit
from dlm_lsp.server.convert import Positions
from dlm_lsp.server.lenses import wanted

_Change = tuple[str, tuple[Edit, ...]]  # title and edits


def fixes(
    document: Document, uri: str, positions: Positions, place: Range, context: types.CodeActionContext
) -> list[types.CodeAction]:
    """What mends the problems that touch `place`, and rewrites what stands there. The only fix of a problem is
    preferred.
    """
    made = _Actions(uri, positions, context)
    upgrade = _upgrade(document, positions, place)
    if wanted(types.CodeActionKind.QuickFix, context.only):
        for problem in document.problems:
            if problem.range.start <= place.end and place.start <= problem.range.end:
                made.mend(problem, list(_mends(document, problem, upgrade, positions)))
        if found := declaration(positions.text, document, place.start.line):
            made.add(f"Declare the adapter `{found[0]}`", (found[1],), types.CodeActionKind.QuickFix)
    if upgrade is not None and wanted(types.CodeActionKind.RefactorRewrite, context.only):
        made.add(*upgrade, types.CodeActionKind.RefactorRewrite)
    return made.found


def problem_fixes(
    problems: Sequence[Problem], uri: str, positions: Positions, place: Range, context: types.CodeActionContext
) -> list[types.CodeAction]:
    """The fixes that those of `problems` bring along that touch `place`."""
    made = _Actions(uri, positions, context)
    for problem in problems if wanted(types.CodeActionKind.QuickFix, context.only) else ():
        if problem.range.start <= place.end and place.start <= problem.range.end:
            made.mend(problem, [(fix.title, (Edit(fix.range, fix.text),)) for fix in problem.fixes])
    return made.found


class _Actions:
    def __init__(self, uri: str, positions: Positions, context: types.CodeActionContext) -> None:
        self._uri = uri
        self._positions = positions
        self._context = context
        self.found: list[types.CodeAction] = []

    def mend(self, problem: Problem, changes: Sequence[_Change]) -> None:
        told = self._told(problem)
        for title, edits in changes:
            self.add(title, edits, types.CodeActionKind.QuickFix, told, preferred=len(changes) == 1)

    def add(
        self,
        title: str,
        edits: Sequence[Edit],
        kind: types.CodeActionKind,
        told: list[types.Diagnostic] | None = None,
        *,
        preferred: bool | None = None,
    ) -> None:
        changes = [types.TextEdit(self._positions.range(edit.range), edit.text) for edit in edits]
        self.found.append(
            types.CodeAction(
                title=title,
                kind=kind,
                diagnostics=told,
                is_preferred=preferred,
                edit=types.WorkspaceEdit(changes={self._uri: changes}),
            )
        )

    def _told(self, problem: Problem) -> list[types.Diagnostic]:
        """The client's own diagnostics that are this problem, by which it ties the action to them."""
        place = self._positions.range(problem.range)
        return [each for each in self._context.diagnostics if each.code == problem.code and each.range == place]


def _mends(
    document: Document, problem: Problem, upgrade: _Change | None, positions: Positions
) -> Iterator[tuple[str, tuple[Edit, ...]]]:
    end = line_end(positions.text)
    for mending in mendings(document, problem):
        yield mending.title, mending.edits
    for fix in (*problem.fixes, *_new_id(document, problem), *_beginning(document, problem)):
        yield fix.title, (Edit(fix.range, fix.text.replace("\n", end)),)
    if upgrade is not None and problem.code == "ignored-key":
        yield upgrade


def _upgrade(document: Document, positions: Positions, place: Range) -> _Change | None:
    """The newest schema version for a document that says an older one, or none."""
    head = document.frontmatter_range
    if head is None or not head.start <= place.start <= head.end:
        return None
    edits = migration(positions.text, document)
    written = ("dlm_version",) in document.keys
    title = f"Migrate to schema version {SCHEMA_VERSION}" if written else f"Write `dlm_version: {SCHEMA_VERSION}`"
    return (title, edits) if edits else None


def _new_id(document: Document, problem: Problem) -> Iterator[Fix]:
    """A document without an id gets one, different at each asking: that is why it is no fix of the parser's."""
    if problem.code == "missing-key" and "dlm_id" in problem.message and ("dlm_id",) not in document.keys:
        below = Position(problem.range.end.line + 1, 0)
        yield Fix("Give this document an id of its own", Range(below, below), f"dlm_id: {ULID()}\n")


def _beginning(document: Document, problem: Problem) -> Iterator[Fix]:
    """A text without frontmatter gets one: so a document can begin as an empty file."""
    if problem.code == "frontmatter-missing" and not problem.fixes and not document.keys:
        start = Range(problem.range.start, problem.range.start)
        yield Fix(
            "Begin with a frontmatter",
            start,
            f"---\ndlm_id: {ULID()}\ndlm_version: {SCHEMA_VERSION}\nbase_model: builtin:tiny\n---\n\n",
        )
