"""A new document: its own id, a base, and a first exchange to fill in."""

from __future__ import annotations

import json

import yaml
from ulid import ULID

from dlm_lsp.document.schema import SCHEMA_VERSION


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


def _scalar(text: str) -> str:
    """As a plain YAML scalar where that reads back as the same text, double-quoted elsewhere."""
    try:
        if yaml.safe_load(f"key: {text}") == {"key": text}:
            return text
    except yaml.YAMLError:
        pass
    return json.dumps(text, ensure_ascii=False)
