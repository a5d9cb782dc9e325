"""An edited text is read by what was read before it: the outcome is that of a fresh reading, much cheaper."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.documents import document as large
from dlm_lsp.document import body, frontmatter, parse

HEAD = "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: builtin:tiny\n---\n"
PIECES = st.sampled_from(
    [
        "\n", "\n\n", "\r\n", "\r", " ", "x", "words\n", "::prose::\n", "::instruction::\n", "::instruction#knows::\n",
        "::preference::\n", "::image path=\"a.png\"::\n", "::image::\n", "::wrong::\n", ": :prose::\n", "::", "```\n",
        "```", "### Q\n", "### A\n", "### Q\nq\n### A\na\n", "### Prompt\np\n### Chosen\nc\n### Rejected\nr\n",
        "### Q !probe\n", "# Title\n", "---\n", "---", "--- \n", "tags: [a]\n", "base_model: x\n",
        "training:\n  lora_r: 4\n",
        "\ufeff", "\u2028", "\U0001f600", "\u00e9\n", "\ud800", "<!-- dlm-auto-harvest: source=\"a\" -->\n",
        "<!-- dlm-auto-mined: -->\n", "::instruction::\n### Q\nq\n### A\na\n", "::prose::\ntext\n",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=40).map("".join)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 80), TEXTS | st.just("")), min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(TEXTS, EDITS, st.booleans())
def test_whatever_was_read_before_the_outcome_is_that_of_a_fresh_reading(
    text: str, edits: list[tuple[float, int, str]], framed: bool
) -> None:
    text = HEAD + text if framed else text
    document = parse(text)
    for share, length, insert in edits:
        start = int(share * len(text))
        text = text[:start] + insert + text[start + length :]
        document, fresh = parse(text, document), parse(text)
        assert document == fresh
        assert document.reading == fresh.reading


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_any_other_text_will_do(one: str, other: str) -> None:
    assert parse(HEAD + other, parse(HEAD + one)) == parse(HEAD + other)


class Counted:
    """How many lines the body's tokenizer and how many characters the frontmatter's reader were given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines = self.characters = 0
        tokenize, read = body._Tokenizer.parse, frontmatter.read

        def counting(tokenizer: body._Tokenizer, *, open_end: bool) -> object:
            self.lines += len(tokenizer._lines)
            return tokenize(tokenizer, open_end=open_end)

        monkeypatch.setattr(body._Tokenizer, "parse", counting)

        def reading(lines: list[str], *rest: object) -> object:
            self.characters += sum(map(len, lines))
            return read(lines, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr("dlm_lsp.document.reading.read_frontmatter", reading)


@pytest.mark.parametrize("typed", ["x", "\n", "\n\n::prose::\nmore\n", "é", "\U0001f600"])
@pytest.mark.parametrize("place", ["keeps the", "### Q", "::instruction", "since"])
def test_a_keystroke_reads_some_lines_of_thousands(typed: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = large(1_000, seed=1)
    before, counted = parse(text), Counted(monkeypatch)
    middle = text.index(place, len(text) // 2)
    after = parse(text[:middle] + typed + text[middle:], before)
    assert 0 < counted.lines <= 25
    assert counted.characters == 0
    assert after == parse(after.text)


def test_a_keystroke_in_the_frontmatter_reads_nothing_of_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    text = large(1_000, seed=1)
    before, counted = parse(text), Counted(monkeypatch)
    after = parse(text.replace("builtin:tiny\n", "builtin:tiny\ntags:\n  - new\n", 1), before)
    assert (counted.lines, counted.characters > 0) == (0, True)
    assert after.sections[-1].start_line == before.sections[-1].start_line + 2


def test_many_edits_at_once_read_what_they_touch_and_take_the_rest_over() -> None:
    text = large(1_000, seed=1)
    before = parse(text)
    places = [text.index("Who", len(text) * share // 10) for share in (2, 5, 8)]
    for place in reversed(places):
        text = f"{text[:place]}Please: {text[place:]}"
    after = parse(text, before)
    assert after == parse(text)
    assert sum(one is other for one, other in zip(after.sections, before.sections, strict=True)) == 997


def test_a_code_block_that_is_opened_and_closed_again_gives_back_what_it_swallowed() -> None:
    text = large(50, seed=1)
    before = parse(text)
    middle = text.index("::instruction::", len(text) // 2)
    opened = parse(f"{text[:middle]}```\n{text[middle:]}", before)
    assert len(opened.sections) < 30
    assert [each.code for each in opened.problems] == ["unclosed-code-block"]
    assert parse(text, opened) == before
