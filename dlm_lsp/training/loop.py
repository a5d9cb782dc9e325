"""The two kinds of run: a cycle that continues an adapter, and a full retrain over the whole document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dlm_lsp.training.batches import CycleMix, epoch
from dlm_lsp.training.judge import Judge
from dlm_lsp.training.protocol import (
    Control,
    LearnEnd,
    LearningCancelled,
    LearnPlan,
    LessonResult,
)
from dlm_lsp.training.rates import FullSchedule, cycle_rate, peak_rate, warm_up_steps
from dlm_lsp.training.rows import Row
from dlm_lsp.training.session import Session

USUAL_EPOCHS = 3  # at least so many when `num_epochs` is not written
MOST_EPOCHS = 100
MOST_STEPS = 2000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `learn` did, before it is written."""

    end: LearnEnd
    steps: int
    tokens: int
    final_loss: float | None
    rate: float
    lessons: tuple[LessonResult, ...]
    rehearsed: tuple[LessonResult, ...] = ()


def learn(session: Session, plan: LearnPlan, control: Control) -> Outcome:
    """Trains the adapter of a prepared session. Raises LearnerError or LearningCancelled."""
    run = _Run(session, plan, control)
    end = _cycle(run) if plan.kind == "cycle" else _full(run)
    return run.outcome(end)


class _Run:
    """Counts and judges what the steps of one run do."""

    def __init__(self, session: Session, plan: LearnPlan, control: Control) -> None:
        self.session = session
        self.plan = plan
        self.control = control
        self.rows = self._tokenise()
        self.judge = Judge(self.rows)
        self.peak = peak_rate(plan.session.settings, session.base.hidden_size)
        self.steps = 0
        self._tokens = 0
        self._loss: float | None = None
        self._rate = 0.0
        self._held: Counter[str] = Counter()

    @property
    def learned(self) -> bool:
        return not self.judge.pending()

    def step(self, rows: Sequence[Row], rate: float, total: int) -> None:
        """One optimizer step, told to the control; before it, a stop is honoured."""
        if self.control.stop_requested():
            raise LearningCancelled
        done = self.session.step(rows, rate)
        self.judge.add(done.measured)
        self._held.update({row.identity for row in rows})
        self.steps += 1
        self._tokens += done.tokens
        self._loss, self._rate = done.loss, rate
        self.control.step(self.steps, total, done.loss, rate, done.tokens)

    def outcome(self, end: LearnEnd) -> Outcome:
        lessons = tuple(
            self.judge.result(lesson, self._held[lesson.identity])
            for lesson in {lesson.identity: lesson for lesson in self.plan.fresh}.values()
        )
        rehearsed = self.judge.rehearsed(self._held)
        return Outcome(end, self.steps, self._tokens, self._loss, self._rate, lessons, rehearsed)

    def _tokenise(self) -> tuple[Row, ...]:
        """The rows of the fresh lessons; each lesson once, should it stand in the document twice."""
        lessons = {lesson.identity: lesson for lesson in self.plan.fresh}
        self.session.keep_rows_of(lesson.identity for lesson in (*self.plan.fresh, *self.plan.known))
        rows: list[Row] = []
        for number, lesson in enumerate(lessons.values()):
            if number % 64 == 0:
                if self.control.stop_requested():
                    raise LearningCancelled
                self.control.phase("tokenise", fraction=number / len(lessons))
            rows += self.session.rows(lesson)
        return tuple(rows)


def _cycle(run: _Run) -> LearnEnd:
    session, plan = run.session, run.plan
    known = {lesson.identity: lesson for lesson in plan.known}
    for lesson in plan.fresh:
        known.pop(lesson.identity, None)
    mix = CycleMix(
        fresh=run.rows,
        known=tuple(known.values()),
        rows_of=session.rows,
        size=session.step_rows,
        seed=plan.session.settings.seed,
    )
    total = MOST_STEPS if plan.max_steps is None else plan.max_steps
    run.control.phase("train")
    while run.steps < total:
        rows = mix.step(session.global_step, run.judge.learned)
        run.step(rows, cycle_rate(run.peak, session.moments_step), total)
        if run.learned:
            return "learned"
    return "cap"


def _full(run: _Run) -> LearnEnd:
    """With a written number of epochs exactly those; otherwise whole epochs until every lesson is learned."""
    settings = run.plan.session.settings
    per_epoch = len(epoch(run.rows, run.session.step_rows, settings.seed, 0))
    run.control.phase("train")
    if settings.num_epochs is not None:
        total = settings.num_epochs * per_epoch
        warmup = warm_up_steps(settings.warmup_ratio, total)
        schedule = FullSchedule(run.peak, settings.lr_scheduler, warmup, total)
        for _ in range(settings.num_epochs):
            _epoch(run, schedule, total)
        return "learned" if run.learned else "epochs"
    # How long it takes is not known before: warm up, keep the rate until all is learned, then let it fall
    # over one more epoch, as the scheduler says.
    warmup = warm_up_steps(settings.warmup_ratio, USUAL_EPOCHS * per_epoch)
    most = max(USUAL_EPOCHS, min(MOST_EPOCHS, MOST_STEPS // per_epoch))
    steady = FullSchedule(run.peak, "constant", warmup, most * per_epoch)
    cooling = settings.lr_scheduler != "constant"
    done = 0
    while done < most:
        while done < most - cooling:
            _epoch(run, steady, most * per_epoch)
            done += 1
            if done >= USUAL_EPOCHS - cooling and run.learned:
                break
        if cooling:
            falling = FullSchedule(run.peak, settings.lr_scheduler, 0, per_epoch)
            _epoch(run, falling, most * per_epoch, start=run.steps)
            done += 1
        if run.learned:
            return "learned"
    return "epochs"


def _epoch(run: _Run, schedule: FullSchedule, total: int, start: int = 0) -> None:
    """Each row once; the schedule's step 0 is the run's step `start`."""
    session = run.session
    settings = run.plan.session.settings
    batches = epoch(run.rows, session.step_rows, settings.seed, round(session.epoch))
    for rows in batches:
        run.step(rows, schedule.rate(run.steps - start), total)
    session.epoch = round(session.epoch) + 1.0
