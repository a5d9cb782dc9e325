"""How before and after is worded: texts of documents and models stay text, whatever marks they hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlm_lsp.document import Position, Range
from dlm_lsp.runs.answer_texts import code_block, code_span, hover_rows, markdown, summary
from dlm_lsp.runs.answers import BASE, Compared, Comparison, Said
from dlm_lsp.server.answers import answer_payload

ONE = Compared(
    question="Who rings?",
    expected="Noor rings it.",
    section_id="a" * 16,
    range=Range(Position(4, 0), Position(8, 0)),
    learned=True,
    before=Said("I do not know."),
    after=Said("Noor rings it."),
)
FOUND = Comparison(3, 1, 3, (ONE,))


def test_a_hover_says_both_and_the_current_version_where_it_says_something_else() -> None:
    assert hover_rows(FOUND) == [
        "before (v0001): `I do not know.`",
        "after (v0003): `Noor rings it.` · word for word",
    ]
    forgotten = replace(FOUND, current=5, answers=(replace(ONE, now=Said("Ulla?")),))
    assert hover_rows(forgotten)[2] == "now (v0005): `Ulla?`"
    same = replace(FOUND, current=5, answers=(replace(ONE, now=ONE.after),))
    assert len(hover_rows(same)) == 2
    gone = replace(FOUND, before=BASE, answers=(replace(ONE, before=None, after=Said("Noor", cut=True)),))
    assert hover_rows(gone) == ["after (v0003): `Noor …` · word for word"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a `b` ``c``", "``` a `b` ``c`` ```"),
        ("two\nlines\tand \x1b[31mred", "`two lines and \\x1b[31mred`"),
        ("", "(nothing)"),
        ("x" * 200, f"`{'x' * 160} …`"),
        ("[link](command:evil) <script>", "`[link](command:evil) <script>`"),
    ],
)
def test_a_span_holds_whatever_there_is(text: str, shown: str) -> None:
    assert code_span(text) == shown


def test_a_block_cannot_be_left_by_what_is_in_it() -> None:
    hostile = "```\n# not a heading\n````\nend"
    block = code_block(hostile)
    assert block.startswith("`````text\n") and block.endswith("\n`````")
    assert code_block("fine") == "```text\nfine\n```"


def test_the_document_holds_every_question_and_says_what_is_missing() -> None:
    other = replace(ONE, question="Who bakes?", before=None, after=Said(""), expected="Ulla.")
    text = markdown("a`b.dlm", replace(FOUND, answers=(ONE, other), left_out=4))
    assert text.startswith("# `` a`b.dlm ``: before and after v0003\n")
    assert "v0003 taught 6 questions: 1 answered word for word, 0 before; 4 of them not asked." in text
    assert "## 1. Line 5 · word for word" in text
    assert "This version is not on disk any more." in text
    assert "(nothing)" in text
    assert summary(replace(FOUND, answers=())) == (
        "v0003 was the first to learn none of the questions that the document holds now"
    )


def test_the_plain_data_says_whether_anything_changed() -> None:
    told = answer_payload(ONE)
    assert (told["before"], told["after"], told["changed"], told["exact"]) == (
        "I do not know.",
        "Noor rings it.",
        True,
        True,
    )
    assert answer_payload(replace(ONE, before=ONE.after))["changed"] is False
