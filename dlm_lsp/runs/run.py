"""One run, on the worker thread: take the lock, decide, learn, commit. Tells everything as events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from dlm_lsp.document import Frontmatter
from dlm_lsp.runs import events
from dlm_lsp.runs.clock import Clock
from dlm_lsp.runs.committing import commit_of
from dlm_lsp.runs.control import RunControl, RunRequest
from dlm_lsp.runs.curves import Trace, sections_of
from dlm_lsp.runs.delta import Delta, compare, known_to, resolved_revision
from dlm_lsp.runs.effective import adapter_shape, base_request, training_settings
from dlm_lsp.runs.fingerprints import shape_of
from dlm_lsp.runs.guard import guarded
from dlm_lsp.runs.snapshot import Snapshot, take
from dlm_lsp.runs.telling import end_message
from dlm_lsp.runs.texts import Texts
from dlm_lsp.store import FailedRun, Held, Holder, JournalEntry, Ledger, Store, StoreError, Version, version_name
from dlm_lsp.training.bases import known_revision
from dlm_lsp.training.protocol import (
    Learned,
    Learner,
    LearnerError,
    LearnerLostError,
    LearningCancelled,
    LearnPlan,
    SessionRequest,
    unforeseen,
)

log = logging.getLogger(__name__)


def execute(request: RunRequest, learner: Callable[[], Learner], control: RunControl, clock: Clock) -> None:
    """Carries `request` out and tells exactly one of Waiting, Skipped, Finished, Cancelled, Failed at its end.

    Waiting means that nothing was begun: the supervisor asks again later.
    """
    notes: list[str] = []  # what was repaired is told however the run ends
    try:
        _execute(request, learner, control, clock, notes)
    except LearningCancelled as stop:
        detail = str(stop) or (control.texts.gone if control.texts else "")
        control.tell(events.Cancelled, version=_current_version(request.store), detail=detail, notes=tuple(notes))
    except LearnerLostError as error:
        log.warning("run %d of %s failed: %s", request.run, request.path, error)
        version = _current_version(request.store)
        kept = f"{version_name(version)} stays current" if version else "Nothing was changed"
        message = f"{error} {kept}; the next save starts a new one."
        control.tell(events.Failed, code=error.code, message=message, key=error.key, notes=tuple(notes))
    except (LearnerError, StoreError) as error:
        log.warning("run %d of %s failed", request.run, request.path, exc_info=True)
        control.tell(
            events.Failed, code=error.code, message=str(error), key=getattr(error, "key", None), notes=tuple(notes)
        )
    except BaseException as error:
        # Whatever it was, the author gets one sentence, the log the traceback, and the run its one end.
        log.exception("run %d of %s failed", request.run, request.path)
        told = unforeseen(error)
        control.tell(events.Failed, code=told.code, message=str(told), notes=tuple(notes))


def _execute(
    request: RunRequest, learner: Callable[[], Learner], control: RunControl, clock: Clock, notes: list[str]
) -> None:
    if control.stop_requested():
        raise LearningCancelled
    began = clock.monotonic()
    snapshot = take(request.path, request.document)
    if snapshot.frontmatter.training.sources:
        control.tell_sources(snapshot)
    _refuse_lost(request)
    ledger, delta = _compared(request, snapshot)
    reason = delta.skip_reason() if request.kind == "cycle" else None
    if reason is not None and not _to_be_repaired(request.store):
        control.tell(events.Skipped, reason=reason)
        return
    lock = request.store.try_lock()
    if isinstance(lock, Holder):
        control.tell(events.Waiting, pid=lock.pid, host=lock.host, since=lock.since, detail=lock.detail)
        return
    with lock as held:
        notes += [*held.notes, *request.store.recover(held)]
        # Another process may have learned, or recovery changed what is current, since the first look.
        if known_to(request.store) is not ledger:
            ledger, delta = _compared(request, snapshot)
        request = _reshaped(request, delta)
        reason = delta.skip_reason() if request.kind == "cycle" else None
        if reason is None:
            with _noted_ends(request, clock, delta, control):
                plan = _plan(request, snapshot, delta, ledger)
                learned, version, texts = _learn_and_commit(
                    request, snapshot, ledger, plan, held, learner, control, clock
                )
    # The end is told when the store is free again, so that whoever hears it can take the store.
    if reason is not None:
        control.tell(events.Skipped, reason=reason, notes=tuple(notes))
        return
    control.tell(
        events.Finished,
        kind=request.kind,
        version=version.number,
        learned=learned,
        seconds=clock.monotonic() - began,
        message=end_message(
            learned, version.number, texts=texts, forgotten=_forgotten(request.store, snapshot, version)
        ),
        notes=(*notes, *version.notes),
    )


def _reshaped(request: RunRequest, delta: Delta) -> RunRequest:
    """A cycle that can't continue the adapter is a full retrain, where the author has said so."""
    if request.on_shape_change == "retrain" and delta.shape_changed and request.store.current() is not None:
        return replace(request, kind="full")
    return request


def _refuse_lost(request: RunRequest) -> None:
    """A store that is gone is no reason to learn all anew unasked: where it was, nothing is written. StoreError."""
    asked = request.kind == "full" or (request.unfinished and not request.named_only)
    if request.lost is not None and not asked and not request.store.exists():
        raise StoreError(
            f"the store {request.store.root} is gone; it held {version_name(request.lost)}. "
            "Bring it back and save again, or run Train Now to begin anew.",
            "store-gone",
        )


def _to_be_repaired(store: Store) -> bool:
    """Whether a crash left something in the store, and nobody is at work there."""
    look = store.inspect()
    return bool(look.leftovers) and (look.holder is None or look.holder.state == "dead")


@contextmanager
def _noted_ends(request: RunRequest, clock: Clock, delta: Delta, control: RunControl) -> Iterator[None]:
    """Keeps in the store's journal how a run ended that committed nothing; a commit keeps its own line.

    What a failed run was to learn is kept beside it until a run does not fail.
    """
    store = request.store
    try:
        yield
    except LearningCancelled:
        store.note(JournalEntry("cancelled", clock.now(), kind=request.kind))
        with suppress(StoreError):
            store.note_failure(None)
        raise
    except Exception as error:
        code, now = getattr(error, "code", type(error).__name__), clock.now()
        absorbed = control.texts.fresh if control.texts is not None else ()
        lessons = absorbed or (*delta.fresh, *(delta.known if request.kind == "full" else ()))
        with suppress(StoreError):  # what made the run fail may make this fail as well
            store.note(JournalEntry("failed", now, kind=request.kind, detail=code))
            store.note_failure(FailedRun(now, request.kind, code, frozenset(each.identity for each in lessons)))
        raise
    with suppress(StoreError):
        store.note_failure(None)


def _compared(request: RunRequest, snapshot: Snapshot) -> tuple[Ledger, Delta]:
    """What the current version knows, and what of the snapshot it does not."""
    ledger = known_to(request.store)
    delta = compare(
        snapshot,
        ledger,
        unfinished=request.unfinished,
        named=request.named,
        named_only=request.named_only,
        revision=resolved_revision(snapshot, ledger),
    )
    if request.retrain_on_config and delta.config_changed and not delta.fresh:
        delta = replace(delta, fresh=snapshot.lessons, known=())
    return ledger, delta


def _learn_and_commit(
    request: RunRequest,
    snapshot: Snapshot,
    ledger: Ledger,
    plan: LearnPlan,
    held: Held,
    learner: Callable[[], Learner],
    control: RunControl,
    clock: Clock,
) -> tuple[Learned, Version, int]:
    """What was learned, the version that holds it, and how many of its lessons are prose."""
    control.tell(events.Started, kind=request.kind, fresh=len(plan.fresh), known=len(plan.known))
    if not plan.fresh:
        raise LearnerError("There is nothing to train: the document has no prose and no exchanges.")
    started_at = clock.now()
    control.trace = Trace(request.run, request.kind, started_at, sections_of(snapshot.sections, plan.fresh))
    request.store.note(JournalEntry("started", started_at, kind=request.kind))
    formerly = request.store.ever_learned()
    instance = learner()
    texts = control.texts = Texts(snapshot, lambda newer: _replanned(request, newer, ledger, plan))
    learned = instance.learn(plan, control)
    if control.stop_requested():
        raise LearningCancelled
    control.phase("write")
    version = request.store.commit(
        held,
        commit_of(
            texts.snapshot,
            ledger,
            learned,
            kind=request.kind,
            started_at=started_at,
            ended_at=clock.now(),
            # Another tool may have trained meanwhile, and named in the manifest what it found in the document then.
            formerly=formerly | request.store.ever_learned(),
            remembered=request.store.replay().ids(),
            keep=request.keep_versions,
            superseded=texts.superseded,
            margin=request.margin,
        ),
    )
    instance.committed(plan.session.key, str(version.path))
    control.hooks.committed(
        instance, replace(plan.session, version_dir=str(version.path)), learned, texts.snapshot.lessons
    )
    with suppress(StoreError):  # a picture; the version is committed
        request.store.keep_curve(held, control.trace.curve(ended_at=clock.now(), version=version.number))
    prose = {lesson.identity for lesson in texts.snapshot.lessons if lesson.kind == "prose"}
    return learned, version, sum(1 for lesson in learned.lessons if lesson.identity in prose)


def _plan(request: RunRequest, snapshot: Snapshot, delta: Delta, ledger: Ledger) -> LearnPlan:
    full = request.kind == "full"
    current = request.store.current()
    if not full and current is not None and delta.shape_changed:
        raise LearnerError(
            delta.shape_message(snapshot.frontmatter.base_model, version_name(current.number)),
            code="shape-changed",
            key=delta.shape_changed[0],
        )
    risks = () if full else guarded(delta.known, ledger.lessons)
    return LearnPlan(
        session=session_request(snapshot.frontmatter, snapshot.path, request.store, fresh_adapter=full),
        kind=request.kind,
        fresh=snapshot.lessons if full else delta.fresh,
        known=() if full else delta.known,
        max_steps=None if full else request.max_steps,
        guarded=risks if request.margin else (),
        risks=risks,
    )


def _replanned(request: RunRequest, snapshot: Snapshot, ledger: Ledger, plan: LearnPlan) -> LearnPlan:
    """`plan` for a newer text of the document, of which only sections differ."""
    if request.kind == "full":
        return replace(plan, fresh=snapshot.lessons)
    delta = compare(snapshot, ledger, unfinished=request.unfinished, named=request.named)
    still = {lesson.identity for lesson in delta.known}
    looked_at, risks = (tuple(each for each in order if each in still) for order in (plan.guarded, plan.risks))
    return replace(plan, fresh=delta.fresh, known=delta.known, guarded=looked_at, risks=risks)


def session_request(
    frontmatter: Frontmatter, path: Path, store: Store, *, fresh_adapter: bool = False
) -> SessionRequest:
    """The session that continues (or, with `fresh_adapter`, begins anew) what the store holds."""
    current = None if fresh_adapter else store.current()
    base = base_request(frontmatter, path, _recorded_revision(frontmatter, path, store))
    if fresh_adapter:  # on the base as it is now: a directory's files may be others than those in memory
        base = replace(base, revision=known_revision(base) or base.revision)
    return SessionRequest(
        key=frontmatter.dlm_id,
        base=base,
        shape=adapter_shape(frontmatter),
        settings=training_settings(frontmatter),
        version_dir=str(current.path) if current else None,
        system_prompt=frontmatter.system_prompt,
    )


def _recorded_revision(frontmatter: Frontmatter, path: Path, store: Store) -> str | None:
    """The commit of the base that the current version was trained on; another tool's stands in the manifest."""
    ledger = known_to(store)
    if ledger.shape:
        return ledger.base_revision if ledger.shape == shape_of(frontmatter, path) else None
    current = store.current()
    manifest = store.manifest() if current else None
    if current is None or manifest is None or manifest.base_model != frontmatter.base_model:
        return None
    run = manifest.run_of(current.number)
    return run.base_model_revision if run else None


def _forgotten(store: Store, snapshot: Snapshot, version: Version) -> int:
    """How many lessons of the document the new version has forgotten that the one before still knew."""
    record = store.record(version.number)
    lessons = record.ledger.lessons if record is not None else {}
    found = (lessons.get(lesson.identity) for lesson in snapshot.lessons)
    return sum(1 for known in found if known is not None and known.forgotten_since == version.number)


def _current_version(store: Store) -> int | None:
    try:
        current = store.current()
    except StoreError:
        return None
    return current.number if current else None
