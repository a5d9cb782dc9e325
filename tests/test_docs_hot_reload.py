"""The promises of docs/hot-reload.md, as docs/reliability.md lists them: their tests exist, and none is lost."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text("utf-8")
PROMISED, _, EXEMPT = PAGE.partition("## Saving while it trains: what is promised")[2].partition("These do not apply:")
ROWS = [line.strip("|").split("|") for line in PROMISED.splitlines() if re.match(r"\| ([0-9]|beyond)", line)]
BEHAVIOURS = range(1, 134)


def numbers(text: str) -> set[int]:
    """Such as "1, 4–6" says."""
    found = re.findall(r"(\d+)(?:–(\d+))?", text)
    return {each for first, last in found for each in range(int(first), int(last or first) + 1)}


@cache
def defined(path: Path) -> frozenset[str]:
    """The tests that a file defines, on its top level or in a class."""
    tree = ast.parse(path.read_text("utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


@pytest.mark.parametrize(("listed", "promise", "test"), ROWS, ids=[row[2].strip(" `") for row in ROWS])
def test_each_row_names_behaviours_and_one_test_that_is_there(listed: str, promise: str, test: str) -> None:
    assert numbers(listed) <= set(BEHAVIOURS)
    assert promise.strip()
    named = re.fullmatch(r" `([\w/]+\.py)::(test_\w+)` ", test)
    assert named, test
    file = TESTS / named[1]
    assert file.is_file(), f"there is no tests/{named[1]}"
    assert named[2] in defined(file), f"tests/{named[1]} has no {named[2]}"


def test_there_are_rows_and_none_is_written_twice() -> None:
    assert len(ROWS) > 30
    twice = [row for row, count in Counter(map(tuple, ROWS)).items() if count > 1]
    assert not twice


def test_every_behaviour_of_the_list_is_promised_or_does_not_apply() -> None:
    promised = set().union(*(numbers(listed) for listed, _, _ in ROWS))
    exempt = set().union(*(numbers(line.partition(":")[0]) for line in EXEMPT.splitlines() if line.startswith("- ")))
    assert not promised & exempt
    assert promised | exempt == set(BEHAVIOURS)
