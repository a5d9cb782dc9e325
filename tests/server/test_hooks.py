"""The hooks file in an editor: who watches it, and where its problems are shown. A fake learner, real files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from dlm_lsp.server.diagnostics import CODES
from dlm_lsp.server.hooks import SKELETON, hooks_uri
from tests.server.editor import HEAD, Editor, capabilities, exchange

LEARNING = set(CODES)


class Refusing(Editor):
    """An editor that says it can watch files, and then refuses to."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = 0
        del self.protocol.fm.features[types.CLIENT_REGISTER_CAPABILITY]

        @self.feature(types.CLIENT_REGISTER_CAPABILITY)
        def register(params: types.RegistrationParams) -> None:
            if params.registrations[0].id.startswith("dlm-around"):
                self.refused += 1
                raise JsonRpcInvalidParams("not today")

    def report_server_error(self, error: Exception, source: Any) -> None:
        if not isinstance(error, JsonRpcInvalidParams):  # what it refuses is no failure of this client
            super().report_server_error(error, source)


@pytest_asyncio.fixture
async def editor(tmp_path: Path) -> AsyncIterator[Refusing]:
    editor = Refusing()
    client = capabilities()
    assert client.workspace is not None
    client.workspace.did_change_watched_files = types.DidChangeWatchedFilesClientCapabilities(
        dynamic_registration=True, relative_pattern_support=True
    )
    await editor.begin(tmp_path / "home", settings={"hooks": True}, client=client)
    yield editor
    assert await editor.end() == 0


async def test_where_an_editor_refuses_to_watch_the_server_does_it_and_tells_what_is_broken_and_mended(
    editor: Refusing, tmp_path: Path
) -> None:
    path, file = tmp_path.resolve() / "notes.dlm", tmp_path.resolve() / "notes.hooks.py"
    uri = editor.open(path, HEAD + exchange("Who?", "Nobody."))
    await editor.until(lambda: editor.refused)
    file.write_text("x = 1\ndef on_step(\n", encoding="utf-8")
    (told,) = await editor.until(lambda: editor.diagnostics.get(hooks_uri(uri)))
    assert (told.code, told.range.start.line, told.source) == ("hooks-import", 1, "dlm")
    file.write_text("x = 1\n", encoding="utf-8")
    await editor.until(lambda: not editor.diagnostics[hooks_uri(uri)])
    file.write_text("(", encoding="utf-8")
    await editor.until(lambda: editor.diagnostics[hooks_uri(uri)])
    editor.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))
    await editor.until(lambda: not editor.diagnostics[hooks_uri(uri)])


SOURCED = HEAD.replace("\n---\n", "\ntraining:\n  sources:\n  - path: words.md\n---\n")


async def test_a_changed_source_trains_what_is_saved_and_leaves_what_is_being_written_alone(
    editor: Refusing, tmp_path: Path
) -> None:
    path, words = tmp_path.resolve() / "notes.dlm", tmp_path.resolve() / "words.md"
    words.write_text("One.\n")
    uri = editor.open(path, SOURCED)
    await editor.until(lambda: editor.refused)
    editor.save(path, SOURCED + exchange("Who?", "Nobody."))
    assert (await editor.idle(uri))["version"] == 1
    editor.change(uri, SOURCED + "::nonsense::\n")
    broken = await editor.until(lambda: [each for each in editor.codes(uri) if each not in LEARNING])
    words.write_text("Two.\n")
    await editor.until(lambda: editor.statuses(uri)[-1]["version"] == 2)
    await editor.idle(uri)
    assert [each for each in editor.codes(uri) if each not in LEARNING] == broken


async def test_where_a_save_only_marks_a_changed_source_does_not_train(editor: Refusing, tmp_path: Path) -> None:
    editor.set_configuration({"dlm": {"onSave": "mark", "debounceMs": 20}})
    editor.workspace_did_change_configuration(types.DidChangeConfigurationParams({}))
    path, words = tmp_path.resolve() / "notes.dlm", tmp_path.resolve() / "words.md"
    words.write_text("One.\n")
    uri = editor.open(path, SOURCED)
    await editor.until(lambda: editor.refused)
    await editor.idle(uri)
    words.write_text("Two.\n")
    await editor.until(lambda: "marked" in editor.statuses(uri)[-1]["note"])
    assert (await editor.idle(uri))["version"] is None


@pytest.mark.parametrize(
    ("document", "hooks"),
    [
        ("file:///a/notes.dlm", "file:///a/notes.hooks.py"),
        ("file:///a/my%20notes.v2.dlm", "file:///a/my%20notes.v2.hooks.py"),
        ("file:///a.b/notes", "file:///a.b/notes.hooks.py"),
    ],
)
def test_the_file_is_named_as_the_client_names_the_document_beside_it(document: str, hooks: str) -> None:
    assert hooks_uri(document) == hooks


def test_the_skeleton_is_python_however_the_document_is_called() -> None:
    compile(SKELETON.format(name="{odd}'s notes.dlm"), "notes.hooks.py", "exec")
