"""What messages call by an editor's names, in a terminal's: there, it can be typed."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path


def in_terminal(text: str, document: Path) -> str:
    """`text` with the command lines for *Train Now* and *Full Retrain* of `document`."""
    command = train_command(document)
    return text.replace("Full Retrain", f"`{command} --full`").replace("Train Now", f"`{command}`")


def train_command(document: Path) -> str:
    """Such as `dlm-lsp train notes.dlm`, as it works from here."""
    with suppress(ValueError, OSError):  # it lies elsewhere, or the working folder is gone
        document = document.relative_to(Path.cwd())
    return f"dlm-lsp train {shlex.quote(str(document))}"
