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


def test_a_line_that_holds_more_than_a_fence_can_be_kept_as_text() -> None:
    text = f"{HEAD}text\n:: instruction of the crew\n"
    (problem,) = parse(text).problems
    assert problem.code == "not-a-fence"
    (fix,) = problem.fixes
    assert applied(text, fix) == f"{HEAD}text\n```\n:: instruction of the crew\n```\n"
    assert not parse(applied(text, fix)).problems


@pytest.mark.parametrize(
    ("body", "title", "becomes"),
    [
        ("::instruction::\nq\n### A\na", "Put `### Q` above it", "::instruction::\n### Q\nq\n### A\na"),
        ("::instruction::\n### Q\nq", "Add `### A`", "::instruction::\n### Q\nq\n\n### A\n"),
        ("::instruction::\n", "Put `### Q`, `### A` below it", "::instruction::\n### Q\n\n### A\n"),
        (
            "::instruction::\n### Q\nq\n### Q\nr\n### A\na",
            "Put `### A` above it",
            "::instruction::\n### Q\nq\n### A\n\n### Q\nr\n### A\na",
        ),
        (
            "::preference::\n### Prompt\np\n### Rejected\nr",
            "Put `### Chosen` above it",
            "::preference::\n### Prompt\np\n### Chosen\n\n### Rejected\nr",
        ),
        ("::foo::\ntext", "Put it into a code block, as text", "```\n::foo::\n```\ntext"),
        ("::instruction#My Tone::\n", "Put it into a code block, as text", "```\n::instruction#My Tone::\n```\n"),
        ("::prose#My-Tone::\ntext", "Change to `::prose#my_tone::`", "::prose#my_tone::\ntext"),
        ("::prose#::\ntext", "Change to `::prose::`", "::prose::\ntext"),
    ],
)
def test_missing_headers_and_meant_texts_are_put_in(body: str, title: str, becomes: str) -> None:
    text = HEAD + body
    found = {fix.title: applied(text, fix) for problem in parse(text).problems for fix in problem.fixes}
    assert found[title] == HEAD + becomes


def test_text_before_a_question_is_nobodys_question() -> None:
    """It may be a question without a header, or a remark: that is the author's to say."""
    (problem,) = parse(f"{HEAD}::instruction::\nstray\n### Q\nq\n### A\na\n").problems
    assert (problem.code, problem.fixes) == ("instruction-stray-text", ())


@pytest.mark.parametrize("text", ["--- \n" + HEAD[4:], HEAD[:-1] + " \n"])
def test_delimiters_lose_their_blanks(text: str) -> None:
    (problem,) = parse(text).problems
    (fix,) = problem.fixes
    assert applied(text, fix) == HEAD


@pytest.mark.parametrize("text", REAL)
def test_every_fix_in_a_real_text_mends(text: str) -> None:
    check(text)


@calm
@given(BODIES, st.sampled_from(["\n", "\r\n", "\r"]))
def test_every_fix_in_any_text_mends(body: str, end: str) -> None:
    check((HEAD + body).replace("\n", end))
