"""Every way in which a server ends, in each state: the code, the lock, the store, and nothing that runs on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from dlm_lsp.store import Held, Store
from tests.fakes import STUBBORN, Gate
from tests.server.editor import DLM_ID, HEAD, exchange
from tests.server.test_ending import opened_and_saved, training
from tests.server.wire import PATIENCE, Wire, initialize, notification, request

STATES = ("idle", "in mid-run", "waiting for the lock")


def shutdown_and_exit(case: Case) -> None:
    case.wire.send(request("end", "shutdown"))
    assert case.wire.answer("end")["result"] is None
    case.wire.send(notification("exit"))


def parent_killed(case: Case) -> None:
    case.parent.kill()
    case.parent.wait()


def signalled(number: signal.Signals) -> Callable[[Case], None]:
    return lambda case: case.wire.process.send_signal(number)


def two_signals(case: Case) -> None:
    """Both wait for a process that was stopped. Any thread may take either, so any of them may be the second."""
    process = case.wire.process
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
        process.send_signal(number)


TRIGGERS: dict[str, tuple[Callable[[Case], None], int | set[int]]] = {
    "shutdown and exit": (shutdown_and_exit, 0),
    "exit alone": (lambda case: case.wire.send(notification("exit")), 1),
    "end of input": (lambda case: case.wire.close_input(), 1),
    "parent killed": (parent_killed, 1),
    "SIGHUP": (signalled(signal.SIGHUP), 129),
    "SIGINT": (signalled(signal.SIGINT), 130),
    "SIGTERM": (signalled(signal.SIGTERM), 143),
    "two signals": (two_signals, {130, 143}),
}


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose store has a first version."""
    folder = tmp_path_factory.mktemp("taught")
    with Wire(folder / "home") as wire:
        wire.send(initialize(initializationOptions={"debounceMs": 0}), notification("initialized", {}))
        wire.send(*opened_and_saved(folder / "a.dlm", "The first."))
        assert wire.ask("dlm/waitForIdle", {}) is None
        assert wire.end() == 0
    assert the_version(folder / "home") == 1
    return folder / "home"


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def the_version(home: Path) -> int:
    current = Store(home, DLM_ID).current()
    assert current is not None
    return current.number


def opens_clean(home: Path, *, lock_left: bool) -> None:
    """With the old version; what a process that left at once still held is taken over."""
    store = Store(home, DLM_ID)
    found = store.inspect()
    assert found.version is not None and found.version.number == 1
    assert not [each for each in found.leftovers if "lock" not in each], found.leftovers
    assert (found.holder is not None) == lock_left, found.holder
    assert found.holder is None or found.holder.state == "dead"
    held = store.try_lock()
    assert isinstance(held, Held), held
    held.release()
    assert not store.inspect().leftovers


def waiting(wire: Wire, path: Path) -> None:
    wire.send(notification("initialized", {}), *opened_and_saved(path, "The second."))
    wire.until(
        lambda message: (
            message.get("method") == "textDocument/publishDiagnostics"
            and any(each.get("code") == "store-locked" for each in message["params"]["diagnostics"])
        )
    )


class Case:
    """A server in one state, with a home, a gate and a lock of its own."""

    def __init__(self, folder: Path, taught: Path, state: str, parent: subprocess.Popen[bytes]) -> None:
        self.home, self.path, self.state, self.parent = folder / "home", folder / "a.dlm", state, parent
        folder.mkdir()
        shutil.copytree(taught, self.home)
        self.path.write_text(HEAD + exchange("What?", "The first."))
        self.gate = Gate(folder / "gate")
        self.other = Store(self.home, DLM_ID).try_lock() if state == "waiting for the lock" else None
        self.wire = Wire(self.home, {"DLM_FAKE_GATE": str(self.gate.path)})

    def reach(self) -> None:
        """Brings the server into its state."""
        if self.state == "in mid-run":
            self.gate.allow(1)
            training(self.wire, self.path, "The second.", self.parent.pid)
            return
        self.wire.send(initialize(processId=self.parent.pid, initializationOptions={"debounceMs": 0}))
        self.wire.answer(1)
        if self.other is not None:
            waiting(self.wire, self.path)

    def ended(self, code: int | set[int], *, lock_left: bool) -> None:
        assert self.wire.exit_code() in (code if isinstance(code, set) else {code}), self.state
        assert "Traceback" not in self.wire.log.text, self.wire.log.text
        if self.other is not None:
            assert isinstance(self.other, Held) and self.other.valid, "the lock of another process was touched"
            self.other.release()
        opens_clean(self.home, lock_left=lock_left)

    def close(self) -> None:
        self.wire.__exit__(None, None, None)
        self.gate.close()


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_every_end_in_every_state(tmp_path: Path, taught: Path, parent: subprocess.Popen[bytes], trigger: str) -> None:
    """One server for each state, started together: starting is what takes the time."""
    end, code = TRIGGERS[trigger]
    with ExitStack() as stack:
        cases = [Case(tmp_path / str(number), taught, state, parent) for number, state in enumerate(STATES)]
        for case in cases:
            stack.callback(case.close)
        for case in cases:
            case.reach()
        for case in cases:
            end(case)
        for case in cases:
            case.ended(code, lock_left=case.state == "in mid-run" and trigger == "two signals")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_whole_group_leaves_the_learner_to_its_parent(
    tmp_path: Path, taught: Path, gate: Gate, number: signal.Signals
) -> None:
    """As a terminal sends it: the learner's process hears nothing, and its run is stopped and rolled back."""
    home = tmp_path / "home"
    shutil.copytree(taught, home)
    with Wire(home, {"DLM_FAKE_GATE": str(gate.path)}, session=True) as wire:
        gate.allow(1)
        training(wire, tmp_path / "a.dlm", "The second.", learner="process")
        (learner,) = psutil.Process(wire.process.pid).children()
        assert os.getsid(learner.pid) != os.getsid(wire.process.pid)
        os.killpg(wire.process.pid, number)
        assert wire.exit_code() == 128 + number
        wire.log.until(rf"signal {number.name}")
        assert not re.search(r"the learner (was ended|crashed|was killed)|Traceback", wire.log.text), wire.log.text
        learner.wait(PATIENCE)
    opens_clean(home, lock_left=False)


def test_a_second_signal_need_not_wait_for_a_run_that_never_looks_up(tmp_path: Path, taught: Path, gate: Gate) -> None:
    home = tmp_path / "home"
    shutil.copytree(taught, home)
    with Wire(home, {"DLM_FAKE_GATE": str(gate.path)}) as wire:
        gate.allow(1)
        training(wire, tmp_path / "a.dlm", STUBBORN)
        wire.process.send_signal(signal.SIGINT)
        wire.log.until("ending with exit code 130")
        wire.process.send_signal(signal.SIGHUP)
        assert wire.exit_code() == 129
    opens_clean(home, lock_left=True)
