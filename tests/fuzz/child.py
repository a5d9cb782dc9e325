"""One target in a process of its own: fuzzes it, or says how long it takes for one input."""

from __future__ import annotations

import argparse
import logging
import mmap
import os
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.findings import Findings


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--time", type=Path)
    parser.add_argument("--engine", default="plain")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # nothing is printed; a target may look at records
    if given.time is not None:
        from tests.fuzz.findings import timed
        from tests.fuzz.targets import TARGETS

        sys.stdout.write(f"{timed(TARGETS[given.target], given.time.read_bytes())}\n")
        return
    given.work = _elsewhere(given.work)
    if given.engine == "atheris":
        import atheris

        with atheris.instrument_imports(include=["dlm_lsp", "yaml"], enable_loader_override=False):
            found = _findings(given.target, given.work)
    else:
        found = _findings(given.target, given.work)
    from tests.fuzz.engines import guided, plain
    from tests.fuzz.findings import CORPUS

    count = _counter(given.work / "count")

    def run(data: bytes) -> None:
        (inputs,) = struct.unpack("<Q", count[:8])
        count[:8] = struct.pack("<Q", inputs + 1)
        found.run(data)

    corpora = [given.work / "corpus", CORPUS / given.target]
    for folder in corpora:
        folder.mkdir(parents=True, exist_ok=True)
    if given.engine == "atheris":
        artifacts = given.work / "artifacts"
        artifacts.mkdir(exist_ok=True)
        guided(run, seconds=given.seconds, seed=given.seed, corpora=corpora, artifacts=artifacts)
    else:
        plain(run, seconds=given.seconds, seed=given.seed, corpora=corpora)


def _elsewhere(work: Path) -> Path:
    """Relative paths in inputs must not lead into the project."""
    work = work.resolve()
    empty = work / "cwd"
    empty.mkdir(parents=True, exist_ok=True)
    os.chdir(empty)
    return work


def _findings(target: str, work: Path) -> Findings:
    """Imports what is fuzzed, which the caller may have instrumented."""
    from tests.fuzz.findings import Findings
    from tests.fuzz.targets import TARGETS

    return Findings(TARGETS[target], work / "findings")


def _counter(path: Path) -> mmap.mmap:
    """Eight bytes that outlive the process, however it ends: how many inputs were run."""
    if not path.exists():
        path.write_bytes(b"\0" * 8)
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 8)


if __name__ == "__main__":
    main()
