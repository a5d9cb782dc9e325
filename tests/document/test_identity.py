"""Section ids that other tools share, and lesson identities that only content changes."""

from __future__ import annotations

from dlm_lsp.document import Lesson, Position, parse, section_id, sourced_section

HEAD = "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: m\n---\n"


def lessons(body: str) -> list[Lesson]:
    return [lesson for section in parse(HEAD + body).sections for lesson in section.lessons]


def test_section_ids_are_the_formats_own() -> None:
    assert section_id("prose", "hello\n") == "d9540ebbd713c433"
    assert section_id("prose", "\ufeffhello") == section_id("prose", "hello") == "0c3a792e443908ce"
    assert section_id("instruction", "### Q\nq\n### A\na") == "876ee20f352437a2"
    assert section_id("instruction", "### Q\r\nq\r### A\na\n") == "c3b42b450d0a12df"
    assert section_id("instruction", "") == "6450ab006a4d2029"
    assert section_id("image", "any caption", "f.png") == "32cd00beefbfa1f6"


def test_blank_lines_at_the_edges_do_not_change_what_is_learned() -> None:
    (plain,) = lessons("  some\n\n  text")
    assert lessons("\n \n  some\n\n  text  \n\n") == [plain]
    assert plain.answer == "  some\n\n  text"
    assert lessons("some\n  text") != [plain]
    (exchange,) = lessons("::instruction::\n### Q\nq\n### A\na")
    assert lessons("::instruction#other::\n\n### Q\n\nq\n### A\na\n\n") == [exchange]


def test_the_anchor_stays_when_the_answer_changes() -> None:
    before, after = lessons("::instruction::\n### Q\nq\n### A\na\n### Q\nq\n### A\nb")
    assert before.anchor == after.anchor
    assert before.identity != after.identity
    (text,), (longer,) = lessons("Title\nold"), lessons("\nTitle \nnew")
    assert text.anchor == longer.anchor != before.anchor


def test_parts_do_not_run_together() -> None:
    one, two = lessons("::instruction::\n### Q\nab\n### A\nc\n### Q\na\n### A\nbc")
    assert one.identity != two.identity


def test_sections_that_are_not_learned_have_no_lessons() -> None:
    assert not lessons('::preference::\n### Prompt\np\n### Chosen\nc\n### Rejected\nr\n::image path="a"::\ntext')


def test_a_sourced_file_is_a_prose_section() -> None:
    section = sourced_section("b.py", "\ufeffx = 1\r\ny\r")
    assert section.content == "# source: b.py\n\nx = 1\ny\n"
    assert section.section_id == "1c6563a6ff3b2b70"
    assert (section.origin, section.start_line, section.range.end) == ("b.py", 0, Position(2, 0))
    assert section.lessons[0].answer == "# source: b.py\n\nx = 1\ny"
    assert section.lessons[0].anchor == sourced_section("b.py", "other").lessons[0].anchor
    assert sourced_section("e.md", " \n").lessons == ()
