"""The server is gone when its editor is: however it ends, whatever it is doing, and with the right exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from dlm_lsp.server.app import create_server
from dlm_lsp.server.lifecycle import STOP_DEADLINE
from tests.fakes import STUBBORN, Gate
from tests.server.editor import HEAD, exchange
from tests.server.test_outbox import HandClock
from tests.server.wire import SERVER, Wire, frame, initialize, notification, request

AFTER_EXIT = 1.5
AFTER_END_OF_INPUT = 3.0


def opened_and_saved(path: Path, answer: str = "A lesson.") -> list[dict[str, Any]]:
    text = HEAD + exchange("What?", answer)
    path.write_text(text)
    identifier = {"uri": path.as_uri()}
    item = {**identifier, "languageId": "dlm", "version": 1, "text": text}
    return [
        notification("textDocument/didOpen", {"textDocument": item}),
        notification("textDocument/didSave", {"textDocument": identifier, "text": text}),
    ]


def training(wire: Wire, path: Path, answer: str = "A lesson.") -> None:
    """Brings the server into the middle of a run."""
    client = {"experimental": {"dlm": {"trainingProgress": True}}}
    wire.send(initialize(capabilities=client, initializationOptions={"debounceMs": 0}))
    wire.answer(1)
    wire.send(notification("initialized", {}), *opened_and_saved(path, answer))
    while (message := wire.receive()).get("method") != "dlm/trainingProgress" or not message["params"]["step"]:
        pass


@pytest.mark.parametrize("answer", ["A lesson.", STUBBORN])
@pytest.mark.parametrize("busy", [False, True])
def test_soon_after_the_end_of_input(tmp_path: Path, gate: Gate, busy: bool, answer: str) -> None:
    with Wire(tmp_path / "home", {"DLM_FAKE_GATE": str(gate.path)}) as wire:
        if busy:
            gate.allow(1)
            training(wire, tmp_path / "a.dlm", answer)
        else:
            wire.start()
        began = time.monotonic()
        wire.close_input()
        assert wire.exit_code() == 1
        assert time.monotonic() - began < AFTER_END_OF_INPUT


@pytest.mark.parametrize("answer", ["A lesson.", STUBBORN])
def test_soon_after_exit_even_if_training_does_not_stop(tmp_path: Path, gate: Gate, answer: str) -> None:
    with Wire(tmp_path / "home", {"DLM_FAKE_GATE": str(gate.path)}) as wire:
        gate.allow(1)
        training(wire, tmp_path / "a.dlm", answer)
        wire.send(request(2, "shutdown"))
        assert wire.answer(2)["result"] is None
        began = time.monotonic()
        wire.send(notification("exit"))
        assert wire.exit_code() == 0
        assert time.monotonic() - began < AFTER_EXIT


def test_soon_after_its_editor_was_killed_though_somebody_holds_the_pipe(tmp_path: Path, gate: Gate) -> None:
    """A wrapper that hands its pipes on is killed in mid-run; this test still holds the other ends."""
    wrapper = f"import subprocess, sys; subprocess.Popen([sys.executable, {str(SERVER)!r}]).wait()"
    process = subprocess.Popen(
        [sys.executable, "-c", wrapper],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "DLM_HOME": str(tmp_path / "home"), "DLM_FAKE_GATE": str(gate.path)},
    )
    wire = Wire.__new__(Wire)
    wire.process, wire._rest = process, b""
    with wire:
        gate.allow(1)
        client = {"experimental": {"dlm": {"trainingProgress": True}}}
        options = {"debounceMs": 0}
        wire.send(initialize(capabilities=client, initializationOptions=options, processId=process.pid))
        wire.answer(1)
        wire.send(*opened_and_saved(tmp_path / "a.dlm"))
        while wire.receive().get("method") != "dlm/trainingProgress":
            pass
        (server,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGKILL)
        server.wait(AFTER_END_OF_INPUT)
        assert not server.is_running()


def test_a_signal_ends_it_in_order(tmp_path: Path, gate: Gate) -> None:
    with Wire(tmp_path / "home", {"DLM_FAKE_GATE": str(gate.path)}) as wire:
        gate.allow(1)
        training(wire, tmp_path / "a.dlm")
        wire.process.send_signal(signal.SIGTERM)
        assert wire.exit_code() == 1
        assert not list((tmp_path / "home").rglob(".lock"))


def test_a_client_that_does_not_read_cannot_hold_it(tmp_path: Path) -> None:
    """Answers pile up until the pipe is full; the end still comes in time."""
    with Wire(tmp_path / "home") as wire:
        wire.start()
        unknown = frame(request("x" * 200, "unknown/method"))
        wire.send_bytes(unknown * 2000)
        wire.send(request(2, "shutdown"), notification("exit"))
        assert wire.exit_code() == 0


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONUNBUFFERED": "1"},
        {"PYTHONDEVMODE": "1"},
        {"PYTHONWARNINGS": "error"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_under_every_way_to_run_python(tmp_path: Path, environment: dict[str, str]) -> None:
    with Wire(tmp_path / "home", environment) as wire:
        wire.send(initialize(initializationOptions={"debounceMs": 0}))
        wire.answer(1)
        wire.send(*opened_and_saved(tmp_path / "ä.dlm"), request(2, "dlm/waitForIdle"))
        wire.answer(2)
        wire.send(request(3, "shutdown"), notification("exit"))
        assert wire.answer(3)["result"] is None
        assert wire.exit_code() == 0


async def test_exit_after_shutdown_does_not_wait_again_for_a_run_that_did_not_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = HandClock()
    server = create_server(learner=lambda: pytest.fail("nothing is trained"), clock=clock)
    patience: list[float] = []

    async def shutdown(deadline: float) -> bool:
        patience.append(deadline)
        clock.pass_time(deadline)
        return False

    monkeypatch.setattr(server.supervisor, "shutdown", shutdown)
    assert not await server.stop()
    assert not await server.stop()
    assert patience == pytest.approx([STOP_DEADLINE, 0.0])


def test_the_deadline_needs_neither_loop_nor_worker() -> None:
    """The end has begun, and whatever should see to it is stuck for ever."""
    stuck = (
        "import threading; from dlm_lsp.server.lifecycle import Lifecycle; "
        "Lifecycle().end(7, 'a test'); print(flush=True); threading.Event().wait()"
    )
    with subprocess.Popen([sys.executable, "-c", stuck], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        began = time.monotonic()
        assert process.wait(30) == 7
        assert time.monotonic() - began < AFTER_EXIT
