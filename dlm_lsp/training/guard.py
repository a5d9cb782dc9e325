"""The forgetting guard's look: what the new weights say of lessons that were learned before. Forward passes only."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Sequence

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.judge import Measured
from dlm_lsp.training.protocol import Control, LearnerError, LearningCancelled, LearnPlan, LessonScore
from dlm_lsp.training.rows import Row
from dlm_lsp.training.session import Session

log = logging.getLogger(__name__)

# A forward pass costs a third of a training step's work on the same tokens.
SHARE = 0.1  # of the tokens that the run read, the guard reads at most: about 3 % of the run's time
LEAST_TOKENS = 256  # but a short run looks at so many, about half of a usual step's time
MOST_TOKENS = 2048
LONGEST = 1024  # the first lesson is looked at even beyond the budget, if it is no longer than this
_PART = 256  # tokens between two looks at the stop flag


def budget(read: int) -> int:
    """How many tokens may be looked at after a run that read `read` tokens."""
    return max(LEAST_TOKENS, min(MOST_TOKENS, int(SHARE * read)))


def look(session: Session, plan: LearnPlan, read: int, control: Control) -> tuple[LessonScore, ...]:
    """Scores what the plan guards, as far as the budget goes. A stop ends it: raises LearningCancelled.

    What is looked at follows from plan and run alone, never from the clock. Whatever else goes wrong costs the
    scores and not the run.
    """
    known = {lesson.identity: lesson for lesson in plan.known}
    lessons = [known[identity] for identity in plan.guarded if identity in known]
    scores: dict[str, LessonScore] = {}
    try:
        for rows in _parts(chosen(session, lessons, budget(read))):
            if control.stop_requested():
                raise LearningCancelled
            scores |= _scores(session.measure(rows))
    except (MemoryError, RuntimeError, LearnerError) as error:
        log.warning("what was learned before could not be looked at: %s", str(error).splitlines()[0][:200])
    looked_at = (scores[identity] for identity in plan.guarded if identity in scores)
    return tuple(score for score in looked_at if math.isfinite(score.loss))


def chosen(session: Session, lessons: Sequence[Lesson], tokens: int) -> list[Sequence[Row]]:
    """The rows, lesson by lesson and whole, that fit into `tokens`; what does not fit makes room for the next.

    The first one counts as fitting up to `LONGEST`: what was not looked at for longest comes first, so that a
    long lesson is not passed over for ever.
    """
    fitting: list[Sequence[Row]] = []
    for lesson in lessons:
        rows = session.rows(lesson)
        length = sum(len(row.tokens) for row in rows)
        if length <= tokens or (not fitting and length <= LONGEST):
            fitting.append(rows)
            tokens -= length
    return fitting


def _parts(lessons: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """All rows of whole lessons, some at a time, so that a stop does not wait for all of them."""
    parts: list[list[Row]] = []
    room = 0
    for rows in lessons:
        if room <= 0:
            parts.append([])
            room = _PART
        parts[-1] += rows
        room -= sum(len(row.tokens) for row in rows)
    return parts


def _scores(measured: Sequence[Measured]) -> dict[str, LessonScore]:
    """By lesson: the mean per token over its rows, and whether all of them are exact."""
    rows: dict[str, list[Measured]] = defaultdict(list)
    for each in measured:
        rows[each.row.identity].append(each)
    return {
        identity: LessonScore(
            identity,
            sum(each.loss * each.row.targets for each in seen) / sum(each.row.targets for each in seen),
            all(each.exact for each in seen),
        )
        for identity, seen in rows.items()
    }
