"""The table of cases in README.md is complete and true."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_every_case_is_in_the_table_and_every_test_of_a_case_exists() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\| `(\w+\.py)`: (.*) \|$", (HERE / "README.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 35))
    told = {(file, test) for _, file, tests in rows for test in re.findall(r"`(\w+)`", tests)}
    for number, _, tests in rows:
        assert all(test.startswith(f"test_d{int(number):02d}_") for test in re.findall(r"`(\w+)`", tests)), number
    written = {
        (path.name, test)
        for path in HERE.glob("test_*.py")
        for test in re.findall(r"^def (test_d\d\d_\w+)", path.read_text(), re.MULTILINE)
    }
    assert told == written
