"""How each event changes the status record: pure functions, so that every view tells the same story."""

from __future__ import annotations

from dataclasses import replace

from dlm_lsp.runs.events import (
    Absorbed,
    Absorbing,
    Cancelled,
    Event,
    Failed,
    Finished,
    GoingOn,
    HooksSaid,
    HooksTold,
    Phase,
    Queued,
    Skipped,
    Started,
    Step,
    Stopping,
    Stuck,
    Swapped,
    Swapping,
    Waiting,
)
from dlm_lsp.runs.states import STOPS, TRAINS, check
from dlm_lsp.runs.status import DocumentStatus, LastRun, LockView, Outcome, RunState, RunView
from dlm_lsp.runs.telling import count
from dlm_lsp.store import version_name
from dlm_lsp.training.protocol import PhaseName, RunKind

_PHASE_STATES: dict[PhaseName, RunState] = {
    "import": RunState.LOADING,
    "download": RunState.LOADING,
    "load": RunState.LOADING,
    "tokenise": RunState.PREPARING,
    "train": RunState.TRAINING,
    "write": RunState.WRITING,
}
# Where each phase stands in the whole, in percent: (at its begin, at its end).
_PHASE_SPANS: dict[PhaseName, tuple[int, int]] = {
    "import": (1, 5),
    "download": (2, 8),
    "load": (5, 10),
    "tokenise": (10, 12),
    "train": (12, 96),
    "write": (96, 99),
}

HOOKS_SWAPPED = "hooks swapped"


def after(status: DocumentStatus, event: Event) -> DocumentStatus:
    """The record after `event`. Sections and version are refreshed by the owner of the record, not here."""
    now = _after(status, event)
    check(status.stage, now.stage, type(event).__name__)
    return now


def _after(status: DocumentStatus, event: Event) -> DocumentStatus:
    run = status.run if status.run is not None and status.run.run == event.run else None
    match event:
        case Queued():
            state = RunState.RESTARTING if event.restarts else RunState.QUEUED
            queued = RunView(event.run, event.kind, state, detail=event.detail, purpose=event.purpose)
            return replace(status, run=queued, note="")
        case Waiting():
            lock = LockView(pid=event.pid, host=event.host, since=event.since, detail=event.detail)
            waiting = replace(run, state=RunState.WAITING, detail=event.detail) if run else None
            return replace(status, run=waiting or status.run, lock=lock)
        case Started():
            base = run or RunView(run=event.run, kind=event.kind, state=RunState.LOADING)
            if base.state not in STOPS:
                base = replace(base, state=RunState.LOADING, detail="")
            return replace(status, lock=None, run=replace(base, started_at=event.at, fresh=event.fresh))
        case Phase() | Step() | Stopping() | Stuck() | GoingOn() | Absorbing() | Absorbed():
            return replace(status, run=_going_on(run, event)) if run else status
        case Swapping() | Swapped() | HooksSaid() | HooksTold():
            return replace(status, run=_with_hooks(run, event)) if run else status
        case Finished():
            return _ended(
                status,
                event,
                "finished",
                event.message,
                steps=event.learned.steps,
                loss=event.learned.final_loss,
                seconds=event.seconds,
                notes=event.notes,
                kind=event.kind,
                device=event.learned.device,
            )
        case Skipped():
            return _ended(status, event, "skipped", event.reason, code="no-new-content", notes=event.notes)
        case Cancelled():
            kept = f"{version_name(event.version)} stays current" if event.version else "nothing was changed"
            cost = f"; {event.detail}" if event.detail else ""
            return _ended(status, event, "cancelled", f"cancelled; {kept}{cost}", notes=event.notes)
        case Failed():
            return _ended(status, event, "failed", event.message, code=event.code, key=event.key, notes=event.notes)
        case _:
            return status


def _going_on(run: RunView, event: Event) -> RunView:
    match event:
        case Phase():
            return _in_phase(run, event)
        case Step():
            return _after_step(run, event)
        case Stopping():
            state = run.state if run.state is RunState.STUCK else RunState.STOPPING
            return replace(run, state=state, detail=event.detail, stop_seconds_left=event.seconds_left)
        case Stuck():
            return replace(run, state=RunState.STUCK, detail=event.detail, stop_seconds_left=None)
        case Absorbing():
            return replace(run, state=RunState.ABSORBING if run.state in TRAINS else run.state)
        case Absorbed():
            return replace(run, state=_trains(run), detail=_absorbed(event) if run.state not in STOPS else run.detail)
        case _:
            return replace(run, state=_taken_up(run), detail="", stop_seconds_left=None)


def _with_hooks(run: RunView, event: Swapping | Swapped | HooksSaid | HooksTold) -> RunView:
    match event:
        case Swapping():
            return replace(run, state=RunState.SWAPPING if run.state in TRAINS else run.state)
        case Swapped():
            return replace(run, state=_trains(run), hooks=HOOKS_SWAPPED)
        case HooksSaid():
            return replace(run, hooks=event.detail)
        case HooksTold():  # after what was wrong with them, the run goes on with those it had
            return replace(run, state=_trains(run) if run.state is RunState.SWAPPING else run.state)


def _trains(run: RunView) -> RunState:
    """The state after what waited for a step boundary was done there."""
    return RunState.TRAINING if run.state in TRAINS else run.state


def _taken_up(run: RunView) -> RunState:
    """What the run was doing before it should stop."""
    if run.phase is not None:
        return _PHASE_STATES[run.phase]
    return RunState.QUEUED if run.started_at is None else RunState.LOADING


def _absorbed(event: Absorbed) -> str:
    """Such as `absorbed 2 sections`; of a text that means the same, nothing is said."""
    changed = max(event.added, event.removed)
    return f"absorbed {count(changed, 'section')}" if changed else ""


def _in_phase(run: RunView, event: Phase) -> RunView:
    begin, end = _PHASE_SPANS[event.name]
    reached = begin + round((end - begin) * (event.fraction or 0.0))
    stays = run.state in STOPS or (run.state in TRAINS and event.name == "train")
    # A commit that has begun is not stopped any more.
    state = run.state if stays and event.name != "write" else _PHASE_STATES[event.name]
    return replace(
        run,
        state=state,
        phase=event.name,
        detail=run.detail if state in STOPS else event.detail,
        stop_seconds_left=run.stop_seconds_left if state in STOPS else None,
        percentage=max(run.percentage, reached),
        # The time left is told from steps alone, so the clock of the steps starts with their phase.
        started_at=event.at if event.name == "train" and run.step == 0 else run.started_at,
    )


def _after_step(run: RunView, event: Step) -> RunView:
    begin, end = _PHASE_SPANS["train"]
    total = max(event.total, event.step, 1)
    elapsed = event.at - run.started_at if run.started_at is not None else 0.0
    return replace(
        run,
        state=run.state if run.state in STOPS | TRAINS else RunState.TRAINING,
        phase="train",
        step=event.step,
        total=total,
        loss=event.loss,
        percentage=max(run.percentage, begin + (end - begin) * event.step // total),
        seconds_left=max(0.0, elapsed / event.step * (total - event.step)),
    )


def _ended(
    status: DocumentStatus,
    event: Event,
    outcome: Outcome,
    message: str,
    *,
    code: str = "",
    key: str | None = None,
    steps: int = 0,
    loss: float | None = None,
    seconds: float = 0.0,
    notes: tuple[str, ...] = (),
    kind: RunKind | None = None,
    device: str | None = None,
) -> DocumentStatus:
    run = status.run
    last = LastRun(
        run=event.run,
        kind=kind or (run.kind if run else "cycle"),
        outcome=outcome,
        message=message,
        code=code,
        key=key,
        steps=steps,
        loss=loss,
        seconds=seconds,
        at=event.at,
        notes=notes,
    )
    mine = run is not None and run.run == event.run
    return replace(status, run=None if mine else run, lock=None, last=last, device=device or status.device)
