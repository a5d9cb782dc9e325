"""Makes the environment of the original tool, or finds it made, and prints the path of its interpreter.

Standard library only: run by `make interop` before anything else. It lies outside the tree, in
`$DLM_INTEROP_ENVIRONMENT`, else `$XDG_CACHE_HOME/dlm-lsp/interop`, else `~/.cache/dlm-lsp/interop`, in a folder
named after what it holds: other pins or another Python are another environment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def folder() -> Path:
    """Where the environment for these pins, this Python and this kind of machine belongs."""
    given = os.environ.get("DLM_INTEROP_ENVIRONMENT")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    place = Path(given) if given else cache / "dlm-lsp" / "interop"
    kind = f"{sys.version_info[0]}.{sys.version_info[1]} {sysconfig.get_platform()}\n"
    digest = hashlib.sha256(kind.encode() + REQUIREMENTS.read_bytes()).hexdigest()
    return place.expanduser().absolute() / digest[:16]


def interpreter(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def make(environment: Path) -> None:
    """A virtual environment with exactly the pins. A half-made one is begun anew."""
    shutil.rmtree(environment, ignore_errors=True)
    environment.parent.mkdir(parents=True, exist_ok=True)
    python, torch = str(interpreter(environment)), _pin("torch")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", str(environment)],
        [*install, torch],
        [*install, "--requirement", str(REQUIREMENTS)],
        [python, "-m", "pip", "--disable-pip-version-check", "check"],
    ):
        subprocess.run(command, check=True, stdout=sys.stderr)
    _mark(environment).touch()


def main() -> int:
    environment = folder()
    if not _mark(environment).exists():
        sys.stderr.write(f"installing the original tool into {environment}\n")
        make(environment)
    sys.stdout.write(f"{interpreter(environment)}\n")
    return 0


def _pin(package: str) -> str:
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"{package}=="))


def _mark(environment: Path) -> Path:
    return environment / ".complete"


if __name__ == "__main__":
    sys.exit(main())
