"""The status record as plain JSON for clients: the shared payload, with places as the client counts them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from dlm_lsp.runs.payload import payload, plain_of
from dlm_lsp.runs.status import DocumentStatus, SectionStatus
from dlm_lsp.runs.telling import headline
from dlm_lsp.server.convert import Positions
from dlm_lsp.server.protocol import Json


def status_payload(uri: str, status: DocumentStatus, positions: Positions) -> dict[str, Any]:
    """Everything that is true of a document's training now (docs/protocol.md)."""
    sections = [section_payload(section, positions) for section in status.sections]
    return {"uri": uri, **_facts(status), "sections": sections}


def _facts(status: DocumentStatus) -> dict[str, Any]:
    """All but the sections."""
    plain = payload(replace(status, sections=()))
    plain.pop("sections")
    return {"message": headline(status), "pending": len(status.pending), **plain}


def section_payload(section: SectionStatus, positions: Positions) -> dict[str, Any]:
    """The same of one section."""
    return {**plain_of(section), "range": positions.plain(section.range)}


class StatusTexts:
    """The same payload as JSON, of which the next one takes over every section that is still what and where it was."""

    def __init__(self) -> None:
        self._sections: dict[int, tuple[SectionStatus, str]] = {}

    def of(self, uri: str, status: DocumentStatus, positions: Positions) -> Json:
        before, kept, texts = self._sections, {}, []
        for section in status.sections:
            known = before.get(id(section)) or (section, json.dumps(section_payload(section, positions)))
            kept[id(section)] = known
            texts.append(known[1])
        self._sections = kept
        frame = json.dumps({"uri": uri, **_facts(status)})
        return Json(f'{frame[:-1]}, "sections": [{",".join(texts)}]}}')


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
