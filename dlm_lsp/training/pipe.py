"""A learner's process and the two pipes to it, as its parent sees them: nothing here can block the parent."""

from __future__ import annotations

import logging
import queue
import signal
import subprocess
import threading
from collections.abc import Sequence

from dlm_lsp.training import wire

log = logging.getLogger(__name__)

# What a process gets between the end of its input and being killed, in seconds; it leaves without tidying up.
_FAREWELL = 1.0
# A killed process is gone at once, unless a driver holds it in the kernel. Nobody waits longer for that.
_GONE = 5.0
_NT_ERROR = 0xC0000000  # exit codes from here on say on Windows that the system ended the process

_CRASHES = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP"}


class Gone(Exception):  # noqa: N818 - what became of the process is the caller's to judge
    """No further report will come: the process has ended, or what it says can't be understood."""


class LearnerProcess:
    """Reports are read and requests written on two threads of their own: a full or empty pipe holds only them."""

    def __init__(self, command: Sequence[str]) -> None:
        """Raises OSError when the process can't be started."""
        self._process = subprocess.Popen(
            [*command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            # A terminal's Ctrl-C or its closing reaches the whole group: what becomes of the learner is ours to say.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._reports: queue.SimpleQueue[wire.Report | None] = queue.SimpleQueue()
        self._frames: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._misunderstood = ""
        self._over = False  # the last report was taken
        self._closed = False  # and before that, it had come
        threading.Thread(target=self._read, name="dlm-learner-reports", daemon=True).start()
        threading.Thread(target=self._write, name="dlm-learner-requests", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._closed or self._process.poll() is not None

    def send(self, request: wire.Request) -> None:
        """Never blocks; to a process that is gone it does nothing. Raises WireError when it can't be sent at all."""
        self._frames.put(wire.request_frame(request))

    def receive(self, seconds: float) -> wire.Report | None:
        """The next report; None if there is none within `seconds`. Raises Gone."""
        if self._over:
            raise Gone
        try:
            report = self._reports.get(timeout=seconds)
        except queue.Empty:
            return None
        if report is None:
            self._over = True
            raise Gone
        return report

    def kill(self) -> None:
        """Ends it at once, whatever it does. From any thread; may be repeated."""
        self._process.kill()

    def end(self) -> None:
        """Ends it by the end of its input, or else by force; its memory is free afterwards."""
        self._frames.put(None)
        if not self._wait(_FAREWELL):
            log.warning("the learner's process %d did not end by itself", self.pid)
            self.kill()
            self._wait(_GONE)

    def fate(self) -> str:
        """Makes sure that it is gone; what became of it, to follow "The learner "."""
        if self._misunderstood:
            log.error("ending the learner's process %d: %s", self.pid, self._misunderstood)
            self.kill()
        # The end of a process is known a moment after that of its pipe.
        if not self._wait(_FAREWELL):
            self.kill()
            self._wait(_GONE)
        self._frames.put(None)
        return "said what can't be understood" if self._misunderstood else fate_of(self._process.returncode)

    def _wait(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            for body in wire.frames(self._process.stdout.fileno()):
                self._reports.put(wire.read_report(body))
        except OSError as error:
            log.info("the learner's pipe broke: %s", error)
        except wire.WireError as error:
            self._misunderstood = str(error)
        self._reports.put(None)
        self._closed = True
        self._process.stdout.close()
        # Nobody may ask for a long time, and a dead process stays in the system's table until it is waited for.
        self._process.wait()

    def _write(self) -> None:
        assert self._process.stdin is not None
        try:
            while (frame := self._frames.get()) is not None:
                wire.write(self._process.stdin.fileno(), frame)
        except OSError as error:
            log.debug("the learner's process %d takes no more requests: %s", self.pid, error)
        self._process.stdin.close()


def fate_of(code: int | None) -> str:
    """How a process ended by itself, from its exit code as `subprocess` tells it."""
    if code is None:
        return "does not end"
    if code == -getattr(signal, "SIGKILL", 9):
        return "was killed, probably out of memory"
    if code >= _NT_ERROR:
        return f"crashed (0x{code:08X})"
    if code >= 0:
        return f"ended by itself (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"crashed ({name})" if name in _CRASHES else f"was ended by {name}"
