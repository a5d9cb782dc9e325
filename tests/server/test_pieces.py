"""Answers put together from pieces are those that are made of the whole text; an edit remakes few of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pygls.protocol import default_converter

from benchmarks.documents import document as large
from dlm_lsp.document import Position, parse
from dlm_lsp.document.outline import outline
from dlm_lsp.document.selection import enclosing
from dlm_lsp.document.text import PositionEncoding
from dlm_lsp.document.tokens import tokens
from dlm_lsp.server import pieces, structure
from dlm_lsp.server.convert import Positions
from dlm_lsp.server.highlighting import packed
from dlm_lsp.server.pieces import Pieces
from tests.document.test_reading import EDITS, HEAD, TEXTS

URI = "file:///a%20b.dlm"
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-32"])
plain = default_converter().unstructure


def said(answer: str) -> Any:
    return json.loads(answer)


@settings(max_examples=120, deadline=None)
@given(TEXTS, EDITS, ENCODINGS, st.none() | st.integers(0, 9))
def test_they_say_what_the_whole_text_says(
    text: str, edits: list[tuple[float, int, str]], encoding: PositionEncoding, limit: int | None
) -> None:
    text, kept = HEAD + text, Pieces(encoding)
    document = parse(text)
    for share, length, insert in [(0.0, 0, ""), *edits]:
        start = int(share * len(text))
        text = text[:start] + insert + text[start + length :]
        document = parse(text, document)
        if document.reading is None:
            continue
        found, positions, nodes = kept.of(document, document.reading), Positions(text, encoding), outline(document)
        assert said(pieces.symbols(found)) == plain(structure.symbols(nodes, positions))
        assert said(pieces.flat_symbols(found, URI)) == plain(structure.flat_symbols(nodes, URI, positions))
        assert said(pieces.folds(found, limit)) == plain(structure.folds(nodes, limit))
        whole = tokens(document, nodes)
        assert said(pieces.tokens(found)) == plain(packed(whole, positions))
        part = tuple(each for each in whole if 2 <= each.range.start.line <= 9)
        assert said(pieces.tokens_between(found, 2, 9)) == plain(packed(part, positions))
        lines = document.text.split("\n")
        for number in range(0, len(lines), 3):
            place = Position(number, 2)
            assert enclosing(pieces.nodes(found, place.line), lines, place) == enclosing(nodes, lines, place)


@pytest.mark.parametrize("typed", ["x", "\n", "\U0001f600"])
def test_a_keystroke_makes_one_piece_of_a_thousand_anew(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, kept, made = large(1_000, seed=1), Pieces("utf-16"), []
    before = parse(text)
    assert before.reading is not None
    kept.of(before, before.reading)
    make = pieces.section_node
    monkeypatch.setattr(pieces, "section_node", lambda *given: made.append(given) or make(*given))
    middle = text.index("keeps the", len(text) // 2)
    after = parse(text[:middle] + typed + text[middle:], before)
    assert after.reading is not None
    assert len(kept.of(after, after.reading)) == 1_001
    assert len(made) == 1
    kept.of(after, after.reading)
    assert len(made) == 1
    assert len(kept._sections) == 1_000
