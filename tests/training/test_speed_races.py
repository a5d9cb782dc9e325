"""The races against the original tool and TRL: they run on what they say, and tell what was seen."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from benchmarks.speed import beside_original, beside_trl
from benchmarks.speed.bases import BUILTIN, Shape
from benchmarks.speed.beside_original import DOCUMENTS, Learned, Pairs, Took, learned_row, step_row, text
from benchmarks.speed.beside_trl import ADAPTER, Job, base, batches, parameters, shuffled
from dlm_lsp.runs.snapshot import read
from dlm_lsp.training.base_files import read_base


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_both_sides_of_a_race_get_twenty_texts_to_know(kind: str) -> None:
    document = read(text(kind, "hf:org/base", "training:\n  precision: fp32\n"))
    assert document.problems == ()
    assert document.frontmatter is not None
    assert (document.frontmatter.base_model, document.frontmatter.training.precision) == ("hf:org/base", "fp32")
    assert len([lesson for section in document.sections for lesson in section.lessons]) == 20


def test_a_ratio_is_the_median_of_pairs() -> None:
    pairs = Pairs([Took(1, 1), Took(2, 1), Took(1, 1)], [Took(20, 10), Took(20, 12), Took(30, 11)])
    assert pairs.ratio() == (20, 11)
    assert step_row(1, pairs, "").met is True
    assert step_row(10, Pairs([Took(1, 1)], [Took(14.9, 14.9)]), "").met is False
    assert step_row(5, pairs, "").met is None, "there is no goal for five steps"


@pytest.mark.parametrize(
    ("seconds", "known", "met"), [(50, True, True), (30, True, False), (50, False, True), (30, False, None)]
)
def test_what_the_original_never_learned_is_a_lower_bound(seconds: float, known: bool, met: bool | None) -> None:
    found = Learned([Took(1, 1)], [Took(seconds, seconds)], [20], [4], [known])
    row = learned_row(found, "")
    assert row.met is met
    assert row.figure.startswith("≥") is not known


def test_rows_come_again_only_when_all_have_been_there() -> None:
    rows = batches("short", steps=3, rows=8, length=512)
    assert [len(batch) for batch in rows] == [8, 8, 8]
    assert len({row.tokens for batch in rows for row in batch}) > 20
    few = rows[0][:5]
    assert [sorted(row.tokens for row in batch) for batch in shuffled(few, 2, 5)] == [
        sorted(row.tokens for row in few)
    ] * 2
    assert max(len(row.tokens) for batch in batches("long", 2, 8, 128) for row in batch) == 128


def test_the_parameters_of_a_configuration_are_those_of_its_weights(tmp_path: Path) -> None:
    facts = json.loads((BUILTIN / "config.json").read_text(encoding="utf-8"))
    assert parameters(facts) == read_base(BUILTIN, "built-in").parameters


def test_our_side_takes_the_steps_it_is_given(tmp_path: Path) -> None:
    shape = Shape(hidden=64, layers=2, inner=128, heads=4, key_heads=2, vocabulary=4096)
    directory = base(tmp_path / "base", shape)
    job = Job(
        base=str(directory),
        parameters=parameters(json.loads((directory / "config.json").read_text(encoding="utf-8"))),
        adapter=ADAPTER,
        device="cpu",
        precision="fp32",
        threads=1,
        warm=1,
        rows=4,
        accumulation=2,
        batches=[
            [(list(row.tokens), row.first_target) for row in batch] for batch in batches("short", 3, rows=4, length=512)
        ],
    )
    told = beside_trl.child([sys.executable, "-m", "benchmarks.speed.our_steps"], job, dict(os.environ))
    assert isinstance(told, dict)
    assert (told["trained"], told["read"]) == job.work
    assert told["seconds"] > 0
    assert told["parameters"] == 2 * 8 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 128)), "rank 8 on all of two layers"


@pytest.mark.parametrize("module", [beside_original, beside_trl])
def test_without_the_original_s_environment_a_row_says_so(
    module: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLM_INTEROP_ENVIRONMENT", str(tmp_path))
    (row,) = module.rows(quick=True)  # type: ignore[attr-defined]
    assert row.met is None
    assert "make interop" in row.figure
