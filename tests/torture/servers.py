"""Real server processes, each forked from this one, which has imported the training stack once.

A forked server is the server as installed: `serve_stdio` on a pair of pipes, its own threads, its own process id.
"""

from __future__ import annotations

import hashlib
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn

from dlm_lsp.training.bases import known_revision
from dlm_lsp.training.protocol import Control, Learned, LearnPlan
from tests.fakes import FakeLearner, safetensors
from tests.faults import Switch, install
from tests.protocol.wire import PATIENCE, Pipes, Wire, initialize, notification, request

LearnerKind = Literal["fake", "real"]


class Gone(Exception):  # noqa: N818 - the server was killed, as it should be
    """The server's output has ended."""


class Hung(Exception):  # noqa: N818
    """The server said nothing for half a minute."""


class UniqueLearner(FakeLearner):
    """Writes the files that the real one writes, other ones each time, so that no two versions can be mistaken."""

    def learn(self, plan: LearnPlan, control: Control) -> Learned:
        learned = super().learn(plan, control)
        number = int(hashlib.sha256(f"{time.time_ns()}".encode()).hexdigest()[:6], 16)
        unique = {
            "adapter_model.safetensors": safetensors({"lora_A.weight": [float(number)] * 512}),
            "training_state.pt": f"moments {number}".encode(),
            "tokenizer.json": b"{}",
            "tokenizer_config.json": b"{}",
            "chat_template.jinja": b"-",
        }
        return replace(learned, files={**learned.files, **unique}, base_revision=known_revision(plan.session.base))


@dataclass
class _Process:
    """As much of a `subprocess.Popen` as a wire needs."""

    pid: int
    stdin: BinaryIO
    stdout: BinaryIO
    returncode: int | None = None

    def kill(self) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


class Server(Wire):
    """A forked server and its two pipes."""

    def __init__(self, process: _Process) -> None:
        super().__init__(Pipes(process), process)  # type: ignore[arg-type]  # as much of a process as is needed
        self.told: int | None = None  # the version that it told to be committed since `listen`
        self._runs = 0
        self._heard = 0
        self.state = "starting"

    def begin(self, **options: Any) -> None:
        client = {"experimental": {"dlm": {"trainingStatus": True}}}
        settings = {"debounceMs": 0, "warmOnOpen": False, **options}
        self.send(initialize(1, capabilities=client, initializationOptions=settings))
        self.answered(1)
        self.send(notification("initialized", {}))
        self.state = "idle"

    def listen(self) -> None:
        """What was told before does not count from here on."""
        self.told, self._heard = None, self._runs

    def ask(self, method: str, params: Any) -> int:
        number = self.new_id()
        self.send(request(number, method, params))
        return number

    def answered(self, number: int, seconds: float = PATIENCE) -> Any:
        """The result of a request. Raises TimeoutError when it does not come in time, Gone or Hung."""
        deadline = time.monotonic() + seconds
        while True:
            self._ready(deadline)
            message = self.receive()
            if message.get("method") == "dlm/trainingStatus":
                status = message["params"]
                self.state = status["state"]
                last = status["last"]
                if last is not None and last["outcome"] == "finished":
                    self._runs = last["run"]
                    self.told = status["version"] if self._runs > self._heard else None
            elif message.get("id") == number and "method" not in message:
                if "error" in message:
                    raise AssertionError(message["error"])
                return message["result"]

    def send_bytes(self, data: bytes) -> None:
        try:
            super().send_bytes(data)
        except BrokenPipeError:
            raise Gone from None

    def end(self) -> int:
        """An orderly end; the exit code."""
        number = self.ask("shutdown", None)
        self.answered(number)
        self.send(notification("exit"))
        return self.process.wait()

    def _ready(self, deadline: float) -> None:
        """Raises TimeoutError when no message comes before `deadline`."""
        if b"\r\n\r\n" not in self._rest and not self._readable(max(0.0, deadline - time.monotonic())):
            raise TimeoutError

    def _read(self) -> bytes:
        if not self._readable(PATIENCE):
            raise Hung
        data = self.channel.read(0.0)
        if not data:
            raise Gone
        return data

    def _readable(self, seconds: float) -> bool:
        return bool(select.select([self.process.stdout], [], [], seconds)[0])


def load(kinds: set[LearnerKind]) -> None:
    """Imports what every server will need. No thread may be left: what a thread holds is lost in a fork."""
    import dlm_lsp.server.serve  # noqa: F401

    if "real" in kinds:
        import torch

        from dlm_lsp.training.stack import import_stack

        import_stack(lambda module, fraction: None)
        torch.set_num_threads(1)
    assert threading.active_count() == 1, threading.enumerate()


@contextmanager
def forked(kind: LearnerKind, home: Path, switch: Switch, log: Path) -> Iterator[Server]:
    """A server that obeys `switch`; it is killed at the end of the block, if it still lives."""
    assert threading.active_count() == 1
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        for ours in (to_write, from_read):
            os.close(ours)
        _serve(kind, home, switch.path, log, to_read, from_write)
    os.close(to_read)
    os.close(from_write)
    with Server(_Process(pid, os.fdopen(to_write, "wb"), os.fdopen(from_read, "rb", buffering=0))) as server:
        yield server


def _serve(kind: LearnerKind, home: Path, orders: Path, log: Path, reading: int, writing: int) -> NoReturn:
    code = 70
    try:
        os.environ.update(DLM_HOME=str(home), DLM_THREADS="1")
        errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for source, target in ((reading, 0), (writing, 1), (errors, 2)):
            os.dup2(source, target)
            os.close(source)
        install(orders)
        from dlm_lsp.server import serve_stdio

        code = serve_stdio(UniqueLearner if kind == "fake" else None)  # type: ignore[arg-type]
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)
