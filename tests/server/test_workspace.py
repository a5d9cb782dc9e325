"""All `.dlm` files of the workspace: symbols over them, and two documents that share one id."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from tests.server.editor import DLM_ID, HEAD, PATIENCE, Editor, capabilities, exchange

Begin = Callable[..., Awaitable[Editor]]
OTHER_ID = "01HZ4X7TGZM3J1A2B3C4D5E6F9"


def document(text: str = "", dlm_id: str = OTHER_ID) -> str:
    return f"---\ndlm_id: {dlm_id}\nbase_model: builtin:tiny\n---\n{text}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work" / "deep").mkdir(parents=True)
    return tmp_path / "work"


async def names(editor: Editor, query: str) -> list[str]:
    found = await editor.workspace_symbol_async(types.WorkspaceSymbolParams(query))
    return [each.name for each in found or ()]


async def until_named(editor: Editor, query: str, wanted: list[str]) -> None:
    """The index is renewed in the background; each answer is of the newest one."""

    async def ask() -> None:
        while await names(editor, query) != wanted:
            await editor.idle()

    await asyncio.wait_for(ask(), PATIENCE)


async def shared(editor: Editor, uri: str) -> types.Diagnostic:
    return await editor.until(
        lambda: next((each for each in editor.diagnostics.get(uri, ()) if each.code == "shared-id"), None)
    )


async def unshared(editor: Editor, uri: str) -> None:
    await editor.until(lambda: uri in editor.diagnostics and "shared-id" not in editor.codes(uri))


async def test_symbols_are_found_in_files_that_were_never_opened(begin: Begin, folder: Path) -> None:
    text = "# Tides\n\nText.\n" + exchange("What pulls the tides?", "The moon.")
    (folder / "deep" / "sea.dlm").write_text(document(text))
    (folder / "stars.dlm").write_text(document("Only prose about stars.\n", DLM_ID))
    (folder / "notes.md").write_text("# Tides\n")
    editor = await begin(folders=[folder])
    found = await editor.workspace_symbol_async(types.WorkspaceSymbolParams("tides"))
    assert found is not None
    assert [(each.name, each.kind, each.container_name) for each in found] == [
        ("Tides", types.SymbolKind.String, "sea.dlm"),
        ("What pulls the tides?", types.SymbolKind.Function, "sea.dlm"),
    ]
    place = found[1].location
    assert isinstance(place, types.Location) and place.uri == (folder / "deep" / "sea.dlm").as_uri()
    assert (place.range.start.line, place.range.end.line) == (9, 9)
    assert await names(editor, "stars") == ["stars", "Only prose about stars."]
    assert await names(editor, "wptt") == ["What pulls the tides?"]
    assert await names(editor, "no such thing") == []
    assert (await names(editor, ""))[:2] == ["stars", "sea"], "documents first, the nearest first"


async def test_what_is_hidden_or_a_tools_is_not_looked_at(begin: Begin, folder: Path) -> None:
    for name in (".git", "node_modules", ".venv", "virtual", ".dlm"):
        (folder / name).mkdir()
        (folder / name / "inside.dlm").write_text(document(f"# In {name}\n"))
    (folder / "virtual" / "pyvenv.cfg").write_text("")
    (folder / "pipe.dlm").unlink(missing_ok=True)
    os.mkfifo(folder / "pipe.dlm")
    (folder / "loop.dlm").symlink_to(folder / "loop.dlm")
    (folder / "link").symlink_to(folder / ".git")
    (folder / "broken.dlm").write_bytes(b"\xff\xfe\x00# No text")
    editor = await begin(folders=[folder])
    assert await names(editor, "In ") == ["inside", "In .dlm"]


async def test_unsaved_text_wins_over_the_disk_until_it_is_closed(begin: Begin, folder: Path) -> None:
    path = folder / "a.dlm"
    path.write_text(document("# On disk\n"))
    editor = await begin(folders=[folder])
    uri = editor.open(path, document("# On disk\n"))
    editor.change(uri, document("# In the editor\n"))
    await editor.hover(uri, 0)
    assert await names(editor, "disk") == []
    assert await names(editor, "editor") == ["In the editor"]
    editor.close(uri)
    assert await names(editor, "disk") == ["On disk"]


async def test_the_index_follows_the_clients_watcher_and_its_folders(
    begin: Begin, folder: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    second.mkdir()
    (second / "b.dlm").write_text(document("# Second\n"))
    editor = await begin(folders=[folder])
    assert await names(editor, "second") == []
    path = folder / "new.dlm"
    path.write_text(document("# Fresh\n"))
    editor.watcher_saw(path, kind=types.FileChangeType.Created)
    await until_named(editor, "fresh", ["Fresh"])
    path.unlink()
    editor.watcher_saw(path, kind=types.FileChangeType.Deleted)
    await until_named(editor, "fresh", [])
    event = types.WorkspaceFoldersChangeEvent(added=[types.WorkspaceFolder(second.as_uri(), "second")], removed=[])
    editor.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event))
    await until_named(editor, "second", ["Second"])


async def test_ranges_come_later_to_a_client_that_can_wait(begin: Begin, folder: Path) -> None:
    path = folder / "a.dlm"
    path.write_text(document("# Moved\n"))
    lazy = types.WorkspaceClientCapabilities(
        symbol=types.WorkspaceSymbolClientCapabilities(
            resolve_support=types.ClientSymbolResolveOptions(properties=["location.range"])
        )
    )
    editor = await begin(folders=[folder], client=capabilities(workspace=lazy))
    (symbol,) = await editor.workspace_symbol_async(types.WorkspaceSymbolParams("moved")) or ()
    assert isinstance(symbol, types.WorkspaceSymbol) and isinstance(symbol.location, types.LocationUriOnly)
    editor.open(path, document("\n\n# Moved\n"))
    resolved = await editor.workspace_symbol_resolve_async(symbol)
    assert isinstance(resolved.location, types.Location) and resolved.location.range.start.line == 6


@pytest.mark.parametrize(("encoding", "column"), [("utf-8", 4), ("utf-16", 2), ("utf-32", 1)])
async def test_columns_count_as_the_client_does(begin: Begin, folder: Path, encoding: str, column: int) -> None:
    path = folder / "a.dlm"
    path.write_text(
        f'---\n{{"\U0001f600": 1, dlm_id: {OTHER_ID}, base_model: m}}\n---\n# \U0001f600\n', encoding="utf-8"
    )
    general = types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind(encoding)])
    editor = await begin(folders=[folder], client=capabilities(general=general))
    (symbol,) = await editor.workspace_symbol_async(types.WorkspaceSymbolParams("\U0001f600")) or ()
    assert isinstance(symbol.location, types.Location)
    assert symbol.location.range.end.character == 2 + column
    uri = editor.open(folder / "b.dlm", document())
    related = (await shared(editor, uri)).related_information
    assert related is not None and related[0].location.uri == path.as_uri()
    assert related[0].location.range.start.character == len('{"": 1, dlm_id: ') + column


async def test_a_copy_is_told_in_both_and_goes_with_a_new_id(begin: Begin, folder: Path) -> None:
    original, copy = folder / "a.dlm", folder / "deep" / "copy.dlm"
    text = HEAD + exchange("What is one?", "A number.")
    editor = await begin(folders=[folder])
    uri = editor.open(original, text)
    await editor.idle()
    assert "shared-id" not in editor.codes(uri)
    editor.save(original, text + exchange("What is two?", "A number, too."))
    await editor.idle(uri)
    shutil.copy(original, copy)
    editor.watcher_saw(copy, kind=types.FileChangeType.Created)
    told = await shared(editor, uri)
    assert (told.range.start.line, told.range.start.character, told.range.end.character) == (1, 8, 34)
    assert "deep/copy.dlm" in told.message and "came from this document" in told.message
    assert told.related_information is not None
    assert told.related_information[0].location.uri == copy.as_uri()
    copy.write_text(original.read_text().replace(DLM_ID, OTHER_ID))
    editor.watcher_saw(copy)
    await unshared(editor, uri)
    other = editor.open(copy, original.read_text())
    told = await shared(editor, other)
    assert "came from ../a.dlm: give this document a new id" in told.message
    actions = await editor.text_document_code_action_async(
        types.CodeActionParams(
            types.TextDocumentIdentifier(other),
            told.range,
            types.CodeActionContext([told], [types.CodeActionKind.QuickFix]),
        )
    )
    action: Any = next(each for each in actions or () if each["title"] == "Give this document a new id")
    assert action["diagnostics"][0]["code"] == "shared-id"
    (edit,) = action["edit"]["changes"][other]
    assert len(edit["newText"]) == 26 and edit["newText"] != DLM_ID
    editor.change(other, copy.read_text().replace(DLM_ID, edit["newText"]))
    await unshared(editor, uri)
    await unshared(editor, other)


async def test_open_documents_outside_of_any_folder_are_told_as_well(begin: Begin, tmp_path: Path) -> None:
    editor = await begin()
    first, second = editor.open(tmp_path / "a.dlm", document()), editor.open(tmp_path / "b.dlm", document())
    assert "a.dlm" in (await shared(editor, second)).message
    assert "Nothing has been learned yet" in (await shared(editor, first)).message
    editor.close(second)
    await unshared(editor, first)


async def test_an_untrusted_workspace_is_not_looked_at_until_it_is_trusted(begin: Begin, folder: Path) -> None:
    (folder / "a.dlm").write_text(document("# Secret\n"))
    editor = await begin(folders=[folder], trusted=False)
    uri = editor.open(folder.parent / "b.dlm", document())
    assert await names(editor, "secret") == []
    assert "shared-id" not in editor.codes(uri)
    editor.protocol.notify("dlm/workspaceTrust", {"trusted": True})
    assert await names(editor, "secret") == ["Secret"]
    await shared(editor, uri)
    editor.protocol.notify("dlm/workspaceTrust", {"trusted": False})
    await unshared(editor, uri)
    assert await names(editor, "secret") == []
