"""A new document: its own id, a base, and a first exchange to fill in."""

from __future__ import annotations

import json

import yaml
from ulid import ULID

from dlm_lsp.document.schema import SCHEMA_VERSION
from dlm_lsp.runs.templates import Template, templates


def starter(title: str, base: str) -> str:
    """The text of a new document."""
    return f"""---
dlm_id: {ULID()}
dlm_version: {SCHEMA_VERSION}
base_model: {_scalar(base)}
---

# {title}

Write what the model should know as prose, or teach it exact answers:

::instruction::
### Q
What is this document called?
### A
It is called {title}.
"""


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


def _scalar(text: str) -> str:
    """As a plain YAML scalar where that reads back as the same text, double-quoted elsewhere."""
    try:
        if yaml.safe_load(f"key: {text}") == {"key": text}:
            return text
    except yaml.YAMLError:
        pass
    return json.dumps(text, ensure_ascii=False)
