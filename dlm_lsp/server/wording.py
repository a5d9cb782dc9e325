"""How numbers, moments and holders are said. Sentences about runs are in dlm_lsp.runs.telling."""

from __future__ import annotations

from datetime import UTC, datetime

from dlm_lsp.runs.status import LockView


def moment(iso: str) -> str:
    """A stored moment (ISO 8601, UTC) without fractions of a second; as it stands when it is none."""
    try:
        return _said(datetime.fromisoformat(iso))
    except ValueError:
        return iso


def lock(held: LockView) -> str:
    """Who holds the store, and since when (seconds since the epoch)."""
    holder = f"process {held.pid} on {held.host}" if held.pid is not None else f"a process on {held.host}"
    since = f" since {_said(datetime.fromtimestamp(held.since, UTC))}" if held.since is not None else ""
    return f"locked by {holder}{since}"


def sentence(text: str) -> str:
    """`text` with a capital letter and a full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def _said(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")
