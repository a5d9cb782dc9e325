"""A new document: its own id, a base, and a first exchange to fill in, or a text that is there already."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml
from ulid import ULID

from dlm_lsp.document.schema import SCHEMA_VERSION
from dlm_lsp.runs.templates import Template, templates

_FRONTMATTER = re.compile(r"---[ \t]*\n.*?^---[ \t]*(?:\n|\Z)\n*", re.DOTALL | re.MULTILINE)


class InitError(Exception):
    """Why no document was written: one sentence for its author."""


def write(path: Path, text: str) -> None:
    """Writes the new file `path`, whole or not at all. Raises InitError."""
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            try:
                file.write(text)
                file.flush()
            except OSError:
                path.unlink()
                raise
    except FileExistsError as error:
        raise InitError(f"{path} exists already; nothing was written. Choose another name") from error
    except FileNotFoundError as error:
        raise InitError(f"{path} cannot be written: there is no folder {path.parent}; make it first") from error
    except OSError as error:
        raise InitError(f"{path} cannot be written: {error.strerror or error}") from error


def starter(title: str, base: str) -> str:
    """The text of a new document."""
    return f"""{_frontmatter(base)}
# {title}

Prose teaches the model how you write. What it should answer stands as question and answer:

::instruction::
### Q
What is this document called?
### A
It is called {title}.
"""


def around_text(source: Path, base: str) -> str:
    """A new document of what stands in `source`, without the frontmatter that it may have. Raises InitError."""
    try:
        text = source.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InitError(f"{source} is not UTF-8 text; save it as such first") from error
    except OSError as error:
        raise InitError(f"{source} cannot be read: {error.strerror or error}") from error
    return f"{_frontmatter(base)}\n{_FRONTMATTER.sub('', text, count=1) if text.startswith('---') else text}"


def named(template: str) -> Template | None:
    """The starter document of this name."""
    return templates().get(template)


def listed() -> str:
    """The starter documents, one paragraph each."""
    return "\n\n".join(
        f"{each.name}: {each.title} ({', '.join(each.domain_tags)})\n"
        f"  {each.summary}\n  At its best with {each.recommended_base}; learnable with builtin:tiny, too."
        for each in templates().values()
    )


def _frontmatter(base: str) -> str:
    return f"---\ndlm_id: {ULID()}\ndlm_version: {SCHEMA_VERSION}\nbase_model: {_scalar(base)}\n---\n"


def _scalar(text: str) -> str:
    """As a plain YAML scalar where that reads back as the same text, double-quoted elsewhere."""
    try:
        if yaml.safe_load(f"key: {text}") == {"key": text}:
            return text
    except yaml.YAMLError:
        pass
    return json.dumps(text, ensure_ascii=False)
