"""Does once, on nothing, what a run does, so that the first save after opening is no slower than the tenth.

What is slow the first time: modules that are imported late, the chat template that is compiled, kernels that are chosen
and memory that is taken when they are first needed. Neither weights nor moments nor random generators change.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.protocol import LearnerError
from dlm_lsp.training.rows import Row
from dlm_lsp.training.session import Session
from dlm_lsp.training.speaking import aside

log = logging.getLogger(__name__)

# A usual step; of a base of more than so many parameters fewer rows, as what counts is that it was made.
_ROWS, _LONGEST, _SMALL = 8, 128, 20_000_000
_TIMES = 2  # what the first one takes from the system, the second one finds in the process
_LESSON = Lesson("", "", "exchange", "Is this an exercise?", "Yes.")
_ROW = Row("", "prose", 0, (0,) * 48, 12)


def exercise(session: Session, lessons: Sequence[Lesson] = ()) -> None:
    """To be called on a prepared session, while nobody waits. The rows of `lessons` are made and kept."""
    from dlm_lsp.training import guard, loop  # noqa: F401 - a run would import them

    rows: list[Row] = []
    for lesson in (_LESSON, *lessons):
        with suppress(LearnerError):  # a base for texts only has no template: the run says so, if there is an exchange
            rows += session.rows(lesson)
    session.keep_rows_of(lesson.identity for lesson in lessons)
    usual = sorted((row for row in rows if len(row.tokens) <= _LONGEST), key=lambda row: -len(row.tokens))
    spare = _ROW.crop(session.base.context_length, 0)
    count = max(1, min(_ROWS, _ROWS * _SMALL // session.base.parameters))
    with aside(session):
        try:
            for _ in range(_TIMES):
                session.exercise([*usual, *[spare] * _ROWS][:count])
        except (MemoryError, RuntimeError) as error:  # a run has smaller steps for that
            log.info("a usual step could not be exercised: %s", str(error).splitlines()[0][:200])
        session.stepper.optimizer.zero_grad(set_to_none=True)
    session.files(0.0)
