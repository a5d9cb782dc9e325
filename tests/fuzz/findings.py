"""Findings: inputs that broke what must hold, or took too long; told apart by where they broke, kept small."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.targets import LONGEST, SECONDS, Target

CORPUS = Path(__file__).with_name("corpus")
_REDUCING = 3.0  # seconds that are spent on making a finding small
_TRIES = 3  # how often a slow input is timed again, in a process that nothing watches


class Findings:
    """Runs inputs, and keeps in `folder` one input for each way in which they break."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target = target
        self._folder = folder
        self._known: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, data: bytes) -> None:
        """One input. Nothing that is raised gets out; a hang is the caller's to see."""
        began = time.thread_time()
        broken = how_it_breaks(self._target, data)
        if broken is not None:
            self._keep(broken, data)
        elif time.thread_time() - began > SECONDS and len(data) <= LONGEST:
            self._time_again(data)

    def _keep(self, broken: str, data: bytes) -> None:
        if broken in self._known:
            return
        self._known.add(broken)
        small = reduced(data, lambda part: how_it_breaks(self._target, part) == broken)
        path = self._folder / name_of(broken)
        path.write_bytes(small)
        sys.stderr.write(f"finding in {self._target.name}: {broken} ({len(small)} bytes, {path.name})\n")

    def _time_again(self, data: bytes) -> None:
        if "slow" in self._known:
            return
        path = self._folder / f"slow-{hashlib.sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        seconds = timed_elsewhere(self._target.name, path)
        if seconds > SECONDS:
            self._known.add("slow")
            sys.stderr.write(f"finding in {self._target.name}: {seconds:.1f} s for {len(data)} bytes ({path.name})\n")
        else:
            path.unlink()


def how_it_breaks(target: Target, data: bytes) -> str | None:
    """The kind and the places of what `data` raises, None when all holds."""
    try:
        target.check(data)
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "dlm_lsp" in frame.filename]
        frames += traceback.extract_tb(error.__traceback__)[-1:]
        places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-3:]))
        return f"{type(error).__name__} at {places}"
    return None


def name_of(broken: str) -> str:
    return f"{broken.partition(' ')[0]}-{hashlib.sha256(broken.encode()).hexdigest()[:12]}"


def reduced(data: bytes, still: Callable[[bytes], bool]) -> bytes:
    """A smaller input for which `still` holds, as far as a few seconds go."""
    deadline = time.monotonic() + _REDUCING
    size = max(1, len(data) // 2)
    while time.monotonic() < deadline:
        at, shorter = 0, False
        while at < len(data) and time.monotonic() < deadline:
            part = data[:at] + data[at + size :]
            if still(part):
                data, shorter = part, True
            else:
                at += size
        if size == 1 and not shorter:
            break
        size = size if shorter else max(1, size // 2)
    return data


def timed(target: Target, data: bytes, tries: int = _TRIES) -> float:
    """The seconds of computing that an input takes, the best of a few tries."""
    best = float("inf")
    for _ in range(tries):
        began = time.thread_time()
        how_it_breaks(target, data)
        best = min(best, time.thread_time() - began)
    return best


def timed_elsewhere(name: str, path: Path) -> float:
    """`timed` in a process of its own, without instrumentation."""
    command = [sys.executable, "-m", "tests.fuzz.child", name, "--time", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    return float(done.stdout)
