"""From what was learned to what the store commits: the run's record, and which sections may be called trained."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from dlm_lsp.document import Section
from dlm_lsp.runs.guard import after_look, remembered
from dlm_lsp.runs.snapshot import Snapshot
from dlm_lsp.store import Commit, DlmLock, HardwareTier, Known, Ledger, path_text
from dlm_lsp.training.protocol import Learned, LessonResult, RunKind


def commit_of(
    snapshot: Snapshot,
    before: Ledger,
    learned: Learned,
    *,
    kind: RunKind,
    started_at: float,
    ended_at: float,
    formerly: Collection[str],
    remembered: Collection[str],
    keep: int,
    superseded: Collection[Section] = (),
    margin: float = 0.0,
) -> Commit:
    """What the store has to write. Moments in seconds since the epoch.

    `formerly` holds the ids of all sections that some version learned: those that left the document leave the
    replay corpus. `remembered` holds the ids that are in it now. `superseded` are sections of earlier texts that the
    run took steps on before they left: the adapter knows of them. `margin` is the forgetting guard's, 0 for none.
    """
    ledger = _ledger(snapshot, before, learned, kind, ended_at, superseded, margin)
    trained = [section for section in snapshot.sections if _is_trained(section, ledger)]
    present = {section.section_id for section in snapshot.sections}
    return Commit(
        files=learned.files,
        kind=kind,
        started_at=started_at,
        ended_at=ended_at,
        steps=learned.steps,
        seed=learned.seed,
        base_model=snapshot.frontmatter.base_model,
        base_revision=learned.base_revision,
        final_train_loss=learned.final_loss,
        pinned_versions=dict(learned.pinned_versions),
        source_path=path_text(snapshot.path),
        content_hashes=[section.section_id for section in trained],
        replay_add=[
            (section.section_id, section.kind, section.content)
            for section in trained
            if section.section_id not in remembered
        ],
        replay_remove=sorted(set(formerly).intersection(remembered) - present),
        ledger=ledger,
        dlm_lock=_dlm_lock(snapshot, learned) if kind == "full" else None,
        keep=keep,
    )


def _ledger(
    snapshot: Snapshot,
    before: Ledger,
    learned: Learned,
    kind: RunKind,
    ended_at: float,
    superseded: Collection[Section],
    margin: float,
) -> Ledger:
    """The ledger of the new version (its lessons of this run are numbered by the commit).

    A cycle keeps what the adapter knew, lessons that left the document included: it still knows them. A full
    retrain begins from nothing.
    """
    sections = (*superseded, *snapshot.sections)
    section_of = {lesson.identity: section.section_id for section in sections for lesson in section.lessons}
    lesson_of = {lesson.identity: lesson for section in sections for lesson in section.lessons}
    at = datetime.fromtimestamp(ended_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lessons = dict(before.lessons) if kind == "cycle" else {}
    for identity in section_of.keys() & lessons.keys():  # a blank line gives the section of a known lesson another id
        if lessons[identity].section_id != section_of[identity]:
            lessons[identity] = replace(lessons[identity], section_id=section_of[identity])
    if not margin:
        lessons = {identity: remembered(known) for identity, known in lessons.items()}
    for result in learned.lessons:
        if result.times_seen == 0 or result.identity not in section_of:
            continue
        lessons[result.identity] = _known(
            result, lessons.get(result.identity), lesson_of[result.identity].anchor, section_of[result.identity], at
        )
    for result in learned.rehearsed:
        before_it = lessons.get(result.identity)
        if before_it is not None and before_it.complete and before_it.learned:
            lessons[result.identity] = _rehearsed(result, before_it)
    for score in learned.scores if margin else ():
        if (known := lessons.get(score.identity)) is not None and score.identity in lesson_of:
            exchange = lesson_of[score.identity].kind == "exchange"
            lessons[score.identity] = after_look(known, score, margin, exchange=exchange)
    return Ledger(
        lessons=lessons,
        base_id=learned.base_id,
        base_revision=learned.base_revision,
        shape=snapshot.fingerprints.shape,
        config=snapshot.fingerprints.config,
        data=snapshot.fingerprints.data,
        device=learned.device,
    )


def _rehearsed(result: LessonResult, before: Known) -> Known:
    """A known lesson that was in a step beside others. How well it was known stays what it is compared with."""
    losses = [loss for loss in (before.loss_after, result.loss_after) if loss is not None]
    return replace(before, times_seen=before.times_seen + result.times_seen, loss_after=min(losses) if losses else None)


def _known(result: LessonResult, before: Known | None, anchor: str, section_id: str, at: str) -> Known:
    """What is now known of a lesson of this run. A rehearsed one stays what it was, and was seen more often.

    If the run ended before the rehearsed one was learned again, a mark of being forgotten stays.
    """
    if before is not None and before.complete and before.learned:
        seen = replace(before, section_id=section_id, times_seen=before.times_seen + result.times_seen)
        if not result.learned and before.forgotten_since is not None:
            return replace(seen, score=result.loss_after, exact=None, scored_in=0)
        return replace(
            remembered(seen),
            score=None,
            exact=None,
            scored_in=0,
            loss_after=result.loss_after if result.loss_after is not None else before.loss_after,
        )
    return Known(
        version=0,
        times_seen=result.times_seen + (before.times_seen if before else 0),
        complete=result.complete,
        learned=result.learned,
        anchor=anchor,
        section_id=section_id,
        learned_at=at,
        loss_before=before.loss_before if before and before.loss_before is not None else result.loss_before,
        loss_after=result.loss_after,
    )


def _is_trained(section: Section, ledger: Ledger) -> bool:
    """All of the section's lessons were in committed steps whole."""
    known = [ledger.lessons.get(lesson.identity) for lesson in section.lessons]
    return bool(known) and all(each is not None and each.complete for each in known)


def _dlm_lock(snapshot: Snapshot, learned: Learned) -> DlmLock | None:
    """What a full retrain ran on, for other tools; None for a base without a revision, as the format wants one."""
    if not learned.base_revision:
        return None
    tier: HardwareTier = "cpu"
    if learned.device.startswith("mps"):
        tier = "mps"
    elif learned.device.startswith("cuda"):
        tier = "cuda-sm80+" if "bf16" in learned.device else "cuda-sm<80"
    try:
        raw = snapshot.path.read_bytes()
    except OSError:
        raw = snapshot.document.text.encode()
    return DlmLock(
        dlm_sha256=hashlib.sha256(raw).hexdigest(),
        base_model_revision=learned.base_revision,
        hardware_tier=tier,
        seed=learned.seed,
        pinned_versions=dict(learned.pinned_versions),
    )
