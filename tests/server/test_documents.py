"""The mirror of the client's texts equals the client's after every change, in each encoding."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from dlm_lsp.document.text import PositionEncoding
from dlm_lsp.runs.reasons import SaveReason
from dlm_lsp.server.documents import Documents, path_of

URI = "file:///folder/a.dlm"
ENCODINGS: tuple[PositionEncoding, ...] = ("utf-8", "utf-16", "utf-32")

# Everything that an editor may hold and that Python would split lines at, or count otherwise.
awkward = st.text(alphabet="ab\n\r\t\x00\x0b\x0c\x1c\x85\u2028\u2029\ufeffé\u0301𝒳😀", max_size=24)


def units(text: str, encoding: PositionEncoding) -> int:
    size = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding]
    return len(text.encode({"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}[encoding])) // size


def as_client_counts(text: str, offset: int, encoding: PositionEncoding) -> types.Position:
    """The client's own reckoning, the slow and obvious way."""
    line, start, at = 0, 0, 0
    while at < offset:
        if text[at] == "\r" and text[at + 1 : at + 2] == "\n":
            at += 1
        at += 1
        if at <= offset and text[at - 1] in "\r\n":
            line, start = line + 1, at
    return types.Position(line, units(text[start:offset], encoding))


def inside_a_line_end(text: str, offset: int) -> bool:
    return text[offset - 1 : offset + 1] == "\r\n" if offset else False


@given(data=st.data(), encoding=st.sampled_from(ENCODINGS), text=awkward)
def test_the_mirror_equals_the_clients_text_after_each_change(
    data: st.DataObject, encoding: PositionEncoding, text: str
) -> None:
    documents = Documents()
    documents.encoding = encoding
    documents.open(URI, text, 1)
    for version in range(2, 6):
        places = [at for at in range(len(text) + 1) if not inside_a_line_end(text, at)]
        start, end = sorted(data.draw(st.tuples(st.sampled_from(places), st.sampled_from(places))))
        new = data.draw(awkward)
        change = types.TextDocumentContentChangePartial(
            types.Range(as_client_counts(text, start, encoding), as_client_counts(text, end, encoding)),
            new,
        )
        text = text[:start] + new + text[end:]
        document = documents.change(URI, version, [change])
        assert document is not None
        assert (document.now.text, document.now.version) == (text, version)


def test_changes_of_one_message_are_applied_in_order() -> None:
    documents = Documents()
    documents.open(URI, "abc", 1)
    at = types.Position(0, 1)
    insert = types.TextDocumentContentChangePartial(types.Range(at, at), "X")
    whole = types.TextDocumentContentChangeWholeDocument("new")
    changed = documents.change(URI, 2, [insert, insert, whole, insert])
    assert changed is not None
    assert changed.now.text == "nXew"


def test_a_place_outside_of_the_text_is_its_nearest_end() -> None:
    documents = Documents()
    documents.open(URI, "ab\ncd", 1)
    far = types.Range(types.Position(0, 99), types.Position(99, 0))
    changed = documents.change(URI, 2, [types.TextDocumentContentChangePartial(far, "!")])
    assert changed is not None
    assert changed.now.text == "ab!"


def test_half_a_character_cannot_get_into_a_file() -> None:
    opened = Documents().open(URI, "a\ud83db", 1)
    assert opened.now.text == "a\ufffdb"


def test_the_saved_text_is_the_truth() -> None:
    documents = Documents()
    documents.open(URI, "what we believed", 1)
    saved = documents.save(URI, "what was saved")
    assert saved is not None
    assert saved[0].now.text == "what was saved"
    assert not saved[0].dirty


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (types.TextDocumentSaveReason.Manual, SaveReason.MANUAL),
        (types.TextDocumentSaveReason.AfterDelay, SaveReason.AFTER_DELAY),
        (types.TextDocumentSaveReason.FocusOut, SaveReason.FOCUS_OUT),
    ],
)
def test_why_a_save_is_made_holds_for_the_next_save_only(
    reason: types.TextDocumentSaveReason, expected: SaveReason
) -> None:
    documents = Documents()
    documents.open(URI, "", 1)
    documents.will_save(URI, reason)
    first, second = documents.save(URI, None), documents.save(URI, None)
    assert first is not None and second is not None
    assert (first[1], second[1]) == (expected, SaveReason.MANUAL)


def test_what_is_not_open_is_left_alone() -> None:
    documents = Documents()
    documents.will_save(URI, types.TextDocumentSaveReason.Manual)
    assert documents.change(URI, 1, []) is None
    assert documents.save(URI, "text") is None
    assert documents.close(URI) is None
    assert documents.active is None


def test_one_file_is_one_document_under_each_of_its_uris(tmp_path: Path) -> None:
    real = tmp_path / "räum e.dlm"
    real.write_text("")
    link = tmp_path / "link.dlm"
    link.symlink_to(real)
    spelled = real.as_uri()
    unescaped = f"file://{real.parent}/r%C3%A4um%20e.dlm"
    documents = Documents()
    for uri in (spelled, unescaped, link.as_uri()):
        documents.open(uri, "", 1)
    assert {document.path for document in documents} == {real.resolve()}
    assert len(documents.at(real.resolve())) == len({spelled, unescaped, link.as_uri()})


@pytest.mark.parametrize("uri", ["untitled:Untitled-1", "git:/folder/a.dlm", "https://x/a.dlm", "", "file:"])
def test_what_is_no_file_has_no_path(uri: str) -> None:
    assert path_of(uri) is None
