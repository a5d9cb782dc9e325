"""A small torture with every test run; the long one is `make torture`."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.mark.timeout(180)
def test_forty_kills_lose_nothing() -> None:
    program = [sys.executable, "-m", "tests.torture", "--kills", "40", "--seed", "5", "--real", "0.15"]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "violations: 0" in done.stdout
    # A kill at a random instant may meet the life after the one that it was meant for, and is one more then.
    told = re.search(r"(\d+) kills in", done.stdout)
    assert told is not None, done.stdout
    assert int(told[1]) >= 40
