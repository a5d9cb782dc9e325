"""Outline, folding and selection of a document, from its one structure tree. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lsprotocol import types

from dlm_lsp.document import Range
from dlm_lsp.document.outline import Node, NodeKind
from dlm_lsp.server.convert import Positions

_SYMBOLS: dict[NodeKind, types.SymbolKind] = {
    "frontmatter": types.SymbolKind.Namespace,
    "key": types.SymbolKind.Property,
    "section": types.SymbolKind.Class,
    "exchange": types.SymbolKind.Function,
    "heading": types.SymbolKind.String,
}
_FOLDS: dict[NodeKind, types.FoldingRangeKind] = {
    "frontmatter": types.FoldingRangeKind.Region,
    "markers": types.FoldingRangeKind.Comment,
}


def symbol_kind(node: Node) -> int | None:
    """Its symbol kind's number; None for what outlines don't show."""
    kind = _SYMBOLS.get(node.kind)
    return None if kind is None else kind.value


def fold_kind(node: Node) -> str:
    """Its folding range's kind, empty for none."""
    kind = _FOLDS.get(node.kind)
    return "" if kind is None else kind.value


def symbols(nodes: Sequence[Node], positions: Positions) -> list[types.DocumentSymbol]:
    """The outline: frontmatter keys, sections, exchanges by the first words of their questions, headings."""
    return [
        types.DocumentSymbol(
            name=node.name or node.kind,
            detail=node.detail or None,
            kind=_SYMBOLS[node.kind],
            range=positions.range(node.range),
            selection_range=positions.range(node.selection),
            children=symbols(node.children, positions) or None,
        )
        for node in nodes
        if node.kind in _SYMBOLS
    ]


def flat_symbols(nodes: Sequence[Node], uri: str, positions: Positions) -> list[types.SymbolInformation]:
    """The same as a list, for clients that show no trees."""
    return [
        types.SymbolInformation(
            name=node.name or node.kind,
            kind=_SYMBOLS[node.kind],
            location=types.Location(uri, positions.range(node.range)),
            container_name=container or None,
        )
        for node, container in _walk(nodes, "")
        if node.kind in _SYMBOLS
    ]


def folds(nodes: Sequence[Node], limit: int | None) -> list[types.FoldingRange]:
    """What can be folded, by lines, so that the line that names it stays; the outer ones first if too many.

    Blank lines before the next section stay visible.
    """
    found: list[types.FoldingRange] = []
    level: Sequence[Node] = nodes
    while level:
        for node in level:
            start, end = node.range.start.line, node.last_line
            if end > start:
                found.append(types.FoldingRange(start, end, kind=_FOLDS.get(node.kind)))
        level = [child for node in level for child in node.children]
    found = found if limit is None else found[:limit]
    return sorted(found, key=lambda fold: (fold.start_line, -fold.end_line))


def selection(ranges: Sequence[Range], positions: Positions) -> types.SelectionRange:
    """A chain from the innermost range (the first) to the whole text."""
    found: types.SelectionRange | None = None
    for each in reversed(ranges):
        found = types.SelectionRange(positions.range(each), found)
    assert found is not None
    return found


def _walk(nodes: Sequence[Node], container: str) -> Iterator[tuple[Node, str]]:
    for node in nodes:
        yield node, container
        yield from _walk(node.children, node.name)
