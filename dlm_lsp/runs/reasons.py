"""Why a save was made, and why some saves train nothing."""

from __future__ import annotations

from enum import StrEnum

from dlm_lsp.document import Document
from dlm_lsp.runs.settings import RunSettings

NOT_TRUSTED = "this workspace is not trusted, so nothing is trained; trust it in the editor first"


class SaveReason(StrEnum):
    """Why the editor saved: its author asked, or it did so by itself."""

    MANUAL = "manual"
    AFTER_DELAY = "after-delay"
    FOCUS_OUT = "focus-out"


def why_not(settings: RunSettings, document: Document, reason: SaveReason, *, trusted: bool) -> str:
    """Why this save trains nothing, as a sentence; empty when it does."""
    if not trusted:
        return f"saved, not trained: {NOT_TRUSTED}"
    if settings.on_save == "off":
        return "saved; training on save is off (dlm.onSave)"
    if settings.on_save == "mark":
        return "saved and marked; Train Now learns it (dlm.onSave is `mark`)"
    if reason is not SaveReason.MANUAL and not settings.train_on_auto_save:
        return "saved by auto-save and marked; Train Now learns it (dlm.trainOnAutoSave is off)"
    if not document.trainable:
        return "saved, not trained: the document has errors"
    return ""
