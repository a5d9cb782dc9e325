"""The learner in a process of its own: it may be killed, crash or hang, and only its run is lost.

A second implementation of `protocol.py`, driven by the same thread as the one in this process, which lives at
the other end of the wire. Control is by messages alone; killing is what is left when they aren't answered.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence

from dlm_lsp import __version__
from dlm_lsp.document.model import Lesson
from dlm_lsp.training import wire
from dlm_lsp.training.amending import Amending
from dlm_lsp.training.patience import Patience, Watch
from dlm_lsp.training.pipe import Gone, LearnerProcess
from dlm_lsp.training.protocol import (
    Control,
    GenerateRequest,
    Learned,
    Learner,
    LearnerError,
    LearnerLostError,
    LearningCancelled,
    LearnPlan,
    SessionInfo,
    SessionRequest,
    Spoken,
)
from dlm_lsp.training.relay import Relay

log = logging.getLogger(__name__)

# How often the stop flag is looked at while nothing is reported, in seconds: no author feels it, and a look costs
# some ten microseconds.
_POLL = 0.05

_ENDS = (wire.Warmed, wire.Outcome, wire.Answered, wire.Cancelled, wire.Failed)


def create() -> Learner:
    """A learner whose process starts at the first `warm`, `learn` or `generate`."""
    return ProcessLearner()


class ProcessLearner:
    """All but `abandon` is called on one thread. An answer ends when another call begins."""

    def __init__(self, command: Sequence[str] | None = None, patience: Patience | None = None) -> None:
        """`command` starts a process that speaks the protocol of `wire.py` on its standard input and output."""
        self._command = command
        self.patience = patience or Patience()
        self._process: LearnerProcess | None = None
        self._keys: set[str] = set()  # of sessions that the process may hold
        self._calls = 0
        self._lost = False  # the last process was lost, and none has answered since
        self._abandoned = False
        self._guard = threading.Lock()  # of `_process` and `_abandoned`

    @property
    def pid(self) -> int | None:
        """The process that learns, while there is one."""
        process = self._process
        return process.pid if process is not None and not process.ended else None

    @property
    def alive(self) -> bool:
        return self.pid is not None

    def warm(self, request: SessionRequest, control: Control, lessons: tuple[Lesson, ...] = ()) -> SessionInfo:
        if not self.alive and (self._lost or self._process is not None):
            # Another one may be lost the same way, with every document that is opened. An author's save may try.
            raise LearnerLostError("The learner was lost. The next save starts a new one.", code="learner-died")
        call = wire.Warm(self._next(), request, lessons)
        reports = self._call(call, request.key, control, self.patience.stop_warming)
        for report in reports:
            if isinstance(report, wire.Warmed):
                return report.info
        raise self._misunderstood("the call ended otherwise")

    def learn(self, plan: LearnPlan, control: Control) -> Learned:
        files = wire.Files()
        for report in self._call(wire.Learn(self._next(), plan), plan.session.key, control, self.patience.stop):
            if isinstance(report, wire.Piece):
                files.add(report)
            elif isinstance(report, wire.Outcome):
                try:
                    return files.learned(report)
                except wire.WireError as error:
                    raise self._misunderstood(str(error)) from error
        raise self._misunderstood("the call ended otherwise")

    def generate(self, request: GenerateRequest, control: Control) -> Generator[str, None, Spoken]:
        call = wire.Generate(self._next(), request)
        for report in self._call(call, request.session.key, control, self.patience.stop):
            if isinstance(report, wire.Text):
                yield report.text
            elif isinstance(report, wire.Answered):
                return report.spoken
        raise self._misunderstood("the call ended otherwise")

    def committed(self, key: str, version_dir: str) -> None:
        self._tell(wire.Committed(key, version_dir))

    def release(self, key: str) -> None:
        """The last session takes the process with it, and so all of its memory."""
        self._keys.discard(key)
        if not self._keys:
            self.close()
        else:
            self._tell(wire.Release(key))

    def close(self) -> None:
        if (process := self._forget()) is not None:
            process.end()

    def abandon(self) -> None:
        with self._guard:
            self._abandoned = True
            if self._process is not None:
                self._process.kill()

    def _tell(self, request: wire.Committed | wire.Release) -> None:
        """What is not answered may be lost, too: the next run finds out by itself."""
        if self._process is not None:
            with contextlib.suppress(wire.WireError):  # such as a path that is no Unicode
                self._process.send(request)

    def _next(self) -> int:
        self._calls += 1
        return self._calls

    def _call(
        self, request: wire.Warm | wire.Learn | wire.Generate, key: str, control: Control, grace: float
    ) -> Iterator[wire.Report]:
        """What a call brings, the report that ends it included; phases and steps go to `control`.

        Raises LearnerError and LearningCancelled as the learner does, and for what becomes of its process.
        """
        if control.stop_requested():
            raise LearningCancelled
        process = self._running(control)
        self._keys.add(key)
        try:
            process.send(request)
        except wire.WireError as error:
            raise LearnerError(
                f"This can't be handed to the learner's process: {error}. Set `dlm.learner` to thread for it."
            ) from error
        over = False
        try:
            for report in self._watched(process, request.call, control, Watch(self.patience, grace)):
                over = isinstance(report, _ENDS)
                self._lost = self._lost and not over
                match report:
                    case wire.Phase():
                        control.phase(report.name, report.detail, report.fraction)
                    case wire.Step():
                        control.step(report.step, report.total, report.loss, report.learning_rate, report.tokens)
                    case wire.Cancelled():
                        raise LearningCancelled
                    case wire.Failed():
                        raise LearnerError(report.message, code=report.code, key=report.key)
                    case _:
                        yield report
                if over:
                    return
        finally:
            if not over:  # whoever listened went away
                process.send(wire.Stop(request.call))

    def _watched(self, process: LearnerProcess, call: int, control: Control, watch: Watch) -> Iterator[wire.Report]:
        """The reports of `call`, for ever; hands over the questions that `control` has meanwhile.

        Asks it to stop when `control` says so, and ends a process that hangs.
        """
        relay = Relay(process, control, self._next)
        amending = Amending(process, control, call)
        try:
            yield from self._heard(process, call, control, watch, relay, amending)
        except BaseException as error:
            relay.fails(error)
            raise

    def _heard(
        self, process: LearnerProcess, call: int, control: Control, watch: Watch, relay: Relay, amending: Amending
    ) -> Iterator[wire.Report]:
        """The end of the call comes last, after that of a question which it has crossed."""
        looked = time.monotonic()
        last: wire.Report | None = None
        while True:
            try:
                report = process.receive(_POLL)
            except Gone:
                raise self._died(watch.stopping or control.stop_requested()) from None
            now = time.monotonic()
            watch.passes(now - looked)
            looked = now
            if not watch.stopping and control.stop_requested():
                watch.stop()
                process.send(wire.Stop(call))
            if report is not None:
                watch.hears(report)
                relay.hears(report)
                amending.hears(report)
            if isinstance(report, wire.Hello):
                self._check(report)
            elif report is not None and not isinstance(report, wire.Beat) and report.call == call:
                if isinstance(report, _ENDS):
                    last = report
                else:
                    yield report
            relay.look(more=last is None)
            if last is None and not watch.stopping:
                amending.look()
            if last is not None and not relay.busy:
                yield last  # and is not come back
            if watch.overdue:
                self._end_by_force()
                raise LearningCancelled(
                    f"the learner did not stop within {watch.grace:.0f} s and was ended; the next save starts a new one"
                )
            if fate := watch.hangs:
                self._end_by_force()
                raise LearnerLostError(f"The learner {fate}.", code="learner-hung")

    def _running(self, control: Control) -> LearnerProcess:
        """The process, started if there is none."""
        if self._process is not None:
            if not self._process.ended:
                return self._process
            log.warning("the learner %s, while nothing was asked of it; starting a new one", self._process.fate())
            self._forget()
        control.phase("import")
        with self._guard:
            if self._abandoned:
                raise LearningCancelled
            try:
                self._process = LearnerProcess(self._command or _command())
            except OSError as error:
                self._lost = True
                raise LearnerLostError(
                    f"The learner's process can't be started ({error.strerror or error}).", code="learner-died"
                ) from error
            log.info("the learner lives in process %d", self._process.pid)
            return self._process

    def _check(self, hello: wire.Hello) -> None:
        if (hello.protocol, hello.version) != (wire.PROTOCOL, __version__):
            self.close()
            raise LearnerError(
                f"dlm-lsp {hello.version} was installed while dlm-lsp {__version__} was running. Restart the server.",
                code="learner-outdated",
            )

    def _died(self, stopping: bool) -> Exception:
        """What to raise when the process is gone."""
        process = self._forget()
        assert process is not None
        fate = process.fate()
        if self._abandoned:
            return LearningCancelled()
        self._lost = True
        log.warning("the learner %s", fate)
        if stopping:
            return LearningCancelled(f"the learner {fate}; the next save starts a new one")
        return LearnerLostError(f"The learner {fate}.", code="learner-died")

    def _misunderstood(self, why: str) -> LearnerLostError:
        log.error("ending the learner: %s", why)
        self._end_by_force()
        return LearnerLostError("The learner said what can't be understood, and was ended.", code="learner-died")

    def _end_by_force(self) -> None:
        self._lost = True
        if (process := self._forget()) is not None:
            process.kill()
            process.fate()

    def _forget(self) -> LearnerProcess | None:
        with self._guard:
            process, self._process = self._process, None
        self._keys.clear()
        return process


def _command() -> list[str]:
    """`-P`: nothing is imported from the folder that the editor happened to start the server in."""
    level = logging.getLevelName(log.getEffectiveLevel())
    return [sys.executable, "-P", "-m", "dlm_lsp.training.child", level]
