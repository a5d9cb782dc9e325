"""The original tool as another process: its commands, and its own code asked for what it reads."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

IN_ORIGINAL = Path(__file__).with_name("in_original.py")


class Answers:
    """A running process of the original's code that says one JSON object a line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it ended with code {self.process.wait()} and said nothing"
        return json.loads(line)  # type: ignore[no-any-return]

    def go_on(self) -> int:
        """Lets it go on to its end; its exit code."""
        self.process.communicate("\n")
        return self.process.returncode


@dataclass(frozen=True)
class Original:
    """Runs on `home`, with the models of `environment` (HF_HOME, HF_ENDPOINT) and nothing of ours to import."""

    python: Path
    environment: Mapping[str, str]
    home: Path

    def at(self, home: Path) -> Original:
        return replace(self, home=home)

    def dlm(self, *arguments: str | Path, code: int = 0) -> str:
        """Runs a command of it to its end; what it wrote to standard output. All is told if it ends otherwise."""
        command = [str(self.python), "-m", "dlm", *map(str, arguments)]
        done = subprocess.run(command, env=self._env(), capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def show(self, document: Path) -> dict[str, Any]:
        return json.loads(self.dlm("show", document, "--json"))  # type: ignore[no-any-return]

    def prompt(self, document: Path, question: str) -> str:
        """Its greedy answer."""
        return self.dlm("prompt", "--temp", "0", "--max-tokens", "40", document, question).strip()

    def read(self, dlm_id: str, document: Path) -> dict[str, Any]:
        """The store as its own readers see it (see in_original.py)."""
        with self.process("read", str(self.home), dlm_id, str(document)) as asked:
            return asked.hear()

    @contextmanager
    def holding(self, dlm_id: str) -> Iterator[Answers]:
        """A process of it that holds the store's lock until it may go on."""
        with self.process("hold", str(self.home), dlm_id) as holder:
            assert holder.hear() == {"held": holder.pid}
            yield holder

    @contextmanager
    def process(self, *arguments: str) -> Iterator[Answers]:
        command = [str(self.python), str(IN_ORIGINAL), *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, env=self._env(), text=True, encoding="utf-8", **pipes) as process:  # type: ignore[call-overload]
            try:
                yield Answers(process)
            finally:
                process.kill()

    def _env(self) -> dict[str, str]:
        ours = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "HF_HUB_OFFLINE"}
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        return {**kept, **self.environment, "DLM_HOME": str(self.home), "COLUMNS": "200"}
