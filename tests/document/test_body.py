"""Fences, code blocks, markers, exchanges: what a body says, and what is told of its slips."""

from __future__ import annotations

import pytest

from dlm_lsp.document import Document, Position, Range, parse

FIRST = 4  # the line of the body's first line


def body(*lines: str) -> Document:
    return parse("\n".join(["---", "dlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7", "base_model: m", "---", *lines]))


def span(line: int, start: int, end: int) -> Range:
    return Range(Position(FIRST + line, start), Position(FIRST + line, end))


def told(found: Document) -> list[tuple[str, Range]]:
    return [(problem.code, problem.range) for problem in found.problems]


def test_all_problems_are_told_and_sections_are_kept() -> None:
    found = body("::Instruction::", "### Q", "q", "### A", "a", "::image::", "::instruction#Bad::", "### Q", "q2")
    assert told(found) == [
        ("unknown-fence", span(0, 0, 15)),
        ("attributes-required", span(5, 0, 9)),
        ("bad-adapter-name", span(6, 0, 19)),
        ("instruction-incomplete", span(7, 0, 5)),
    ]
    assert [section.kind for section in found.sections] == ["instruction", "image", "instruction"]
    assert "Did you mean `::instruction::`?" in found.problems[0].message
    assert not any(section.lessons for section in found.sections)


@pytest.mark.parametrize(
    ("line", "start", "end"),
    [
        ("::instruction:: ", 0, 15),
        ("  ::prose::", 2, 11),
        ("\u200b::prose::", 1, 10),
        (":: instruction ::", 0, 17),
        ("::instruction", 0, 13),
        ("::instruction: :", 0, 16),
        (":instruction::", 0, 14),
        ("：：prose：：", 0, 9),
        ("::image path=foo.png::", 0, 22),
        ('::image#a path="x"::', 0, 20),
        ("::image path=“x”::", 0, 18),
        ('::Image path="x"::', 0, 18),
        ("::prose:: and more", 0, 18),
    ],
)
def test_what_looks_like_a_fence_and_is_not_one_is_told(line: str, start: int, end: int) -> None:
    found = body("before", line, "after")
    assert told(found) == [("not-a-fence", span(1, start, end))]
    assert [section.content for section in found.sections] == [f"before\n{line}\nafter"]
    assert found.trainable


@pytest.mark.parametrize(
    "line", ["a::b", "::::", "std::vector", "::images of it", "Prose: text", "::émotion::", "~~~ ::prose::x"]
)
def test_ordinary_text_with_colons_is_not_told(line: str) -> None:
    assert not body(line).problems
    assert not body("```", " ::prose::", "```").problems


def test_an_unclosed_code_block_is_told_at_its_backticks() -> None:
    found = body("text", "::prose::", "more", "````py", "::instruction::")
    (problem,) = found.problems
    assert (problem.code, problem.range) == ("unclosed-code-block", span(3, 0, 4))
    assert problem.related[0].range == span(1, 0, 9)
    assert [section.content for section in found.sections] == ["text", "more\n````py\n::instruction::"]


@pytest.mark.parametrize(
    ("line", "start", "end"),
    [
        ('::image path="a" path="b"::', 17, 21),
        ('::image path="a" size="b"::', 17, 21),
        ('::image path="é"::', 14, 15),
        ('::image alt="a"::', 0, 17),
        ('::prose x="y"::', 0, 15),
    ],
)
def test_bad_attributes_are_told_where_they_are(line: str, start: int, end: int) -> None:
    assert told(body(line)) == [("bad-attribute", span(0, start, end))]


MINED = (
    '<!-- dlm-auto-mined: judge_name="j" judge_score_chosen="1.5" judge_score_rejected="-2" '
    'mined_at="2026-01-01T00:00:00Z" mined_run_id="3" -->'
)
RECORD = ("### Prompt", "p", "### Chosen", "c", "### Rejected", "r")


def test_markers_are_lifted_and_count_as_lines() -> None:
    found = body("::preference::", '<!-- dlm-auto-harvest: source="run" -->', MINED, *RECORD)
    (section,) = found.sections
    assert not found.problems
    assert section.content == "\n".join(RECORD)
    assert (section.harvest_source, section.judge_score_rejected, section.mined_run_id) == ("run", -2.0, 3)
    (record,) = section.exchanges
    assert (record.prompt, record.answer, record.rejected) == ("p", "c", "r")
    assert record.range == Range(Position(FIRST + 3, 0), Position(FIRST + 8, 1))
    assert section.lessons == ()


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('"3"', '"0"', "at least 1"),
        ('"3"', '"x"', "integer"),
        ('"1.5"', '"nan"', "finite"),
        ("2026-01-01T", "2026-13-01T", "ISO 8601"),
        ('judge_name="j" ', "", "judge_name"),
        (" -->", ' judge_name="k" -->', "twice"),
        (" -->", ' more="k" -->', "no attribute `more`"),
        (" -->", " junk -->", "malformed"),
    ],
)
def test_a_bad_marker_is_told_at_its_fence_with_its_place(old: str, new: str, word: str) -> None:
    found = body("::preference::", MINED.replace(old, new), *RECORD)
    (problem,) = found.problems
    assert (problem.code, problem.range) == ("bad-marker", span(0, 0, 14))
    assert word in problem.message
    assert problem.related[0].range.start.line == FIRST + 1


def test_exchanges_keep_blank_lines_and_have_exact_ranges() -> None:
    found = body(
        "::instruction::",
        "",
        " ### Q ",
        "q",
        "",
        "### A",
        "",
        "one",
        "",
        "two",
        "",
        "### Q !probe",
        "r",
        "### A",
        "s",
        "",
    )
    (section,) = found.sections
    first, second = section.exchanges
    assert (first.prompt, first.answer, first.probe) == ("q", "one\n\ntwo", False)
    assert first.range == Range(Position(FIRST + 2, 1), Position(FIRST + 9, 3))
    assert (second.prompt, second.answer, second.probe) == ("r", "s", True)
    assert [lesson.prompt for lesson in section.lessons] == ["q", "r"]


def test_every_mistake_in_a_section_is_told_and_good_exchanges_stay() -> None:
    found = body(
        "::instruction::", "loose", "### Q", "q", "### A", "a", "### A", "b", "### Q", "### A", "c", "### Q", "d"
    )
    assert told(found) == [
        ("instruction-stray-text", span(1, 0, 5)),
        ("instruction-order", span(6, 0, 5)),
        ("instruction-empty-body", span(9, 0, 5)),
        ("instruction-incomplete", span(11, 0, 5)),
    ]
    assert found.problems[2].related[0].range == span(8, 0, 5)
    (section,) = found.sections
    assert [item.prompt for item in section.exchanges] == ["q"]
    assert section.lessons == ()


def test_other_line_ends_split_a_section_but_not_the_text() -> None:
    found = body("::instruction::", "### Q\x0cq\u2028q2\x0c### A\x0ca\x0c### Q")
    (exchange,) = found.sections[0].exchanges
    assert (exchange.prompt, exchange.answer) == ("q\nq2", "a")
    assert exchange.range == span(1, 0, 18)
    assert told(found) == [("instruction-empty-body", span(1, 19, 24))]


@pytest.mark.parametrize("line", ["###Q", "### q", "## A", "### Answer", "### Q:", "### Q !prob"])
def test_what_looks_like_a_header_and_is_not_one_is_told(line: str) -> None:
    found = body("::instruction::", "### Q", "q", "### A", "a", line, "more")
    assert told(found) == [("not-a-header", span(5, 0, len(line)))]
    assert found.sections[0].exchanges[0].answer == f"a\n{line}\nmore"


def test_a_question_with_two_answers_is_told() -> None:
    first, second = ("### Q", "When?", "### A", "At five.", ""), ("### Q", "When?", "", "### A", "At six.")
    found = body("::instruction::", *first, *second, "::instruction#other::", *first)
    (problem,) = [each for each in found.problems if each.code == "two-answers"]
    assert problem.range.start == Position(FIRST + 6, 0)
    assert problem.related[0].range.start == Position(FIRST + 1, 0)
    assert found.trainable
    prose = body("# Notes", "One.", "::instruction::", *first, "::prose::", "# Notes", "Two.")
    assert told(prose) == []


def test_a_lesson_that_stands_twice_is_told() -> None:
    exchange = ("### Q", "q", "### A", "a")
    found = body(
        "same", "::instruction::", *exchange, "", "::instruction#other::", *exchange, "::prose::", "", "same", ""
    )
    assert told(found) == [
        ("duplicate-lesson", Range(Position(FIRST + 8, 0), Position(FIRST + 11, 1))),
        ("duplicate-lesson", Range(Position(FIRST + 12, 0), Position(FIRST + 14, 4))),
    ]
    assert found.problems[0].related[0].range == Range(Position(FIRST + 2, 0), Position(FIRST + 5, 1))
    assert found.trainable
