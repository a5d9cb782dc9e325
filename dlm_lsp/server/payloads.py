"""The status record as plain JSON for clients: the shared payload, with places as the client counts them."""

from __future__ import annotations

from typing import Any

from dlm_lsp.document import Range
from dlm_lsp.runs.payload import payload
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.telling import headline
from dlm_lsp.server.convert import Positions


def status_payload(uri: str, status: DocumentStatus, positions: Positions) -> dict[str, Any]:
    """Everything that is true of a document's training now (docs/protocol.md)."""
    plain = payload(status)
    for section, told in zip(status.sections, plain["sections"], strict=True):
        told["range"] = range_payload(section.range, positions)
        for forgotten, plainly in zip(section.forgotten, told["forgotten"], strict=True):
            plainly["range"] = range_payload(forgotten.range, positions)
    return {"uri": uri, "message": headline(status), "pending": len(status.pending), **plain}


def range_payload(places: Range, positions: Positions) -> dict[str, Any]:
    """A range as the client counts it."""
    start, end = positions.position(places.start), positions.position(places.end)
    return {
        "start": {"line": start.line, "character": start.character},
        "end": {"line": end.line, "character": end.character},
    }


def progress_payload(uri: str, status: DocumentStatus) -> dict[str, Any] | None:
    """The fields that clients of other `.dlm` tools know, and the document's URI; None when nothing runs."""
    run = status.run
    if run is None:
        return None
    told: dict[str, Any] = {
        "run_id": run.run,
        "step": run.step,
        "total_steps": run.total or 0,
        "phase": run.phase or run.state.value,
        "uri": uri,
    }
    return told if run.loss is None else {**told, "loss": run.loss}
