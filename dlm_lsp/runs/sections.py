"""The truth about each section, computed from the document, the ledger and the run that is going on."""

from __future__ import annotations

from collections.abc import Collection

from dlm_lsp.document import Document, Range, Section
from dlm_lsp.document.model import Lesson
from dlm_lsp.runs.history import mean
from dlm_lsp.runs.status import Failure, Forgotten, LessonStatus, SectionState, SectionStatus
from dlm_lsp.runs.telling import count, learned_or_read
from dlm_lsp.store import Known, Ledger

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
    failure: Failure | None = None,
    versions: Collection[int] = (),
    anchors: Collection[str] | None = None,
) -> tuple[SectionStatus, ...]:
    """One status a section. `queued` and `learning` hold the lesson identities of a run that waits or goes on.

    `versions` are those on disk; `anchors` those of the whole ledger, gathered here if nobody has them.
    """
    if anchors is None:
        anchors = {entry.anchor for entry in ledger.lessons.values()}
    waiting, going_on = frozenset(queued), frozenset(learning)
    return tuple(
        _status(section, ledger, anchors, waiting, going_on, failure, versions) for section in document.sections
    )


def purpose(document: Document, ledger: Ledger, named: Collection[str]) -> str:
    """What a run does that trains only the sections `named`: rehearses them, if all of them were learned before."""
    lessons = [each for section in document.sections if section.section_id in named for each in section.lessons]
    known = all(each.identity in ledger.lessons and ledger.lessons[each.identity].learned for each in lessons)
    return f"{'rehearsing' if known else 'training'} {count(len(named), 'section')}"


def lesson_status(
    lesson: Lesson,
    ledger: Ledger,
    anchors: Collection[str],
    *,
    queued: Collection[str] = (),
    learning: Collection[str] = (),
    failure: Failure | None = None,
) -> LessonStatus:
    """The status of one lesson. `anchors` are those of the whole ledger."""
    entry, reason = ledger.lessons.get(lesson.identity), ""
    if lesson.identity in learning:
        state = SectionState.LEARNING
    elif lesson.identity in queued:
        state = SectionState.WAITING
    elif entry is not None and entry.complete and entry.learned:
        state = SectionState.LEARNED
    elif failure is not None and lesson.identity in failure.lessons:
        state, reason = SectionState.FAILED, failure.reason
    elif entry is not None:
        state = SectionState.PARTLY
        what = "The run ended before it was learned" if entry.complete else "The step cap came before it was trained"
        reason = f"{what}; Train Now continues."
    else:
        state = SectionState.CHANGED if lesson.anchor in anchors else SectionState.NEW
    if entry is None:
        return LessonStatus(lesson.identity, lesson.anchor, state, reason)
    return LessonStatus(
        identity=lesson.identity,
        anchor=lesson.anchor,
        state=state,
        reason=reason,
        version=entry.version,
        times_seen=entry.times_seen,
        loss_before=entry.loss_before,
        loss_after=entry.loss_after,
        learned_at=entry.learned_at or None,
    )


def _status(
    section: Section,
    ledger: Ledger,
    anchors: Collection[str],
    queued: frozenset[str],
    learning: frozenset[str],
    failure: Failure | None,
    versions: Collection[int],
) -> SectionStatus:
    state, reason = SectionState.EMPTY, ""
    identities = [lesson.identity for lesson in section.lessons]
    entries = [ledger.lessons[identity] for identity in identities if identity in ledger.lessons]
    incomplete = unlearned = learned = 0
    for entry in entries:
        incomplete += not entry.complete
        unlearned += not entry.learned
        learned += entry.complete and entry.learned
    if section.kind in _NOT_TRAINED:
        state, reason = SectionState.UNTRAINED, _NOT_TRAINED[section.kind]
    elif identities:
        unseen = [lesson for lesson in section.lessons if lesson.identity not in ledger.lessons]
        if learning.intersection(identities):
            state = SectionState.LEARNING
        elif queued.intersection(identities):
            state = SectionState.WAITING
        elif failure is not None and learned < len(identities) and _failed(identities, ledger, failure):
            state, reason = SectionState.FAILED, failure.reason
        elif unseen:
            known_before = any(lesson.anchor in anchors for lesson in unseen) or entries
            state = SectionState.CHANGED if known_before else SectionState.NEW
        elif incomplete or unlearned:
            state = SectionState.PARTLY
            reason = _partly(section, incomplete, unlearned)
        else:
            state = SectionState.LEARNED
    elif section.kind == "instruction" or section.content.strip():
        reason = "It has an error, so nothing of it is learned until that is mended."
    return SectionStatus(
        section_id=section.section_id,
        kind=section.kind,
        range=section.range,
        state=state,
        reason=reason,
        version=max((entry.version for entry in entries), default=None),
        times_seen=min((entry.times_seen for entry in entries), default=0),
        loss_before=mean([entry.loss_before for entry in entries]),
        loss_after=mean([entry.loss_after for entry in entries]),
        learned_at=max((entry.learned_at for entry in entries if entry.learned_at), default=None),
        lessons=len(identities),
        lessons_learned=learned,
        forgotten=_forgotten(section, ledger, versions),
    )


def _failed(identities: Collection[str], ledger: Ledger, failure: Failure) -> bool:
    """Whether the failed run was to learn some of these that are still not learned."""
    missed = failure.lessons.intersection(identities)
    return any(each not in ledger.lessons or not ledger.lessons[each].learned for each in missed)


def _forgotten(section: Section, ledger: Ledger, versions: Collection[int]) -> tuple[Forgotten, ...]:
    places = [each.range for each in section.exchanges] or [section.range]
    entries = [
        (ledger.lessons.get(lesson.identity), place) for lesson, place in zip(section.lessons, places, strict=False)
    ]
    return tuple(
        _of(known, known.forgotten_since, place, versions, exchange=bool(section.exchanges))
        for known, place in entries
        if known is not None and known.forgotten_since is not None
    )


def _of(known: Known, since: int, place: Range, versions: Collection[int], *, exchange: bool) -> Forgotten:
    sound = known.sound_in if known.sound_in in versions else None
    exact = known.exact if exchange else None  # a text was never known word for word
    return Forgotten(place, known.loss_after, known.score, exact, since, sound)


def _partly(section: Section, incomplete: int, unlearned: int) -> str:
    of = len(section.lessons)
    noun = "exchange" if section.kind == "instruction" else "text"
    if incomplete:
        unfinished = f"{incomplete} of {of} {noun}s unfinished"
        return f"The step cap came before all of it was trained ({unfinished}); Train Now continues."
    what = f"{unlearned} of {of} {noun}s" if of > 1 else f"this {noun}"
    was = "were" if unlearned > 1 else "was"
    return f"The run ended before {what} {was} {learned_or_read(section.kind)}; Train Now continues."
