"""A document's file is renamed, deleted, replaced or linked, whatever its run is doing: nothing is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from lsprotocol import types

from dlm_lsp.store import Store, dlm_home
from tests.fakes import Gate
from tests.server.editor import Editor, exchange

Begin = Callable[..., Awaitable[Editor]]

IDS = {
    "idle": "01HZ4X7TGZM3J1A2B3C4D5E6F1",
    "training": "01HZ4X7TGZM3J1A2B3C4D5E6F2",
    "queued": "01HZ4X7TGZM3J1A2B3C4D5E6F3",
}


def text(name: str, *answers: str) -> str:
    head = f"---\ndlm_id: {IDS[name]}\nbase_model: builtin:tiny\n---\n"
    return head + "".join(exchange(f"What is number {number}?", answer) for number, answer in enumerate(answers))


def delete(path: Path) -> None:
    path.unlink()


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def move(path: Path) -> None:
    path.rename(path.with_name(f"moved-{path.name}"))


@pytest.mark.parametrize("happens", [delete, replace_by_a_folder, move])
async def test_what_happens_to_a_file_costs_no_run_and_is_said_once(
    begin: Begin, gate: Gate, tmp_path: Path, happens: Callable[[Path], None]
) -> None:
    """One document is idle, one is being trained, one is queued behind it; then it happens to all three."""
    editor = await begin(gate=gate)
    paths = {name: tmp_path / f"{name}.dlm" for name in IDS}
    uris = {name: editor.open(path, text(name)) for name, path in paths.items()}
    gate.allow(5)
    editor.save(paths["idle"], text("idle", "It is idle."))
    await editor.idle(uris["idle"])
    editor.save(paths["training"], text("training", "It is trained."))
    await editor.state(uris["training"], "training")
    editor.save(paths["queued"], text("queued", "It is queued."))
    await editor.state(uris["queued"], "queued")

    for path in paths.values():
        happens(path)
    editor.watcher_saw(*paths.values(), kind=types.FileChangeType.Deleted)
    said = "no file any more" if happens is replace_by_a_folder else "no longer on disk"
    for uri in uris.values():
        await editor.until(lambda uri=uri: "changed-on-disk" in editor.codes(uri))  # type: ignore[misc]
        assert said in editor.message(uri, "changed-on-disk")
    gate.allow(10)
    await editor.idle()
    for name, uri in uris.items():
        assert [outcome for _, outcome in editor.runs(uri)] == ["finished"], name
        assert editor.codes(uri) == ["changed-on-disk"]
        assert Store(dlm_home(tmp_path / "home"), IDS[name]).current() is not None, name
    assert len(editor.shown()) == 3
    assert editor.messages == []

    if happens is move:
        for name, uri in uris.items():
            editor.close(uri)
            moved = paths[name].with_name(f"moved-{paths[name].name}")
            await editor.until(lambda uri=uri: editor.codes(uri) == [])  # type: ignore[misc]
            uri = editor.open(moved, moved.read_text())
            status = await editor.idle(uri)
            assert (status["version"], status["pending"], status["disk"]) == (1, 0, ""), "the store follows the id"


async def test_a_document_that_is_renamed_in_mid_run_hears_of_its_end(begin: Begin, gate: Gate, tmp_path: Path) -> None:
    """Editors close the old name and open the new one; the next save under it continues the same adapter."""
    editor = await begin(gate=gate)
    old, new = tmp_path / "old.dlm", tmp_path / "new.dlm"
    uri = editor.open(old, text("idle"))
    editor.save(old, text("idle", "One."))
    await editor.state(uri, "training")
    old.rename(new)
    editor.close(uri)
    renamed = editor.open(new, text("idle", "One."))
    gate.allow(5)
    await editor.until(lambda: next((each for each in editor.statuses(renamed) if each["version"] == 1), None))
    await editor.until(lambda: editor.codes(renamed) == [])
    gate.allow(5)
    editor.save(new, text("idle", "One.", "Two."))
    status = await editor.idle(renamed)
    assert (status["version"], status["pending"]) == (2, 0)
    assert editor.codes(uri) == []


async def test_a_link_that_becomes_a_file_is_the_document_from_its_next_save_on(editor: Editor, tmp_path: Path) -> None:
    """Some editors write a new file in a link's place; Train Now then reads the new file, not the old target."""
    target, link = tmp_path / "target.dlm", tmp_path / "link.dlm"
    target.write_text(text("idle", "Old."))
    link.symlink_to(target)
    uri = link.as_uri()
    item = types.TextDocumentItem(uri, "dlm", 1, text("idle", "Old."))
    editor.text_document_did_open(types.DidOpenTextDocumentParams(item))
    editor.set_configuration({"dlm": {"onSave": "mark"}})
    editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
    await editor.until(lambda: len(editor.all(types.WORKSPACE_CONFIGURATION)) == 2)
    link.unlink()
    editor.save(link, text("idle", "New."))
    await editor.until(lambda: "saved-not-trained" in editor.codes(uri))
    await editor.command("dlm.trainNow", uri)
    status = await editor.idle(uri)
    assert (status["version"], status["pending"]) == (1, 0)
    assert status["document"] == str(link)
    kept = Store(dlm_home(tmp_path / "home"), IDS["idle"]).replay().read()
    assert ["New." in section.content for section in kept] == [True]


async def test_a_closed_document_is_forgotten_unless_its_failure_is_still_true(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, text("idle"))
    editor.save(path, text("idle", "One."))
    await editor.idle(uri)
    editor.save(path, text("idle", "FAIL"))
    await editor.until(lambda: "run-failed" in editor.codes(uri))
    editor.close(uri)
    await editor.until(lambda: editor.codes(uri) == [])
    editor.open(path, text("idle", "FAIL"))
    await editor.until(lambda: "run-failed" in editor.codes(uri))
    editor.save(path, text("idle", "One.", "Two."))
    await editor.idle(uri)
    editor.close(uri)
    with pytest.raises(Exception, match="is no document that this server knows"):
        await editor.idle(uri)
