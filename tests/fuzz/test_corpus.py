"""What broke once does not break again: each kept input, and a few new ones of a fixed seed, in every test run."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.__main__ import Outcome, fuzz
from tests.fuzz.engines import mutated, seeds_of
from tests.fuzz.findings import CORPUS, Findings, how_it_breaks, reduced, timed
from tests.fuzz.targets import LONGEST, SECONDS, TARGETS, Target

KEPT = sorted(path for path in CORPUS.glob("*/*") if path.is_file())
NEW = 60
"""Inputs a target; finding things is what `make fuzz` is for."""


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_every_kept_input_and_a_few_new_ones_hold_in_time(target: Target) -> None:
    kept = seeds_of([CORPUS / target.name])
    assert len(kept) > 3, f"{target.name} has no seeds"
    rng = random.Random(f"a fixed seed for {target.name}")
    for data in (*kept, *(mutated(rng, kept) for _ in range(NEW))):
        assert how_it_breaks(target, data) is None, data
        assert timed(target, data, tries=1) < SECONDS or timed(target, data) < SECONDS, data


def test_the_corpus_is_small_and_of_known_targets() -> None:
    assert {path.parent.name for path in KEPT} == set(TARGETS)
    assert sum(path.stat().st_size for path in KEPT) < 512 * 1024
    assert max(path.stat().st_size for path in KEPT) <= LONGEST


def broken(data: bytes) -> None:
    if b"ab" in data:
        raise ZeroDivisionError
    if b"xy" in data:
        raise KeyError


def test_a_finding_is_kept_once_for_each_way_to_break_and_made_small(tmp_path: Path) -> None:
    findings = Findings(Target("t", broken), tmp_path)
    for data in (b"", b"-" * 500 + b"ab" + b"-" * 500, b"abab", b"--xy", b"xyxy"):
        findings.run(data)
    assert sorted(path.name.partition("-")[0] for path in tmp_path.iterdir()) == ["KeyError", "ZeroDivisionError"]
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"ab", b"xy"]


def test_an_input_that_takes_long_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(data: bytes) -> None:
        sum(range(200_000))

    monkeypatch.setattr("tests.fuzz.findings.SECONDS", 1e-6)
    monkeypatch.setattr("tests.fuzz.findings.timed_elsewhere", lambda name, path: 2.0)
    Findings(Target("t", slow), tmp_path).run(b"x")
    assert [path.name.partition("-")[0] for path in tmp_path.iterdir()] == ["slow"]


def test_reducing_keeps_what_matters() -> None:
    holds: Callable[[bytes], bool] = lambda data: data.startswith(b"a") and b"z" in data  # noqa: E731
    assert reduced(b"a" + b"-" * 300 + b"z" + b"-" * 300, holds) == b"az"


def test_the_program_runs_a_target_and_counts(tmp_path: Path) -> None:
    """In a process of its own, with the engine that needs nothing installed."""
    outcome = fuzz("framing", "plain", 1, 1, tmp_path)
    assert isinstance(outcome, Outcome)
    assert outcome.inputs > 100
    assert outcome.findings == ()
    assert outcome.line().count("|") == 4
