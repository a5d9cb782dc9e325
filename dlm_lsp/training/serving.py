"""The learner's end of the wire: takes requests from one file descriptor and reports on another, until the first ends.

Three threads: the main one is the learner's, one reads, one tells every second that the interpreter lives.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from dlm_lsp import __version__
from dlm_lsp.training import wire
from dlm_lsp.training.protocol import (
    GenerateRequest,
    Learner,
    LearnerError,
    LearningCancelled,
    LearnPlan,
    PhaseName,
    Spoken,
    unforeseen,
)

log = logging.getLogger(__name__)

Call = wire.Warm | wire.Learn | wire.Generate

# Seconds between two signs of life. Each costs some ten microseconds, and only while a call goes on.
BEAT = 1.0

# So many calls may pass before it is forgotten that one was to stop: it is over long since.
_RECENT = 1000

EXIT_ALONE = 0
EXIT_MISUNDERSTOOD = 3


def serve(reading: int, writing: int, create: Callable[[], Learner]) -> NoReturn:
    """Serves one connection, and ends the process with it."""
    reports = _Reports(writing)
    requests = _Requests(reading)
    reports.send(wire.Hello(wire.PROTOCOL, __version__, os.getpid()))
    learner = create()
    while True:
        match request := requests.next():
            case wire.Committed():
                learner.committed(request.key, request.version_dir)
            case wire.Release():
                learner.release(request.key)
            case wire.Warm() | wire.Learn() | wire.Generate():
                with reports.alive():
                    reports.send(_end_of(learner, request, _Control(request.call, requests, reports), reports))


def _end_of(learner: Learner, request: Call, control: _Control, reports: _Reports) -> wire.Report:
    """Carries `request` out; the report that ends it."""
    try:
        return _answer(learner, request, control, reports)
    except LearningCancelled:
        return wire.Cancelled(request.call)
    except LearnerError as error:
        return _failed(request.call, error)
    except Exception as error:
        log.exception("call %d failed", request.call)
        return _failed(request.call, unforeseen(error))


def _failed(call: int, error: LearnerError) -> wire.Failed:
    return wire.Failed(call, str(error), error.code, error.key)


def _answer(learner: Learner, request: Call, control: _Control, reports: _Reports) -> wire.Report:
    call = request.call
    match request:
        case wire.Warm():
            return wire.Warmed(call, learner.warm(request.request, control, request.lessons))
        case wire.Learn():
            learned = learner.learn(request.plan, control)
            for piece in wire.pieces(call, learned):
                reports.send(piece)
            return wire.outcome(call, learned)
        case wire.Generate():
            pieces = learner.generate(request.request, control)
            while True:
                try:
                    reports.send(wire.Text(call, next(pieces)))
                except StopIteration as end:
                    return wire.Answered(call, end.value)


class _Requests:
    """Reads on a thread of its own, so that a stop is seen while the learner computes, and so is the end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: queue.SimpleQueue[wire.Request] = queue.SimpleQueue()
        self._stopped: frozenset[int] = frozenset()
        self._held: wire.Request | None = None  # was looked at, and is no question
        self._revision: wire.Revise | None = None  # the newest that was not taken yet
        self._finishing = 0  # the last call that was asked to end early
        threading.Thread(target=self._main, name="dlm-requests", daemon=True).start()

    def next(self) -> wire.Request:
        held, self._held = self._held, None
        return held if held is not None else self._waiting.get()

    def question(self) -> wire.Generate | None:
        """The next request, if it has come and is a question."""
        if self._held is None:
            with contextlib.suppress(queue.Empty):
                self._held = self._waiting.get_nowait()
        if not isinstance(self._held, wire.Generate):
            return None
        question, self._held = self._held, None
        return question

    def stopped(self, call: int) -> bool:
        """Whether `call` is to stop."""
        return call in self._stopped

    def revision(self, call: int) -> wire.Revise | None:
        """Takes the newest text for `call`, if one has come."""
        revision, self._revision = self._revision, None
        return revision if revision is not None and revision.call == call else None

    def finishing(self, call: int) -> bool:
        """Whether `call` is to end early."""
        return call == self._finishing

    def _main(self) -> None:
        code = EXIT_ALONE
        try:
            for body in wire.frames(self._fd):
                request = wire.read_request(body)
                if isinstance(request, wire.Stop):
                    recent = {call for call in self._stopped if call > request.call - _RECENT}
                    self._stopped = frozenset({*recent, request.call})
                elif isinstance(request, wire.Revise):
                    self._revision = request
                elif isinstance(request, wire.Finish):
                    self._finishing = request.call
                else:
                    self._waiting.put(request)
        except OSError as error:
            log.info("the channel broke: %s", error)
        except wire.WireError as error:
            log.error("ending, as the other end is not understood: %s", error)
            code = EXIT_MISUNDERSTOOD
        # Whatever the learner's thread computes is of no use to anybody now; nothing of it is on disk.
        os._exit(code)


class _Reports:
    """Writes whole frames, from whichever thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._busy = threading.Event()
        threading.Thread(target=self._beat, name="dlm-beat", daemon=True).start()

    def send(self, report: wire.Report) -> None:
        frame = wire.report_frame(report)
        try:
            with self._lock:
                wire.write(self._fd, frame)
        except OSError:
            os._exit(EXIT_ALONE)  # nobody reads any more

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Signs of life are sent inside."""
        self._busy.set()
        try:
            yield
        finally:
            self._busy.clear()

    def _beat(self) -> NoReturn:
        never = threading.Event()
        while True:
            self._busy.wait()
            self.send(wire.Beat(time.process_time()))
            never.wait(BEAT)


class _Control:
    """The learner's control of one call, its other half on the other end of the wire."""

    def __init__(self, call: int, requests: _Requests, reports: _Reports) -> None:
        self._call = call
        self._requests = requests
        self._reports = reports

    def stop_requested(self) -> bool:
        return self._requests.stopped(self._call)

    def phase(self, name: PhaseName, detail: str = "", fraction: float | None = None) -> None:
        self._reports.send(wire.Phase(self._call, name, detail, fraction))

    def step(self, step: int, total: int, loss: float, learning_rate: float, tokens: int) -> None:
        self._reports.send(wire.Step(self._call, step, total, loss, learning_rate, tokens))

    def question(self) -> _Question | None:
        asked = self._requests.question()
        return _Question(asked, self._requests, self._reports) if asked is not None else None

    def revision(self) -> _Revision | None:
        revision = self._requests.revision(self._call)
        return _Revision(revision, self._reports) if revision is not None else None

    def finish_requested(self) -> bool:
        return self._requests.finishing(self._call)


class _Revision:
    """A newer text of what a call learns (see `protocol.Revision`)."""

    def __init__(self, revision: wire.Revise, reports: _Reports) -> None:
        self._revision = revision
        self._reports = reports

    @property
    def plan(self) -> LearnPlan:
        return self._revision.plan

    def taken(self) -> None:
        self._reports.send(wire.Revised(self._revision.call, self._revision.number))


class _Question:
    """A question that came while another call goes on (see `protocol.Question`)."""

    def __init__(self, asked: wire.Generate, requests: _Requests, reports: _Reports) -> None:
        self._call = asked.call
        self._request = asked.request
        self._requests = requests
        self._reports = reports

    @property
    def request(self) -> GenerateRequest:
        return self._request

    def stop_requested(self) -> bool:
        return self._requests.stopped(self._call)

    def piece(self, text: str) -> None:
        self._reports.send(wire.Text(self._call, text))

    def end(self, outcome: Spoken | LearnerError) -> None:
        if isinstance(outcome, Spoken):
            self._reports.send(wire.Answered(self._call, outcome))
        else:
            self._reports.send(_failed(self._call, outcome))

    def later(self) -> None:
        self._reports.send(wire.Later(self._call))
