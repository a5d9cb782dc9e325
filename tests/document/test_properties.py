"""What holds for every text: no exception, places inside, ids that depend on content only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dlm_lsp.document import Document, LineIndex, family, parse, section_id
from tests.document.places import places

HEAD = "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: m\n---\n"
VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
REAL = [case["text"] for case in VECTORS["documents"] if "text" in case]
REAL += [f"{HEAD[:-4]}{case['yaml_tail']}\n---\nx" for case in VECTORS["frontmatter"]]
SYNTH = '<!-- dlm-auto-synth: synth_teacher="t" synth_strategy="s" synth_at="2026-01-01" source_section_id="0" -->'
LINES = st.sampled_from(
    ["", "text", "::instruction::", "::prose::", "::preference::", "::foo::", "::instruction#a::", "```", "### Q", "q",
     "### A", "### Prompt", "### Chosen", "### Rejected", " ::prose::", '::image path="a"::', '::audio path="a"::',
     '<!-- dlm-auto-harvest: source="r" -->', SYNTH, "a\u2028b", "\x0c### A", "### Q !probe", "###Q", "\U0001f600",
     "\x00"]
)  # fmt: skip
BODIES = st.lists(LINES, max_size=14).map("\n".join)
YAML = st.text(alphabet="ab:-[]{}&*!|>'\"#?,%@ \n\t\\uU0189\u2028\ufeff<=.~", max_size=60)
calm = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(text: str) -> Document:
    """Parses, and asserts that every place exists in the text, in order."""
    document = parse(text)
    index = LineIndex(text)
    for place in places(document):
        assert place.start <= place.end
        assert index.clamp(place.start) == place.start
        assert index.clamp(place.end) == place.end
    assert all(problem.message.endswith(".") or "?" in problem.message for problem in document.problems)
    for problem in document.problems:
        assert family(problem.code)
    return document


@calm
@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=80))
@example("")
@example("\ufeff")
@example("---\n\ud800: 1\n---\n\udfff")
def test_any_text_is_parsed(text: str) -> None:
    check(text)


@calm
@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_parsed(raw: bytes, with_head: bool) -> None:
    raw = HEAD.encode() + raw if with_head else raw
    document = parse(raw)
    index = LineIndex(raw.decode("utf-8", "replace"))
    for place in places(document):
        assert index.clamp(place.start) == place.start


@calm
@given(YAML)
@example('"\\ud800": 1')
@example("training: {lora_r: 2026-13-45}")
@example(".nan: 1")
@example("%YAML 1.1\n--- \na: 1")
def test_any_frontmatter_is_read(yaml: str) -> None:
    check(f"---\n{yaml}\n---\nx")


@calm
@given(st.sampled_from(REAL), st.data())
def test_damaged_documents_are_parsed(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 12)))
        text = (
            text[:start] + data.draw(st.text(alphabet=':`#-"{}[]&*\r\n\u2028\x00 aQ\ufeff', max_size=4)) + text[stop:]
        )
    check(text)


@calm
@given(BODIES)
def test_sections_tile_the_body(body: str) -> None:
    document = check(HEAD + body)
    lines = (HEAD + body).split("\n")
    taken: dict[int, str] = {}
    for section in document.sections:
        content = section.content.split("\n") if section.content else []
        last = section.range.end.line
        for number, line in zip(range(last, last - len(content), -1), reversed(content), strict=True):
            assert taken.setdefault(number, line) is line
            assert lines[number] == line
        assert section.section_id == section_id(section.kind, section.content, section.media_path)
    fences_and_markers = ("::", "<!-- dlm-auto-")
    for number, line in enumerate(lines[4:], 4):
        assert number in taken or not line.strip() or line.startswith(fences_and_markers)


@calm
@given(BODIES, st.sampled_from(["\r\n", "\r"]), st.booleans())
def test_line_ends_and_byte_order_mark_change_nothing(body: str, line_end: str, mark: bool) -> None:
    plain = check(HEAD + body)
    twin = check(("\ufeff" if mark else "") + (HEAD + body).replace("\n", line_end))
    assert twin.sections == plain.sections
    assert twin.text == plain.text
    assert [problem.code for problem in twin.problems] == [problem.code for problem in plain.problems]


@calm
@given(BODIES)
def test_appending_a_section_keeps_what_was_learned(body: str) -> None:
    before = parse(f"{HEAD}\n{body}\n::prose::\nlast\n")
    after = parse(f"{HEAD}\n{body}\n::prose::\nlast\n\n::instruction::\n### Q\nnew\n### A\nnewer\n")
    known = [lesson for section in before.sections for lesson in section.lessons]
    assert [lesson for section in after.sections for lesson in section.lessons][: len(known)] == known


def alias_bomb(levels: int) -> str:
    doubling = "".join(f"b{level}: &b{level} [*b{level - 1}, *b{level - 1}]\n" for level in range(1, levels))
    return f"---\nb0: &b0 [x]\n{doubling}---\n"


@pytest.mark.parametrize(
    "text",
    [
        "---\n" + "a: 1\n" * 2_000_000,
        "---\nx: " + "[" * 200_000 + "\n---\n",
        "---\nx: " + "- " * 100_000 + "\n---\n",
        "---\nx: [" + "1," * 100_000 + "]\n---\n",
        alias_bomb(60),
        HEAD + "words and more words\n" * 500_000,
        HEAD + "::word::\n" * 20_000,
        HEAD + "::instruction::\n" + "### Q\n" * 50_000,
        HEAD + "::image" + ' a="b"' * 300_000,
        HEAD + "::" + " " * 2_000_000 + "x",
        HEAD + "`" * 5_000_000,
    ],
    ids=["long frontmatter", "brackets", "dashes", "wide list", "alias bomb", "10 MB", "bad fences", "bad headers",
         "attributes", "blanks", "ticks"],
)  # fmt: skip
@pytest.mark.timeout(20)
def test_hostile_texts_end_soon_and_say_something_bounded(text: str) -> None:
    document = parse(text)
    assert len(document.problems) <= 1_001


@calm
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60), LINES | st.just("\n")), max_size=6), BODIES)
def test_reading_an_edited_text_does_not_depend_on_what_was_read_before(
    edits: list[tuple[int, int, str]], body: str
) -> None:
    text = HEAD + body
    document = parse(text)
    for start, length, insert in edits:
        start = min(len(HEAD) + start, len(text))
        text = text[:start] + insert + text[start + length :]
        document = parse(text, document)
        fresh = parse(text)
        assert document == fresh
        assert document.reading == fresh.reading


def test_what_an_edit_left_alone_is_not_read_again() -> None:
    body = "".join(f"::instruction::\n### Q\nq{number}\n### A\na\n" for number in range(3))
    before = parse(HEAD + body)
    after = parse(HEAD + body.replace("q1", "q1?"), before)
    assert [after.sections[number] is before.sections[number] for number in range(3)] == [True, False, True]
    moved = parse(HEAD + "text\n" + body, before)
    assert [section.start_line for section in moved.sections] == [5, 6, 11, 16]
    assert moved.sections[1].lessons[0] is before.sections[0].lessons[0]
