"""What a problem offers to change really mends it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlm_lsp.document import Document, Fix, LineIndex, Problem, parse
from tests.document.test_properties import BODIES, HEAD, REAL, calm


def applied(text: str, fix: Fix) -> str:
    """`text` with the fix made, as an editor makes it."""
    index = LineIndex(text)
    return text[: index.offset(fix.range.start)] + fix.text + text[index.offset(fix.range.end) :]


def count(document: Document, code: str) -> int:
    return sum(problem.code == code for problem in document.problems)


def check(text: str) -> int:
    """Every fix takes its problem away, and brings no new one of the kind. Returns how many there were."""
    document = parse(text)
    fixes: list[tuple[Problem, Fix]] = [(problem, fix) for problem in document.problems for fix in problem.fixes]
    for problem, fix in fixes:
        mended = parse(applied(text, fix))
        assert count(mended, problem.code) < count(document, problem.code), (problem, fix)
    return len(fixes)


@pytest.mark.parametrize(
    ("text", "title", "line", "becomes"),
    [
        ("---\ndlm_id: x\nbase_modle: m\n---\n", "Change to `base_model`", 2, "base_model: m"),
        (f"{HEAD[:-4]}training: {{adapter: lorra}}\n---\n", "Change to `lora`", 3, "training: {adapter: lora}"),
        (f"{HEAD}::instructions::\n### Q\nq\n### A\na", "Change to `::instruction::`", 4, "::instruction::"),
        (f"{HEAD}::Instruction#a::\n### Q\nq\n### A\na", "Change to `::instruction#a::`", 4, "::instruction#a::"),
        (f"{HEAD}::image::\n", 'Change to `::image path=""::`', 4, '::image path=""::'),
        (f"{HEAD}text\n ::prose::\nmore", "Change to `::prose::`", 5, "::prose::"),
        (f"{HEAD}text\n:instruction:\nmore", "Change to `::instruction::`", 5, "::instruction::"),
        (f"{HEAD}::instruction::\n### Q\nq\n### A\na\n### answer\nb", "Change to `### A`", 9, "### A"),
        (f"{HEAD}::instruction::\n### Q\nq\n### A\na\n###\u2003q !x\nb", "Change to `### Q !probe`", 9, "### Q !probe"),
    ],
)
def test_a_slip_is_mended(text: str, title: str, line: int, becomes: str) -> None:
    fixes = [fix for problem in parse(text).problems for fix in problem.fixes]
    assert title in [fix.title for fix in fixes]
    mended = applied(text, next(fix for fix in fixes if fix.title == title))
    assert mended.split("\n")[line] == becomes


def test_a_missing_base_becomes_the_built_in_one() -> None:
    text = "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\n---\ntext\n"
    assert check(text) == 1
    (problem,) = parse(text).problems
    assert parse(applied(text, problem.fixes[0])).trainable


@pytest.mark.parametrize("only", [True, False])
def test_an_exact_duplicate_is_removed_and_nothing_else(only: bool) -> None:
    more = "" if only else "### Q\nother\n### A\nyes\n"
    section = "::instruction::\n### Q\nq\n### A\na\n"
    text = f"{HEAD}{section}{section}{more}::prose::\nend\n"
    assert check(text) == 1
    (problem,) = parse(text).problems
    mended = parse(applied(text, problem.fixes[0]))
    assert not mended.problems
    assert [len(each.exchanges) for each in mended.sections] == [1, 0] if only else [1, 1, 0]


def test_a_line_that_holds_more_than_a_fence_is_left_to_the_author() -> None:
    document = parse(f"{HEAD}text\n:: instruction of the crew\n")
    assert [problem.code for problem in document.problems] == ["not-a-fence"]
    assert not document.problems[0].fixes


@pytest.mark.parametrize("text", REAL)
def test_every_fix_in_a_real_text_mends(text: str) -> None:
    check(text)


@calm
@given(BODIES, st.sampled_from(["\n", "\r\n", "\r"]))
def test_every_fix_in_any_text_mends(body: str, end: str) -> None:
    check((HEAD + body).replace("\n", end))
