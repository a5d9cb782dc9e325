"""The server's copy of a text equals the client's after every change, whatever is edited, in each encoding."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import types
from pygls.protocol import default_converter

from dlm_lsp.document import Position
from dlm_lsp.document.text import LineIndex, PositionEncoding
from dlm_lsp.server.documents import Documents
from tests.protocol import edits, reference

URI = "file:///folder/a.dlm"
ENCODINGS: tuple[PositionEncoding, ...] = ("utf-8", "utf-16", "utf-32")
_converter = default_converter()


def structured(changes: list[dict[str, Any]]) -> list[types.TextDocumentContentChangeEvent]:
    """As they arrive at the server's handler."""
    plain = {"textDocument": {"uri": URI, "version": 1}, "contentChanges": changes}
    return list(_converter.structure(plain, types.DidChangeTextDocumentParams).content_changes)


def opened(text: str, encoding: PositionEncoding = "utf-16") -> Documents:
    documents = Documents()
    documents.encoding = encoding
    documents.open(URI, text, 1)
    return documents


def after(text: str, *changes: dict[str, Any], encoding: PositionEncoding = "utf-16") -> str:
    document = opened(text, encoding).change(URI, 2, structured(list(changes)))
    assert document is not None
    return document.now.text


def ranged(line: int, character: int, end_line: int, end_character: int, text: str) -> dict[str, Any]:
    places = {"line": line, "character": character}, {"line": end_line, "character": end_character}
    return {"range": dict(zip(("start", "end"), places, strict=True)), "text": text}


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=300)
@given(text=edits.texts, history=edits.histories())
def test_the_mirror_equals_the_reference_after_each_message(
    encoding: PositionEncoding, text: str, history: list[list[dict[str, Any]]]
) -> None:
    documents = opened(text, encoding)
    for version, changes in enumerate(history, start=2):
        for change in changes:
            text = reference.changed(text, change, encoding)
        document = documents.change(URI, version, structured(changes))
        assert document is not None
        assert (document.now.text, document.now.version) == (text, version)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=edits.texts, place=edits.places())
def test_places_equal_the_references(encoding: PositionEncoding, text: str, place: reference.Place) -> None:
    index = LineIndex(text)
    at = index.offset(index.from_units(place["line"], place["character"], encoding))
    assert at == reference.offset(text, place, encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=edits.texts, data=st.data())
def test_what_the_server_tells_is_where_the_client_finds_it(
    encoding: PositionEncoding, text: str, data: st.DataObject
) -> None:
    """Every place of the text, told in the client's units, is that place again for the reference."""
    index = LineIndex(text)
    line = data.draw(st.integers(0, index.line_count - 1))
    column = data.draw(st.integers(0, len(index.line(line))))
    told = {"line": line, "character": index.to_units(Position(line, column), encoding)}
    assert reference.offset(text, told, encoding) == index.offset(Position(line, column))


# What the random edits meet sooner or later, as examples to read.


def test_lines_end_where_the_protocol_says_and_nowhere_else() -> None:
    for no_end in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00":
        assert after(f"a{no_end}b\nc", ranged(1, 0, 1, 1, "X")) == f"a{no_end}b\nX"
    for end in ("\n", "\r", "\r\n"):
        assert after(f"a{end}b", ranged(1, 0, 1, 1, "X")) == f"a{end}X"
    assert after("a\n\rb", ranged(2, 0, 2, 1, "X")) == "a\n\rX"


def test_a_place_beyond_a_line_is_before_what_ends_it() -> None:
    assert after("ab\r\ncd", ranged(0, 99, 0, 99, "!")) == "ab!\r\ncd"
    assert after("ab\ncd", ranged(0, 99, 1, 0, "")) == "abcd"
    assert after("ab\ncd", ranged(0, 1, 99, 0, "!")) == "a!"
    assert after("ab\ncd", ranged(1, 99, 99, 99, "!")) == "ab\ncd!"
    assert after("", ranged(5, 5, 9, 9, "!")) == "!"


def test_columns_count_what_was_agreed_on() -> None:
    text = "é😀𝒳b"
    for encoding, column in (("utf-8", 10), ("utf-16", 5), ("utf-32", 3)):
        assert after(text, ranged(0, column, 0, column, "|"), encoding=encoding) == "é😀𝒳|b"  # type: ignore[arg-type]


def test_half_a_character_is_its_start() -> None:
    assert after("a😀b", ranged(0, 2, 0, 2, "|")) == "a|😀b"
    assert after("a😀b", ranged(0, 2, 0, 3, "|")) == "a|b"
    assert after("aéb", ranged(0, 2, 0, 3, "|"), encoding="utf-8") == "a|b"


def test_an_inverted_range_is_the_range_between_its_ends() -> None:
    assert after("abcdef", ranged(0, 4, 0, 2, "X")) == "abXef"
    assert after("ab\ncd", ranged(1, 1, 0, 1, "")) == "ad"


def test_changes_of_one_message_build_on_each_other() -> None:
    assert after("abc", ranged(0, 1, 0, 1, "X"), ranged(0, 1, 0, 1, "Y"), {"text": "new"}, ranged(0, 1, 0, 1, "Z")) == (
        "nZew"
    )


def test_a_byte_order_mark_is_a_column_like_any_other() -> None:
    assert after("\ufeffab", ranged(0, 1, 0, 2, "X")) == "\ufeffXb"
    assert after("\ufeffab", ranged(0, 3, 0, 4, "X"), encoding="utf-8") == "\ufeffXb"


def test_half_a_character_cannot_get_into_a_file() -> None:
    """JSON can carry a lone surrogate; code units keep their number."""
    assert after("ab", ranged(0, 1, 0, 1, "\ud83d")) == "a\ufffdb"
    documents = opened("a\ud83db")
    document = documents.get(URI)
    assert document is not None and document.now.text == "a\ufffdb"
