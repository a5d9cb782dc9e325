"""Offsets, positions and client columns, against a plain model of the protocol's rules."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from dlm_lsp.document import LineIndex, Position
from dlm_lsp.document.text import PositionEncoding, normalised

ODD = st.sampled_from(["\r\n", "\r", "\n", "\ufeff", "\U0001f600", "\u2028", "\f", "\x00", "é", "a", "\x85", "\v"])
TEXTS = st.one_of(st.text(), st.lists(ODD, max_size=30).map("".join))
ENCODINGS: tuple[PositionEncoding, ...] = ("utf-8", "utf-16", "utf-32")


@given(TEXTS)
def test_lines_end_at_lf_crlf_and_cr_only(text: str) -> None:
    index = LineIndex(text)
    assert [index.line(number) for number in range(index.line_count)] == re.split(r"\r\n|\r|\n", text)


@given(TEXTS)
def test_every_offset_outside_a_line_end_comes_back(text: str) -> None:
    index = LineIndex(text)
    for offset in range(len(text) + 1):
        inside_crlf = text[offset - 1 : offset + 1] == "\r\n" and offset > 0
        back = index.offset(index.position(offset))
        assert back == (offset - 1 if inside_crlf else offset)


@given(TEXTS)
def test_columns_are_what_a_client_counts_and_come_back(text: str) -> None:
    index = LineIndex(text)
    widths = {"utf-8": lambda s: len(s.encode()), "utf-16": lambda s: len(s.encode("utf-16-le")) // 2, "utf-32": len}
    for number in range(index.line_count):
        line = index.line(number)
        for column in range(len(line) + 1):
            for encoding in ENCODINGS:
                units = index.to_units(Position(number, column), encoding)
                assert units == widths[encoding](line[:column])
                assert index.from_units(number, units, encoding) == Position(number, column)


def test_a_place_inside_a_character_is_its_start() -> None:
    index = LineIndex("a\U0001f600b")
    assert index.from_units(0, 2, "utf-16") == Position(0, 1)
    assert [index.from_units(0, units, "utf-8").column for units in range(7)] == [0, 1, 1, 1, 1, 2, 3]


@given(TEXTS, st.integers(-3, 40), st.integers(-3, 40))
def test_places_outside_are_moved_inside(text: str, line: int, column: int) -> None:
    index = LineIndex(text)
    for place in (index.clamp(Position(line, column)), *(index.from_units(line, column, e) for e in ENCODINGS)):
        assert Position(0, 0) <= place <= index.end
        assert place.column <= len(index.line(place.line))
    assert 0 <= index.offset(Position(line, column)) <= len(text)


@given(TEXTS)
def test_normalising_keeps_lines_and_columns(text: str) -> None:
    before, after = LineIndex(text.removeprefix("\ufeff")), LineIndex(normalised(text))
    assert [before.line(n) for n in range(before.line_count)] == [after.line(n) for n in range(after.line_count)]


LINE_ENDS = st.lists(st.sampled_from(["\r", "\n", "\r\n", "a", "\U0001f600", "\u2028", ""]), max_size=12).map("".join)


@given(LINE_ENDS, st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6), LINE_ENDS), max_size=6))
def test_an_edited_text_has_the_lines_of_a_fresh_one(text: str, edits: list[tuple[int, int, str]]) -> None:
    index = LineIndex(text)
    for start, length, insert in edits:
        start = min(start, len(index.text))
        end = min(start + length, len(index.text))
        fresh = LineIndex(f"{index.text[:start]}{insert}{index.text[end:]}")
        index = index.edited(start, end, insert)
        assert index.text == fresh.text
        assert index.line_count == fresh.line_count
        for number in range(-1, fresh.line_count + 1):
            assert index.line(number) == fresh.line(number)
        for offset in range(len(fresh.text) + 1):
            assert index.position(offset) == fresh.position(offset)
            assert index.offset(index.position(offset)) == fresh.offset(fresh.position(offset))
