"""A learner that is killed, crashes, hangs or does not stop: one clear error, and the next run starts another one."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dlm_lsp.training import process, wire
from dlm_lsp.training.patience import Patience
from dlm_lsp.training.pipe import fate_of
from dlm_lsp.training.process import ProcessLearner
from dlm_lsp.training.protocol import (
    GenerateRequest,
    LearnerError,
    LearnerLostError,
    LearningCancelled,
    SessionRequest,
    Spoken,
    Unwatched,
)
from tests.fakes import BREAK, NOISE, STUBBORN, Gate
from tests.training import fake_parent
from tests.training.fake_child import COMMAND, DEADLOCK, FREEZE, LEAVE
from tests.training.learning_helpers import Asked, Recorder, cycle, exchange, request

LINUX = sys.platform == "linux"
SESSION = request("fake:base")
LESSON = [exchange("Who?", "Nobody.")]
PATIENCE = 20.0  # of a test with what must happen at once


class Acts(Recorder):
    """Does something as soon as the run has taken a step."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act = act

    def step(self, step: int, total: int, loss: float, learning_rate: float, tokens: int) -> None:
        super().step(step, total, loss, learning_rate, tokens)
        if len(self.steps) == 1:
            self._act()


class OnceAsked(Unwatched):
    """Does something at the second look at the stop flag: by then the call has been sent."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act = act
        self._looks = 0

    def stop_requested(self) -> bool:
        self._looks += 1
        if self._looks == 2:
            self._act()
        return False


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Keeps runs in their middle: one step may be taken."""
    monkeypatch.setenv("DLM_FAKE_GATE", str(tmp_path / "gate"))
    with Gate(tmp_path / "gate") as gate:
        gate.allow(1)
        yield gate


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = set(psutil.Process().children())  # servers that other tests share
    yield
    assert set(psutil.Process().children()) <= before, "a process of a learner is left"


@pytest.fixture
def learner(gate: Gate) -> Iterator[ProcessLearner]:
    """Warm, so that a test's patience need not last for a start."""
    made = ProcessLearner(COMMAND)
    made.warm(SESSION, Unwatched())
    yield made
    made.close()


def child(learner: ProcessLearner) -> psutil.Process:
    assert learner.pid is not None
    return psutil.Process(learner.pid)


def send(learner: ProcessLearner, number: int) -> Callable[[], None]:
    return lambda: child(learner).send_signal(number)


def learns_again(learner: ProcessLearner, gate: Gate) -> bool:
    gate.allow(5)
    return cycle(learner, SESSION, LESSON).steps == 3 and learner.alive


# -- it dies


@pytest.mark.parametrize(
    ("number", "fate"),
    [
        (signal.SIGKILL, "The learner was killed, probably out of memory."),
        (signal.SIGSEGV, "The learner crashed (SIGSEGV)."),
        (signal.SIGABRT, "The learner crashed (SIGABRT)."),
        (signal.SIGTERM, "The learner was ended by SIGTERM."),
    ],
)
def test_a_death_in_mid_run_is_one_error_and_the_next_run_starts_anew(
    learner: ProcessLearner, gate: Gate, number: int, fate: str
) -> None:
    first = child(learner).pid
    with pytest.raises(LearnerLostError) as caught:
        cycle(learner, SESSION, LESSON, control=Acts(send(learner, number)))
    assert (str(caught.value), caught.value.code) == (fate, "learner-died")
    assert not learner.alive
    assert not psutil.pid_exists(first)
    assert learns_again(learner, gate)
    assert child(learner).pid != first


def test_an_end_that_nobody_asked_for_is_told_with_its_code(learner: ProcessLearner, gate: Gate) -> None:
    with pytest.raises(LearnerLostError, match=r"The learner ended by itself \(exit code 0\)\."):
        cycle(learner, SESSION, [exchange("Who?", LEAVE)])
    assert learns_again(learner, gate)


def test_a_death_while_it_answers_is_told_as_well(learner: ProcessLearner) -> None:
    child(learner).suspend()
    with pytest.raises(LearnerLostError, match="killed"):
        list(learner.generate(GenerateRequest(SESSION, "What?"), OnceAsked(child(learner).kill)))
    assert not learner.alive


def test_a_death_between_two_runs_costs_nothing_but_the_loading(
    learner: ProcessLearner, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    first = child(learner)
    first.kill()
    while learner.alive:
        os.sched_yield()
    learner.committed("document", "/somewhere/v0002")
    with pytest.raises(LearnerLostError, match="next save"):
        learner.warm(SESSION, Unwatched())
    with caplog.at_level(logging.WARNING, "dlm_lsp"):
        assert learns_again(learner, gate)
    assert "was killed, probably out of memory, while nothing was asked of it" in caplog.text


def test_exit_codes_of_both_kinds_of_system_are_understood() -> None:
    assert fate_of(-signal.SIGBUS) == "crashed (SIGBUS)"
    assert fate_of(-64) == "was ended by SIGRTMAX" if LINUX else fate_of(-64)
    assert fate_of(0xC0000005) == "crashed (0xC0000005)"
    assert fate_of(1) == "ended by itself (exit code 1)"


def test_a_crash_with_every_start_is_not_repeated_by_warming(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[object] = []
    real = process.LearnerProcess

    def counted(command: list[str]) -> process.LearnerProcess:
        starts.append(command)
        return real(command)

    monkeypatch.setattr(process, "LearnerProcess", counted)
    broken = ProcessLearner([sys.executable, "-c", "raise SystemExit(7)"])
    for _ in range(3):
        with pytest.raises(LearnerLostError):
            broken.warm(SESSION, Unwatched())
    assert len(starts) == 1
    with pytest.raises(LearnerLostError, match="exit code 7"):
        cycle(broken, SESSION, LESSON)  # an author's save may try, once each
    assert len(starts) == 2


def test_after_a_death_a_run_that_works_makes_warming_possible_again(learner: ProcessLearner, gate: Gate) -> None:
    with pytest.raises(LearnerLostError):
        cycle(learner, SESSION, [exchange("Who?", LEAVE)])
    with pytest.raises(LearnerLostError, match="next save"):
        learner.warm(SESSION, Unwatched())
    assert learns_again(learner, gate)
    learner.close()
    assert learner.warm(SESSION, Unwatched()).device == "cpu (fake)"


def test_deaths_leave_neither_threads_nor_descriptors(learner: ProcessLearner, gate: Gate) -> None:
    def held() -> tuple[int, int]:
        learner.close()
        for thread in threading.enumerate():
            if thread.name.startswith("dlm-learner-"):
                thread.join(PATIENCE)
        return psutil.Process().num_fds(), threading.active_count()

    before = held()
    for _ in range(4):
        gate.allow(1)
        with pytest.raises(LearnerLostError):
            cycle(learner, SESSION, LESSON, control=Acts(send(learner, signal.SIGKILL)))
    assert held() == before


def test_what_can_not_be_started_is_told() -> None:
    with pytest.raises(LearnerLostError, match="can't be started"):
        cycle(ProcessLearner(["/nowhere/python"]), SESSION, LESSON)


# -- it hangs


def stopped(learner: ProcessLearner) -> Recorder:
    return Acts(send(learner, signal.SIGSTOP))


def nothing(learner: ProcessLearner) -> Recorder:
    return Recorder()


@pytest.mark.parametrize(
    ("what", "control", "patience", "fate"),
    [
        ("stopped", stopped, Patience(silence=2.5), "gave no sign of life for 2 s"),
        (FREEZE, nothing, Patience(silence=2.5), "gave no sign of life for 2 s"),
        (DEADLOCK, nothing, Patience(standstill=1.5), "did nothing for 2 s"),
    ],
)
def test_a_hang_is_ended_and_told_and_the_next_run_starts_anew(
    learner: ProcessLearner, gate: Gate, what: str, control: Callable[..., Recorder], patience: Patience, fate: str
) -> None:
    first = child(learner).pid
    learner.patience = patience
    with pytest.raises(LearnerLostError, match=f"The learner {fate} and was ended") as caught:
        cycle(learner, SESSION, [exchange("Who?", what)], control=control(learner))
    assert caught.value.code == "learner-hung"
    assert not psutil.pid_exists(first)
    learner.patience = Patience()
    assert learns_again(learner, gate)


def test_a_stopped_process_does_not_take_requests_and_holds_nobody(learner: ProcessLearner, gate: Gate) -> None:
    """A document much larger than any pipe holds."""
    child(learner).suspend()
    learner.patience = Patience(silence=2.5)
    with pytest.raises(LearnerLostError, match="no sign of life"):
        cycle(learner, SESSION, [exchange("Who?", "Nobody. " * 1_000_000)])
    assert learns_again(learner, gate)


# -- it does not stop


@pytest.mark.parametrize("what", [STUBBORN, FREEZE, DEADLOCK])
def test_a_stop_that_is_not_honoured_is_enforced_and_told(learner: ProcessLearner, gate: Gate, what: str) -> None:
    learner.patience = Patience(stop=0.3)
    with pytest.raises(LearningCancelled, match="did not stop within 0 s and was ended; the next save starts a new"):
        cycle(learner, SESSION, [exchange("Who?", what)], control=Recorder(stop_after=1))
    assert not learner.alive
    learner.patience = Patience()
    assert learns_again(learner, gate)


def test_a_stop_that_is_honoured_leaves_the_process(learner: ProcessLearner, gate: Gate) -> None:
    first = child(learner).pid
    with pytest.raises(LearningCancelled) as caught:
        cycle(learner, SESSION, LESSON, control=Recorder(stop_after=1))
    assert str(caught.value) == ""
    assert learns_again(learner, gate)
    assert child(learner).pid == first


def test_a_stop_while_the_process_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnceStarted(Recorder):
        def stop_requested(self) -> bool:
            return "import" in self.phases

    monkeypatch.setenv("DLM_FAKE_START", "held")
    starting = ProcessLearner(COMMAND, Patience(stop=0.3, stop_warming=0.3))
    for attempt in (lambda: cycle(starting, SESSION, LESSON, control=OnceStarted()),
                    lambda: ProcessLearner(COMMAND, starting.patience).warm(SESSION, OnceStarted())):  # fmt: skip
        with pytest.raises(LearningCancelled):
            attempt()


def test_a_stop_while_torch_is_imported_is_honoured_by_the_process_itself() -> None:
    class AfterTwoPieces(Recorder):
        def stop_requested(self) -> bool:
            return self.phases.count("import") > 3

    real = ProcessLearner()
    with pytest.raises(LearningCancelled) as caught:
        real.warm(request("builtin:tiny"), AfterTwoPieces())
    assert str(caught.value) == ""
    assert real.alive
    real.close()


def test_a_death_after_a_stop_is_a_cancelled_run(learner: ProcessLearner, gate: Gate) -> None:
    class StopAndDie(Acts):
        def stop_requested(self) -> bool:
            return bool(self.steps)

    control = StopAndDie(child(learner).kill)
    with pytest.raises(LearningCancelled, match="was killed"):
        cycle(learner, SESSION, LESSON, control=control)


# -- nothing of it comes in the way


def test_noise_of_libraries_never_comes_near_the_channel(learner: ProcessLearner, gate: Gate) -> None:
    gate.allow(5)
    assert cycle(learner, SESSION, [exchange("Who?", NOISE)]).steps == 3
    assert learns_again(learner, gate)


def test_nonsense_where_reports_belong_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLM_FAKE_START", "noisy")
    with pytest.raises(LearnerLostError, match="said what can't be understood"):
        cycle(ProcessLearner(COMMAND), SESSION, LESSON)


def test_another_version_of_the_package_is_told_and_not_used(
    learner: ProcessLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was upgraded on disk under a running server."""
    learner.close()
    monkeypatch.setattr(process, "__version__", "0.0.9")
    with pytest.raises(
        LearnerError, match=r"installed while dlm-lsp 0\.0\.9 was running\. Restart the server"
    ) as caught:
        cycle(learner, SESSION, LESSON)
    assert caught.value.code == "learner-outdated"


def test_what_nobody_foresaw_is_told_in_one_line(learner: ProcessLearner, gate: Gate) -> None:
    with pytest.raises(LearnerError, match="nobody foresaw this") as caught:
        cycle(learner, SESSION, [exchange("Who?", BREAK)])
    assert (str(caught.value), caught.value.code) == ("ZeroDivisionError: nobody foresaw this", "internal-error")
    assert learns_again(learner, gate)


def test_a_text_that_can_not_be_sent_is_told(learner: ProcessLearner, gate: Gate) -> None:
    with pytest.raises(LearnerError, match="can't be handed to the learner's process"):
        cycle(learner, request("fake:base", system_prompt="Half of a pair: \ud83e"), LESSON)
    learner.committed("document", "/somewhere/v0001 \udcff")
    assert learns_again(learner, gate)


def test_an_interrupt_on_the_terminal_is_its_parent_s_to_judge(learner: ProcessLearner, gate: Gate) -> None:
    def interrupt_and_go_on() -> None:
        send(learner, signal.SIGINT)()
        gate.allow(5)

    assert cycle(learner, SESSION, LESSON, control=Acts(interrupt_and_go_on)).steps == 3


def test_nothing_is_imported_from_the_folder_that_it_is_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "cbor2", "torch"):
        (tmp_path / f"{name}.py").write_text("import os; os._exit(9)")
    monkeypatch.chdir(tmp_path)
    made = ProcessLearner()
    with pytest.raises(LearnerError, match="nothing to learn") as caught:
        cycle(made, SESSION, [])
    assert caught.value.code == "nothing-to-learn"
    made.close()


@pytest.mark.parametrize("sessions", [1, 2])
def test_the_last_session_takes_the_process_with_it(learner: ProcessLearner, sessions: int) -> None:
    first = child(learner)
    keys: list[SessionRequest] = [request("fake:base", key=str(number)) for number in range(sessions)]
    for each in keys:
        learner.warm(each, Unwatched())
    for each in keys:
        learner.release(each.key)
        assert learner.alive
    learner.release("document")
    assert not learner.alive
    assert not first.is_running()


if LINUX:

    def test_the_kernel_takes_it_before_the_editor(learner: ProcessLearner) -> None:
        own, its = (int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (os.getpid(), learner.pid))
        assert its > own


# -- gone with its parent


@pytest.mark.parametrize("doing", ["Nobody.", DEADLOCK, *([FREEZE, "stopped"] if LINUX else [])])
def test_it_is_gone_when_its_parent_was_killed(tmp_path: Path, gate: Gate, doing: str) -> None:
    parent = subprocess.Popen([sys.executable, fake_parent.__file__, doing], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    orphan = psutil.Process(int(parent.stdout.readline()))
    if doing == "stopped":
        orphan.suspend()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    orphan.wait(PATIENCE)
    assert not orphan.is_running()


@pytest.mark.parametrize("doing", ["Nobody.", FREEZE])
def test_what_is_abandoned_is_gone_at_once_and_never_comes_back(
    learner: ProcessLearner, gate: Gate, doing: str
) -> None:
    first = child(learner)
    with pytest.raises(LearningCancelled):
        cycle(learner, SESSION, [exchange("Who?", doing)], control=Acts(learner.abandon))
    assert not first.is_running()
    with pytest.raises(LearningCancelled):
        cycle(learner, SESSION, LESSON)


def test_its_stop_is_a_message_and_no_signal(
    learner: ProcessLearner, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[wire.Request] = []
    plain = process.LearnerProcess.send

    def send(self: process.LearnerProcess, request: wire.Request) -> None:
        sent.append(request)
        plain(self, request)

    monkeypatch.setattr(process.LearnerProcess, "send", send)
    monkeypatch.setattr(process.LearnerProcess, "kill", lambda self: pytest.fail("it was killed"))
    with pytest.raises(LearningCancelled):
        cycle(learner, SESSION, LESSON, control=Recorder(stop_after=1))
    assert [type(each) for each in sent] == [wire.Learn, wire.Stop]
    monkeypatch.undo()


# -- questions in the middle of a run


def test_a_death_in_mid_run_is_told_to_who_asks(learner: ProcessLearner) -> None:
    control, asked = Recorder(), Asked(SESSION)
    control.questions.append(asked)
    with pytest.raises(LearnerLostError):
        cycle(learner, SESSION, [exchange("Who?", LEAVE)], control=control)
    assert isinstance(asked.outcome, LearnerLostError)
    assert (asked.outcome.code, asked.put_off) == ("learner-died", 0)


def test_a_question_that_nobody_waits_for_any_more_does_not_stop_the_run(learner: ProcessLearner, gate: Gate) -> None:
    control, asked = Recorder(), Asked(SESSION, stop_after=0)
    control.questions.append(asked)
    gate.allow(4)
    assert cycle(learner, SESSION, LESSON, steps=5, control=control).steps == 5
    assert isinstance(asked.outcome, Spoken)
