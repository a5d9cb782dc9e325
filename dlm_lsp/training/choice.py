"""The learners to choose from. Nothing heavy is imported before one of them is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dlm_lsp.training.protocol import Learner, LearnerMode


def _thread() -> Learner:
    from dlm_lsp.training.learner import create

    return create()


def _process() -> Learner:
    from dlm_lsp.training.process import create

    return create()


LEARNERS: Mapping[LearnerMode, Callable[[], Learner]] = {"thread": _thread, "process": _process}
