"""How moments and sentences are said. Sentences about runs are in dlm_lsp.runs.telling."""

from __future__ import annotations

from datetime import datetime


def moment(iso: str) -> str:
    """A stored moment (ISO 8601, UTC) without fractions of a second; as it stands when it is none."""
    try:
        return datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M:%S UTC")
    except ValueError:
        return iso


def sentence(text: str) -> str:
    """`text` with a capital letter and a full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
