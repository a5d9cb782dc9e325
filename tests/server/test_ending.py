"""The server is gone when its editor is. The orders of life and the end of input are in tests/protocol/test_life.py."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dlm_lsp._teardown import Stage
from dlm_lsp.server.app import create_server
from dlm_lsp.server.lifecycle import STOP_DEADLINE, watch_process
from tests.fakes import STUBBORN, Gate
from tests.server.editor import HEAD, exchange
from tests.server.test_outbox import HandClock
from tests.server.wire import Wire, frame, initialize, notification, request

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


def training(
    wire: Wire, path: Path, answer: str = "A lesson.", process: int | None = None, learner: str = "thread"
) -> None:
    """Brings the server into the middle of a run. `process`: whom the client names as its own."""
    client = {"experimental": {"dlm": {"trainingProgress": True}}}
    options = {"debounceMs": 0, "learner": learner}
    wire.send(initialize(processId=process, capabilities=client, initializationOptions=options))
    wire.answer(1)
    wire.send(notification("initialized", {}), *opened_and_saved(path, answer))
    while (message := wire.receive()).get("method") != "dlm/trainingProgress" or not message["params"]["step"]:
        pass


@pytest.mark.parametrize("answer", ["A lesson.", STUBBORN])
def test_r03_gone_soon_after_exit_even_if_training_does_not_stop(tmp_path: Path, gate: Gate, answer: str) -> None:
    with Wire(tmp_path / "home", {"DLM_FAKE_GATE": str(gate.path)}) as wire:
        gate.allow(1)
        training(wire, tmp_path / "a.dlm", answer)
        wire.send(request(2, "shutdown"))
        assert wire.answer(2)["result"] is None
        began = time.monotonic()
        wire.send(notification("exit"))
        assert wire.exit_code() == 0
        assert time.monotonic() - began < AFTER_EXIT


def test_a_signal_ends_it_in_order(tmp_path: Path, gate: Gate) -> None:
    with Wire(tmp_path / "home", {"DLM_FAKE_GATE": str(gate.path)}) as wire:
        gate.allow(1)
        training(wire, tmp_path / "a.dlm")
        wire.process.send_signal(signal.SIGTERM)
        assert wire.exit_code() == 143
        assert not list((tmp_path / "home").rglob(".lock"))


def test_a_client_that_does_not_read_cannot_hold_it(tmp_path: Path) -> None:
    """Answers pile up until the pipe is full; the end still comes in time."""
    with Wire(tmp_path / "home") as wire:
        wire.start()
        unknown = frame(request("x" * 200, "unknown/method"))
        wire.send_bytes(unknown * 2000)
        wire.send(request(2, "shutdown"), notification("exit"))
        assert wire.exit_code() == 0


@pytest.mark.parametrize("number", [-1, 0, 2**31 - 1])
def test_a_process_that_cannot_exist_is_not_watched(number: int) -> None:
    gone: list[int] = []
    watch_process(number, lambda: gone.append(number))
    assert gone == []


async def test_exit_after_shutdown_does_not_wait_again_for_a_run_that_did_not_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = create_server(learner=lambda: pytest.fail("nothing is trained"), clock=HandClock())
    server.supervisor.start(asyncio.get_running_loop())
    patience: list[float] = []

    def join(seconds: float) -> bool:
        patience.append(seconds)
        return False

    monkeypatch.setattr(server.supervisor._queue.worker, "join", join)
    await server.teardown.run(through=Stage.CLOSE)
    await server.teardown.run()
    assert sorted(patience) == [0.0, 0.0, STOP_DEADLINE]
    assert server.teardown.unfinished == ["the learner"]


def test_the_deadline_needs_neither_loop_nor_worker() -> None:
    """The end has begun, and whatever should see to it is stuck for ever."""
    stuck = (
        "import threading; from dlm_lsp._teardown import Teardown; "
        "Teardown(1.3).begin(7, 'a test'); print(flush=True); threading.Event().wait()"
    )
    with subprocess.Popen([sys.executable, "-c", stuck], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        began = time.monotonic()
        assert process.wait(30) == 7
        assert time.monotonic() - began < AFTER_EXIT
