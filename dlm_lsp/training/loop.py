"""The two kinds of run: a cycle that continues an adapter, and a full retrain over the whole document."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.batches import CycleMix, epoch
from dlm_lsp.training.judge import Judge, Measured
from dlm_lsp.training.protocol import (
    Control,
    LearnEnd,
    LearnerError,
    LearningCancelled,
    LearnPlan,
    LessonResult,
)
from dlm_lsp.training.rates import FullSchedule, b_ratio, cycle_rate, peak_rate, warm_up_steps
from dlm_lsp.training.rehearsal import Rehearsal
from dlm_lsp.training.rows import Row
from dlm_lsp.training.session import Session

log = logging.getLogger(__name__)

USUAL_EPOCHS = 3  # at least so many when `num_epochs` is not written
MOST_EPOCHS = 100
ENOUGH_EPOCHS = 80  # so many it may take whatever their steps: five hundred new facts need seventy
MOST_STEPS = 2000
LOOKS = 3  # at what is known, once all that is new is learned
LOOK_TOKENS = 4096  # of old rows in each look
LOOK_ROWS = 64  # new rows in it
LOOK_PART = 16  # rows between two looks at the stop flag
REPAIR_STEPS = 24  # at most, from the first look on
NEARLY = 0.25  # of a text's rows that may be pending when a full retrain's rate begins to fall
COOLING = 0.25  # as many epochs as it was steady, in which it falls
MENDING = 0.1  # of the rate, for what is found wrong after that
RISKS = 14  # lessons at risk that are rehearsed before others


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `learn` did, before it is written."""

    end: LearnEnd
    steps: int
    tokens: int
    final_loss: float | None
    rate: float
    lessons: tuple[LessonResult, ...]
    read: int  # tokens in all rows of all steps, those that are only read included
    rehearsed: tuple[LessonResult, ...] = ()


def learn(session: Session, plan: LearnPlan, control: Control, between: Callable[[], None] = lambda: None) -> Outcome:
    """Trains the adapter of a prepared session. Raises LearnerError or LearningCancelled.

    `between` is called before each step, and between other pieces of work; it leaves the session as it finds it.
    """
    run = Run(session, plan, control, between)
    end = _cycle(run) if plan.kind == "cycle" else _full(run)
    if end == "learned":
        session.settled = session.moments_step
    return run.outcome(end)


class Run:
    """Counts and judges what the steps of one run do."""

    def __init__(self, session: Session, plan: LearnPlan, control: Control, between: Callable[[], None]) -> None:
        self.session = session
        self.plan = plan
        self.control = control
        self._between = between
        self._lessons: dict[str, Lesson] = {}  # all that the run was for, in any of its texts
        self.rows = self._tokenise(told=True)
        self.judge = Judge(self.rows)
        self.peak = peak_rate(plan.session.settings, session.base.hidden_size)
        self.b_ratio = b_ratio(plan.session.settings)
        self.steps = 0
        self._tokens = 0
        self._read = 0
        self._loss: float | None = None
        self._rate = 0.0
        self._held: Counter[str] = Counter()

    @property
    def learned(self) -> bool:
        return not self.judge.pending()

    def step(self, rows: Sequence[Row], rate: float, total: int, b_ratio: float = 1.0) -> tuple[Measured, ...]:
        """One optimizer step, told to the control; before it, questions are answered and a stop is honoured.

        Returns what it measured of its rows.
        """
        self.pause()
        done = self.session.step(rows, rate, b_ratio)
        self.judge.add(done.measured)
        self._held.update({row.identity for row in rows})
        self.steps += 1
        self._tokens += done.tokens
        self._read += sum(len(row.tokens) for row in rows)
        self._loss, self._rate = done.loss, rate
        self.control.step(self.steps, total, done.loss, rate, done.tokens)
        return done.measured

    def cycle_rate(self) -> float:
        """Of the next step of a cycle: a written rate as it is."""
        written = self.plan.session.settings.learning_rate is not None
        return cycle_rate(self.peak, 0 if written else self.session.settled, self.session.moments_step)

    def revised(self) -> tuple[Row, ...] | None:
        """Takes in a newer text, if there is one, and returns the rows that are new with it.

        What was measured of the others stays, and so do the optimizer and the number of steps.
        """
        revision = self.control.revision()
        if revision is None:
            return None
        self.plan = revision.plan
        self.rows = self._tokenise()
        new = self.judge.revise(self.rows)
        revision.taken()
        return new

    def finishes(self) -> bool:
        """Whether to end here, with what there is. Raises LearningCancelled where there is nothing yet."""
        if not self.control.finish_requested():
            return False
        if self.steps == 0:
            raise LearningCancelled("its first step was not made yet")
        return True

    def outcome(self, end: LearnEnd) -> Outcome:
        """With a result for what left the text again, too, if a step held it: the adapter knows of it."""
        wanted = {lesson.identity for lesson in self.plan.fresh}
        lessons = tuple(
            self.judge.result(lesson, self._held[identity])
            for identity, lesson in self._lessons.items()
            if identity in wanted or self._held[identity]
        )
        rehearsed = self.judge.rehearsed(self._held)
        return Outcome(end, self.steps, self._tokens, self._loss, self._rate, lessons, self._read, rehearsed)

    def _tokenise(self, *, told: bool = False) -> tuple[Row, ...]:
        """The rows of the fresh lessons; each lesson once, should it stand in the document twice."""
        lessons = {lesson.identity: lesson for lesson in self.plan.fresh}
        self._lessons.update(lessons)
        self.session.keep_rows_of(lesson.identity for lesson in (*self.plan.fresh, *self.plan.known))
        rows: list[Row] = []
        for number, lesson in enumerate(lessons.values()):
            if number % 64 == 0:
                self.pause()
                if told:
                    self.control.phase("tokenise", fraction=number / len(lessons))
            rows += self.session.rows(lesson)
        return tuple(rows)

    def pause(self) -> None:
        """Between two pieces of work. Raises LearningCancelled."""
        self._between()
        if self.control.stop_requested():
            raise LearningCancelled


def _cycle(run: Run) -> LearnEnd:
    """Steps until all is learned and nothing old was broken by it, at most `max_steps`.

    For a text that comes meanwhile the cap counts anew.
    """
    session = run.session
    most = MOST_STEPS if run.plan.max_steps is None else run.plan.max_steps
    mix, total, repair = _mix(run), most, Repair()
    run.control.phase("train")
    while True:
        if (new := run.revised()) is not None:
            mix, total, repair = _mix(run, first=new), run.steps + most, Repair()
        if run.steps and run.learned and repair.done(run, mix.rehearsal):
            return "learned"
        if run.finishes():
            _confirmed(run)
            return "stopped"
        if run.steps >= total:
            _confirmed(run)
            return "learned" if run.learned else "cap"
        rows = mix.step(session.global_step, run.judge.learned)
        measured = run.step(rows, run.cycle_rate(), total, run.b_ratio)
        mix.rehearsal.hear(measured)
        _glance(run, mix.rehearsal, measured)


def _glance(run: Run, rehearsal: Rehearsal, measured: Sequence[Measured]) -> None:
    """Looks at what the step was the first to see right, or, once all that is new is learned, at what is to be mended.

    Dropout keeps shaking what is known already: a look without it at some few rows costs little and saves steps.
    """
    if run.learned:
        rehearsal.hear(_look(run, rehearsal.wrong()), surely=True)
    else:
        run.judge.look(_look(run, [each.row for each in measured if run.judge.nearly(each)]))


@dataclass(slots=True)
class Repair:
    """What a cycle does once all that is new is learned: looks at what is known, and mends what is wrong there.

    It looks without dropout at the new rows and at a bounded number of old ones; while something is wrong the steps go
    on. Both are bounded, whatever the document's length; only the new must be right in the end, up to the run's cap.
    """

    looks: int = LOOKS
    until: int | None = None  # the run's step after which nothing is mended any more

    def done(self, run: Run, rehearsal: Rehearsal) -> bool:
        """Whether the run, all of whose new rows are learned, may end at this step boundary."""
        if self.until is None:
            self.until = run.steps + REPAIR_STEPS
        mends = self.looks > 0 and run.steps < self.until
        if mends and not rehearsal.sound:
            return False
        self.looks -= 1
        old = rehearsal.to_look_at(run.session.global_step, LOOK_TOKENS) if mends else []
        rehearsal.hear(_confirmed(run, old))
        return run.learned and (rehearsal.sound or not mends)


def _confirmed(run: Run, others: Sequence[Row] = ()) -> list[Measured]:
    """Looks at the new exchanges that count as learned, and at others: one that is not exact is not learned yet."""
    fresh = [row for row in run.rows if row.kind == "exchange" and run.judge.learned(row)][:LOOK_ROWS]
    seen = _look(run, [*fresh, *others])
    run.judge.look(each for each in seen if each.row in fresh and not each.exact)
    return seen


def _look(run: Run, rows: Sequence[Row]) -> list[Measured]:
    """What the weights say of `rows`, some at a time; a look that fails costs what it would have seen, not the run."""
    seen: list[Measured] = []
    try:
        for place in range(0, len(rows), LOOK_PART):
            run.pause()
            seen += run.session.measure(rows[place : place + LOOK_PART])
    except (MemoryError, RuntimeError, LearnerError) as error:
        log.warning("what is known could not be looked at: %s", str(error).splitlines()[0][:200])
    return seen


def _mix(run: Run, first: Sequence[Row] = ()) -> CycleMix:
    session, seed = run.session, run.plan.session.settings.seed
    fresh = {lesson.identity for lesson in run.plan.fresh}
    known = {lesson.identity: lesson for lesson in run.plan.known if lesson.identity not in fresh}
    rehearsal = Rehearsal(tuple(known.values()), session.rows, seed, run.plan.risks[:RISKS])
    return CycleMix(run.rows, rehearsal, session.step_rows, seed, first)


class _NewText(Exception):  # noqa: N818 - nothing went wrong
    """In the middle of an epoch the run got a newer text, with these new rows."""

    def __init__(self, rows: tuple[Row, ...]) -> None:
        super().__init__()
        self.rows = rows


class _Enough(Exception):  # noqa: N818 - nothing went wrong
    """In the middle of an epoch the run was to end early."""


def _full(run: Run) -> LearnEnd:
    """Epochs over the whole text; over a text that comes meanwhile they are counted anew, its new rows first."""
    run.control.phase("train")
    first: tuple[Row, ...] = ()
    while True:
        try:
            return _epochs(run, first)
        except _NewText as text:
            first = text.rows
        except _Enough:
            return "stopped"


def _epochs(run: Run, first: tuple[Row, ...]) -> LearnEnd:
    """With a written number of epochs exactly those; otherwise whole epochs until every lesson is learned."""
    settings, size, begin = run.plan.session.settings, run.session.step_rows, run.steps
    per_epoch = len(epoch(run.rows, size, settings.seed, 0))
    ahead = [list(first[place : place + size]) for place in range(0, len(first), size)]
    if settings.num_epochs is not None:
        total = settings.num_epochs * per_epoch + len(ahead)
        warmup = warm_up_steps(settings.warmup_ratio, total)
        schedule = FullSchedule(run.peak, settings.lr_scheduler, warmup, total)
        for number in range(settings.num_epochs):
            _epoch(run, schedule, begin + total, begin, ahead if number == 0 else [])
        return "learned" if run.learned else "epochs"
    return _until_learned(run, per_epoch, ahead)


def _until_learned(run: Run, per_epoch: int, ahead: Sequence[list[Row]]) -> LearnEnd:
    """Warm-up, a steady rate until nearly all is learned, then epochs in which it falls; begun again while that fails.

    A steady rate keeps shaking the weights, so that of many rows some are always out of place: it falls before the last
    ones are learned.
    """
    settings = run.plan.session.settings
    warmup = warm_up_steps(settings.warmup_ratio, USUAL_EPOCHS * per_epoch)
    most = min(MOST_EPOCHS, max(ENOUGH_EPOCHS, MOST_STEPS // per_epoch))
    begin, total = run.steps, run.steps + most * per_epoch + len(ahead)
    steady = FullSchedule(run.peak, "constant", warmup, most * per_epoch)
    cools = settings.lr_scheduler != "constant"
    done = since = 0
    while done < most:
        _epoch(run, steady, total, begin, ahead if done == 0 else [])
        done, since = done + 1, since + 1
        epochs = max(1, round(COOLING * since)) if cools else 0
        nearly = since >= USUAL_EPOCHS - cools and len(run.judge.pending()) <= cools * NEARLY * len(run.rows)
        if not nearly and done + epochs < most:
            continue
        if cools:
            epochs = min(epochs, most - done)
            falling, start = FullSchedule(run.peak, settings.lr_scheduler, 0, epochs * per_epoch), run.steps
            for _ in range(epochs):
                _epoch(run, falling, total, start)
            done += epochs
        if _mended(run, total):
            return "learned"
        since = 0
    return "learned" if run.learned else "epochs"


def _mended(run: Run, total: int) -> bool:
    """Looks at all exchanges without dropout, and has what is wrong learned at a low rate, a few times."""
    session = run.session
    mix = CycleMix(run.rows, Rehearsal((), session.rows, 0), session.step_rows, run.plan.session.settings.seed)
    for again in range(LOOKS):
        until = min(total, run.steps + again * REPAIR_STEPS)
        while run.steps < until and not run.learned:
            _boundary(run)
            run.step(mix.step(session.global_step, run.judge.learned), MENDING * run.peak, total)
        run.judge.look(_look(run, [row for row in run.rows if row.kind == "exchange"]))
        if run.learned:
            return True
    return False


def _epoch(run: Run, schedule: FullSchedule, total: int, start: int, ahead: Sequence[list[Row]] = ()) -> None:
    """Each row once, after the steps `ahead`; the schedule's step 0 is the run's step `start`.

    Raises _NewText and _Enough between two steps.
    """
    session = run.session
    settings = run.plan.session.settings
    batches = epoch(run.rows, session.step_rows, settings.seed, round(session.epoch))
    for rows in (*ahead, *batches):
        _boundary(run)
        run.step(rows, schedule.rate(run.steps - start), total)
    session.epoch = round(session.epoch) + 1.0


def _boundary(run: Run) -> None:
    """Between two steps of a full retrain. Raises _NewText and _Enough."""
    if (new := run.revised()) is not None:
        raise _NewText(new)
    if run.finishes():
        raise _Enough
