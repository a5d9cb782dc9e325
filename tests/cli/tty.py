"""A terminal of a person: a pseudo-terminal with a screen, what is typed into it, and what stands on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Self

import pyte
import pytest

_PATIENCE = 60.0


class Tty:
    """`dlm-lsp` in a terminal that is tall enough for nothing to scroll away."""

    def __init__(
        self, home: Path, *arguments: str, columns: int = 100, rows: int = 60, controlling: bool = False
    ) -> None:
        """`controlling`: it is the process' own, whose end the process hears of."""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [*(("setsid", "--ctty") if controlling else ()), sys.executable, "-m", "dlm_lsp", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=not controlling,
            env={**os.environ, "DLM_HOME": str(home), "DLM_THREADS": "1", "TERM": "xterm-256color"},
        )
        os.close(slave)
        self._open = True
        self._screen = pyte.Screen(columns, rows)
        self._screen.write_process_input = self.type  # what a terminal answers to questions of the program
        self._stream = pyte.ByteStream(self._screen)
        self._lines = [""] * rows

    @property
    def shown(self) -> str:
        """The screen, without blanks at the ends of lines."""
        for number in self._screen.dirty:
            line = self._screen.buffer[number]
            self._lines[number] = "".join(line[column].data for column in range(self._screen.columns)).rstrip()
        self._screen.dirty.clear()
        return "\n".join(self._lines).rstrip()

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, pattern: str) -> re.Match[str]:
        """What matches on the screen, as soon as it does; fails with the screen when the process ends before."""
        deadline = time.monotonic() + _PATIENCE
        while not (found := re.search(pattern, self.shown)):
            if not self._more(deadline):
                pytest.fail(f"{pattern!r} was never shown:\n{self.shown}")
        return found

    def end(self) -> int:
        """The exit code, after everything was shown."""
        deadline = time.monotonic() + _PATIENCE
        while self._more(deadline):
            pass
        return self.process.wait(30)

    def _more(self, deadline: float) -> bool:
        """Whether there was anything more to show."""
        if not select.select([self._master], [], [], max(0, deadline - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # how Linux says that nobody has the other end any more
            return False
        self._stream.feed(data)
        return bool(data)

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed, as it does for a shell."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    @property
    def cursor_shown(self) -> bool:
        return not self._screen.cursor.hidden

    def hang_up(self) -> None:
        """The window is closed."""
        if self._open:
            self._open = False
            os.close(self._master)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()
