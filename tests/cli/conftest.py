"""The command line as a person runs it: a process of its own, read line by line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

DLM_ID = "01HZ4X7TGZM3J1A2B3C4D5E6F7"
SINGING = " ".join(["la"] * 16)  # a question that the built-in base answers by singing on until it is stopped
SLOW = "training:\n  learning_rate: 1.0e-7\n"  # nothing is ever learned: a run takes all of its steps


def text(*exchanges: tuple[str, str], settings: str = "") -> str:
    body = "".join(f"\n::instruction::\n### Q\n{question}\n### A\n{answer}\n" for question, answer in exchanges)
    return f"---\ndlm_id: {DLM_ID}\nbase_model: builtin:tiny\n{settings}---\n{body}"


class Command:
    """A running `dlm-lsp`, and what it has printed so far."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dlm_lsp", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env={**os.environ, "DLM_HOME": str(home), "DLM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        )

    def until(self, part: str) -> str:
        """The next line that holds `part`; fails with all that was printed when the process ends before it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if part in line:
                return line
        pytest.fail(f"{part!r} was never printed:\n" + "\n".join(self.lines))

    def end(self) -> int:
        """The exit code, after everything was read."""
        assert self.process.stdout is not None
        self.lines += self.process.stdout.read().splitlines()
        return self.process.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    return folder / "notes.dlm"
