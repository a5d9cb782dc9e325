"""The truth about each section, computed from the document, the ledger and the run that is going on."""

from __future__ import annotations

from collections.abc import Collection

from dlm_lsp.document import Document, Section
from dlm_lsp.runs.status import SectionState, SectionStatus
from dlm_lsp.store import Ledger

_NOT_TRAINED = {
    "preference": "Preference sections are not trained on save: they need a preference objective (DPO or ORPO).",
    "image": "Image sections are not trained on save: the text base cannot see them.",
    "audio": "Audio sections are not trained on save: the text base cannot hear them.",
}


def section_statuses(
    document: Document,
    ledger: Ledger,
    *,
    queued: Collection[str] = (),
    learning: Collection[str] = (),
) -> tuple[SectionStatus, ...]:
    """One status a section. `queued` and `learning` hold the lesson identities of a run that waits or goes on."""
    anchors = {entry.anchor for entry in ledger.lessons.values()}
    waiting, going_on = frozenset(queued), frozenset(learning)
    return tuple(_status(section, ledger, anchors, waiting, going_on) for section in document.sections)


def _status(
    section: Section,
    ledger: Ledger,
    anchors: set[str],
    queued: frozenset[str],
    learning: frozenset[str],
) -> SectionStatus:
    state, reason = SectionState.EMPTY, ""
    identities = [lesson.identity for lesson in section.lessons]
    entries = [ledger.lessons[identity] for identity in identities if identity in ledger.lessons]
    if section.kind in _NOT_TRAINED:
        state, reason = SectionState.UNTRAINED, _NOT_TRAINED[section.kind]
    elif identities:
        unseen = [lesson for lesson in section.lessons if lesson.identity not in ledger.lessons]
        incomplete = sum(1 for entry in entries if not entry.complete)
        unlearned = sum(1 for entry in entries if not entry.learned)
        if learning.intersection(identities):
            state = SectionState.LEARNING
        elif queued.intersection(identities):
            state = SectionState.WAITING
        elif unseen:
            known_before = any(lesson.anchor in anchors for lesson in unseen) or entries
            state = SectionState.CHANGED if known_before else SectionState.NEW
        elif incomplete or unlearned:
            state = SectionState.PARTLY
            reason = _partly(section, incomplete, unlearned)
        else:
            state = SectionState.LEARNED
    return SectionStatus(
        section_id=section.section_id,
        kind=section.kind,
        range=section.range,
        state=state,
        reason=reason,
        version=max((entry.version for entry in entries), default=None),
        times_seen=min((entry.times_seen for entry in entries), default=0),
        loss_before=_mean([entry.loss_before for entry in entries]),
        loss_after=_mean([entry.loss_after for entry in entries]),
        learned_at=max((entry.learned_at for entry in entries if entry.learned_at), default=None),
    )


def _partly(section: Section, incomplete: int, unlearned: int) -> str:
    of = len(section.lessons)
    noun = "exchange" if section.kind == "instruction" else "text"
    if incomplete:
        unfinished = f"{incomplete} of {of} {noun}s unfinished"
        return f"The step cap came before all of it was trained ({unfinished}); Train Now continues."
    what = f"{unlearned} of {of} {noun}s" if of > 1 else f"this {noun}"
    return f"The run ended before {what} was learned; Train Now continues."


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
