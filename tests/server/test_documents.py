"""Which file an open document is, what a save says, and what is not open. Changes: tests/protocol/test_mirror.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lsprotocol import types

from dlm_lsp.runs.reasons import SaveReason
from dlm_lsp.server.documents import Documents, path_of

URI = "file:///folder/a.dlm"


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


def test_names_are_what_stands_in_the_uri_to_the_byte(tmp_path: Path) -> None:
    for name in (b"a;b=1.dlm", b"a%2.dlm", b"latin-\xe9.dlm", b"plus+and space.dlm", b"hash#mark?.dlm"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        assert path_of(path.as_uri()) == path
    assert path_of(f"{tmp_path.as_uri()}/a;b=1.dlm") == tmp_path / "a;b=1.dlm"  # Neovim does not quote it
    assert path_of(f"file://localhost{tmp_path}/a.dlm") == path_of(f"FILE://{tmp_path}/./a.dlm")


@pytest.mark.parametrize(
    "uri",
    ["untitled:Untitled-1", "git:/folder/a.dlm", "https://x/a.dlm", "", "file:", "file:a.dlm", "file://another/a.dlm"],
)
def test_what_is_no_file_has_no_path(uri: str) -> None:
    assert path_of(uri) is None
