"""`python -m tests.fuzz [TARGET …] [--seconds N] [--seed N]`: fuzzes each target in turn and sums up."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.findings import CORPUS
from tests.fuzz.targets import TARGETS

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 300.0  # seconds a target's process may take beyond its time


@dataclass(frozen=True, slots=True)
class Outcome:
    """`corpus`: how many inputs reach different code; 0 where that is not measured."""

    target: str
    inputs: int
    seconds: float
    findings: tuple[Path, ...]
    corpus: int

    def line(self) -> str:
        count = len(self.findings)
        return f"{self.target:<12}| {self.inputs:>10,} | {self.seconds:>7.0f} | {count:>8} | {self.corpus:>6}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of: {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=float, default=30.0, help="for each target (default: 30)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="targets at the same time (default: 1)")
    parser.add_argument("--engine", choices=("atheris", "plain"), help="default: atheris where it is installed")
    parser.add_argument("--work", type=Path, default=_ROOT / "build" / "fuzz", help="keeps the grown corpora")
    given = parser.parse_args()
    if unknown := [name for name in given.targets if name not in TARGETS]:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    engine = given.engine or ("atheris" if importlib.util.find_spec("atheris") else "plain")
    _say(f"engine {engine}, seed {given.seed}, {given.seconds:g} s a target")
    with ThreadPoolExecutor(given.jobs) as pool:
        outcomes = list(
            pool.map(
                lambda name: fuzz(name, engine, given.seconds, given.seed, given.work / name),
                given.targets or TARGETS,
            )
        )
    _say("target      |     inputs | seconds | findings | corpus")
    for outcome in outcomes:
        _say(outcome.line())
    total = Outcome(
        "all",
        sum(each.inputs for each in outcomes),
        sum(each.seconds for each in outcomes),
        tuple(path for each in outcomes for path in each.findings),
        sum(each.corpus for each in outcomes),
    )
    _say(total.line())
    for path in total.findings:
        _say(f"finding kept: {path.relative_to(_ROOT)}")
    return 1 if total.findings else 0


def fuzz(target: str, engine: str, seconds: float, seed: int, work: Path) -> Outcome:
    """One target; its process is started again when an input ended it."""
    for name in ("findings", "artifacts", "count"):
        path = work / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    began, left = time.monotonic(), seconds
    while True:
        command = [sys.executable, "-m", "tests.fuzz.child", target, "--engine", engine, "--work", str(work)]
        command += ["--seconds", f"{left:.0f}", "--seed", str(seed)]
        environment = os.environ | {"PYTHONPATH": str(_ROOT)}
        log = work / "log"
        with log.open("w") as file:
            child = subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
            try:
                child.wait(left + _PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                sys.stderr.write(f"{target}: was ended {_PATIENCE:.0f} s after its time; the machine may be busy\n")
                break
        said = log.read_text(errors="replace")
        sys.stderr.writelines(line for line in said.splitlines(keepends=True) if line.startswith("finding"))
        if child.returncode and not any(work.glob("artifacts/*")):
            raise SystemExit(f"{target}: the fuzzing process ended with {child.returncode}:\n{said[-3000:]}")
        left = seconds - (time.monotonic() - began)
        if left < 1:
            break
        seed += 1  # the same seed would end it the same way
    counted = work / "count"
    (inputs,) = struct.unpack("<Q", counted.read_bytes()) if counted.exists() else (0,)
    found = tuple(kept(target, path) for path in sorted([*work.glob("findings/*"), *work.glob("artifacts/*")]))
    corpus = len(list((work / "corpus").glob("*")))
    return Outcome(target, inputs, time.monotonic() - began, found, corpus)


def kept(target: str, path: Path) -> Path:
    """The place in the committed corpus where the tests find a finding from now on."""
    data = path.read_bytes()
    place = CORPUS / target / f"{path.name.partition('-')[0]}-{hashlib.sha256(data).hexdigest()[:12]}"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
