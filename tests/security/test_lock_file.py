"""requirements-dev.lock is in step with pyproject.toml, names no address, and pins everything by hash; offline."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; .*)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", re.MULTILINE)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lock_file_is_in_step_with_what_is_asked_for() -> None:
    lock = script("lock")
    assert LOCK.startswith(lock.head()), "run `make lock`"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned: dict[str, list[str]] = {}
    for name, version in PIN.findall(LOCK):
        pinned.setdefault(name, []).append(version)
    extras = [text for extra in lock.EXTRAS for text in project["optional-dependencies"][extra]]
    for requirement in map(Requirement, [*project["dependencies"], *extras]):
        name = canonicalize_name(requirement.name)
        if name != "torch":
            assert all(requirement.specifier.contains(version) for version in pinned[name]), requirement
    assert "torch" not in pinned


def test_every_line_is_a_pin_with_hashes_and_no_address() -> None:
    assert "://" not in LOCK
    assert "index" not in LOCK.partition("==")[0]
    assert len(PIN.findall(LOCK)) > 60
    rest = PIN.sub("", re.sub(r"^#.*\n", "", LOCK, flags=re.MULTILINE))
    assert rest.strip() == ""


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0),
        (
            [
                {"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]},
                {"name": "b", "skip_reason": ""},
            ],
            1,
        ),
        ([{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}], 2),
        ([], 2),
    ],
)
def test_an_audit_that_could_not_ask_does_not_pass(
    found: list[dict[str, Any]], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("audit").judged("service", found) == code
    said = capsys.readouterr()
    assert ("NOT AUDITED" in said.err) is (code == 2 or any("skip_reason" in each for each in found))
