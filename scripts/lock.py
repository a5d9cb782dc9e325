"""Writes requirements-dev.lock: exact versions and hashes of all that development uses, but torch (see SECURITY.md)."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements-dev.lock"
EXTRAS = ("dev", "fuzz", "audit")

# Which build of torch fits depends on the machine, and with it a dozen packages; it is installed first, by its version.
_WITHOUT_TORCH = "torch ; sys_platform == 'never'\n"


def state() -> str:
    """A hash over what pyproject.toml asks for, by which a lock file is known to be in step with it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [project["requires-python"], project["dependencies"], [project["optional-dependencies"][e] for e in EXTRAS]]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def head() -> str:
    return (
        "# Made by `make lock` for Python 3.11 and newer, on any system. torch is not in it: install it first.\n"
        "# pip install --no-deps --require-hashes -r requirements-dev.lock\n"
        f"# pyproject: {state()}\n"
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        overrides = Path(folder, "overrides.txt")
        overrides.write_text(_WITHOUT_TORCH)
        command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet", "--upgrade"]
        command += [part for extra in EXTRAS for part in ("--extra", extra)]
        command += ["--universal", "--python-version", "3.11", "--override", str(overrides), "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        made = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    made = re.sub(r"^torch==.*\n(?: {4}--hash=.*\n)+", "", made, flags=re.MULTILINE)
    if "://" in made:
        sys.stderr.write("the lock file would name an address; nothing was written\n")
        return 1
    LOCK.write_text(head() + made, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
