"""Sections of no document: files taken in through `training.sources`, and what a store has kept."""

from __future__ import annotations

from dlm_lsp.document.exchanges import parse_exchanges
from dlm_lsp.document.identity import exchange_lessons, prose_lessons, section_id
from dlm_lsp.document.model import Lesson, Section
from dlm_lsp.document.problems import ProblemList
from dlm_lsp.document.text import LineIndex, normalised, span


def sourced_section(relative_path: str, text: str) -> Section:
    """The section that stands for one sourced file.

    `relative_path` is relative to the directive's directory, with `/`. The content is the line
    `# source: PATH`, a blank line, and the file's text; `start_line` is 0 and the range covers the file
    itself. A file without text has no lesson.
    """
    body = normalised(text)
    content = f"# source: {relative_path}\n\n{body}"
    return Section(
        kind="prose",
        content=content,
        start_line=0,
        section_id=section_id("prose", content),
        end=LineIndex(text).end,
        lessons=prose_lessons(content) if body.strip() else (),
        origin=relative_path,
    )


def kept_lessons(kind: str, content: str) -> tuple[Lesson, ...]:
    """The lessons of a section of which no more than its kind and content is known; mistakes in it are passed over."""
    if kind == "prose":
        return prose_lessons(content)
    if kind == "instruction":
        return exchange_lessons(parse_exchanges("instruction", content, 0, span(0, 0, 0), ProblemList()))
    return ()
