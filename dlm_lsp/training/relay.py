"""Hands the questions of a run over to a learner in another process, one at a time, and what is answered back."""

from __future__ import annotations

from collections.abc import Callable

from dlm_lsp.training import wire
from dlm_lsp.training.pipe import LearnerProcess
from dlm_lsp.training.protocol import Control, LearnerError, LearnerLostError, Question, Spoken, run_stopped


class Relay:
    """Of one call. `number` gives a question's call its number."""

    def __init__(self, process: LearnerProcess, control: Control, number: Callable[[], int]) -> None:
        self._process = process
        self._control = control
        self._number = number
        self._open: Question | None = None
        self._call = 0  # the number of `_open`
        self._stopping = False

    @property
    def busy(self) -> bool:
        """Whether a question is not answered yet."""
        return self._open is not None

    def look(self, *, more: bool) -> None:
        """Hands over what the asker wants now; with `more` also the next question, unless the run is to stop."""
        stop = self._control.stop_requested()
        if self._open is not None:
            # The learner puts a question off when its run is to stop; one that it takes after its run, it does not.
            if not self._stopping and (self._open.stop_requested() or (stop and not more)):
                self._stopping = True
                self._process.send(wire.Stop(self._call))
        elif more and not stop and (question := self._control.question()) is not None:
            self._open, self._call, self._stopping = question, self._number(), False
            try:
                self._process.send(wire.Generate(self._call, question.request))
            except wire.WireError as error:
                self.fails(LearnerError(f"This question can't be handed to the learner's process: {error}."))

    def hears(self, report: wire.Report) -> None:
        """A report that is not of the call itself."""
        question = self._open
        if question is None or isinstance(report, wire.Hello | wire.Beat) or report.call != self._call:
            return
        match report:
            case wire.Text():
                question.piece(report.text)
                return
            case wire.Answered() if report.spoken.end != "stopped" or question.stop_requested():
                question.end(report.spoken)
            case wire.Failed():
                question.end(LearnerError(report.message, code=report.code, key=report.key))
            case wire.Answered() | wire.Later() | wire.Cancelled():
                self._put_off(question)
            case _:
                return
        self._open = None

    def fails(self, error: BaseException) -> None:
        """There will be no more of an answer."""
        question, self._open = self._open, None
        if question is not None:
            lost = LearnerLostError(f"The learner was lost: {error}" if str(error) else "The learner was lost.")
            question.end(error if isinstance(error, LearnerError) else lost)

    def _put_off(self, question: Question) -> None:
        if question.stop_requested():
            question.end(Spoken("stopped", 0, 0))
        elif question.request.live:
            question.end(run_stopped())
        else:
            question.later()
