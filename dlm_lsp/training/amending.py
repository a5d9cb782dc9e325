"""Hands newer texts of a run, and the wish to end it early, over to a learner in another process."""

from __future__ import annotations

import itertools

from dlm_lsp.training import wire
from dlm_lsp.training.pipe import LearnerProcess
from dlm_lsp.training.protocol import Control, LearnerError, Revision


class Amending:
    """Of one call that learns."""

    def __init__(self, process: LearnerProcess, control: Control, call: int) -> None:
        self._process = process
        self._control = control
        self._call = call
        self._numbers = itertools.count(1)
        self._handed: dict[int, Revision] = {}
        self._finishing = False

    def look(self) -> None:
        """Hands over what is new. Raises LearnerError for what does not fit into a message."""
        if (revision := self._control.revision()) is not None:
            number = next(self._numbers)
            self._handed = {number: revision}  # an earlier one that was not taken yet is not taken any more
            try:
                self._process.send(wire.Revise(self._call, number, revision.plan))
            except wire.WireError as error:
                raise LearnerError(
                    f"This can't be handed to the learner's process: {error}. Set `dlm.learner` to thread for it."
                ) from error
        if not self._finishing and self._control.finish_requested():
            self._finishing = True
            self._process.send(wire.Finish(self._call))

    def hears(self, report: wire.Report) -> None:
        if isinstance(report, wire.Revised) and report.call == self._call:
            revision = self._handed.pop(report.number, None)
            if revision is not None:
                revision.taken()
