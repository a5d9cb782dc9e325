"""Every place that a document names."""

from __future__ import annotations

from collections.abc import Iterator

from dlm_lsp.document import Document, Range


def places(document: Document) -> Iterator[Range]:
    """Those of its problems and what belongs to them, of its sections and exchanges, and of its frontmatter's keys."""
    for problem in document.problems:
        yield problem.range
        yield from (related.range for related in problem.related if related.path is None)
        yield from (fix.range for fix in problem.fixes)
    for section in document.sections:
        yield section.range
        yield from (exchange.range for exchange in section.exchanges)
    for place in document.keys.values():
        yield from (place.key, place.value)
    if document.frontmatter_range:
        yield document.frontmatter_range
