"""Asks pip-audit whether what requirements-dev.lock and the Makefile pin has known weaknesses.

Exit code 0: every package was asked for and nothing is known. 1: something is known. 2: some could not be asked for, so
that nothing was learned of them, which is said.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ("pypi", "osv")


def main() -> int:
    pinned = re.search(r"^TORCH\s*\?=\s*(torch==\S+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned is not None, "the Makefile pins no torch"
    with tempfile.TemporaryDirectory() as folder:
        torch = Path(folder, "torch.txt")
        torch.write_text(f"{pinned[1]}\n")
        for service in SERVICES:
            found = [
                *asked(service, ROOT / "requirements-dev.lock", "--require-hashes"),
                *asked(service, torch, "--no-deps"),
            ]
            code = judged(service, found)
            if code != 2:
                return code
    return 2


def asked(service: str, requirements: Path, *options: str) -> list[dict[str, Any]]:
    """What the service says of each package; empty, and the reason told, when it did not answer."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements), "--disable-pip", *options]
    command += ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off", "--timeout", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    try:
        dependencies: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, LookupError):
        said = done.stderr.strip().splitlines() or ["no reason given"]
        sys.stderr.write(f"{service} did not answer about {requirements.name}: {said[-1][:300]}\n")
        return []
    return dependencies


def judged(service: str, found: list[dict[str, Any]]) -> int:
    """Says what was learned; the exit code."""
    weak = [each for each in found if each.get("vulns")]
    unasked = [each["name"] for each in found if "skip_reason" in each]
    for each in weak:
        for known in each["vulns"]:
            fixed = ", ".join(known["fix_versions"]) or "no release yet"
            sys.stdout.write(f"{each['name']} {each['version']}: {known['id']}, mended in {fixed}\n")
    sys.stdout.write(
        f"{service}: {len(found) - len(unasked)} packages were asked for, {len(weak)} have known weaknesses\n"
    )
    if unasked or not found:
        some = ", ".join(unasked[:5])
        sys.stderr.write(f"{service}: NOT AUDITED: {len(unasked) or 'all'} packages ({some or 'no answer'} …)\n")
    return 1 if weak else 2 if unasked or not found else 0


if __name__ == "__main__":
    sys.exit(main())
