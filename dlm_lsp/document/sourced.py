"""Files taken in through `training.sources`: each is a prose section of its own."""

from __future__ import annotations

from dlm_lsp.document.identity import prose_lessons, section_id
from dlm_lsp.document.model import Section
from dlm_lsp.document.text import LineIndex, normalised


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
