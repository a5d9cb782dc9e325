"""Going back to an earlier version, on the real server process: what is shown afterwards is true of that version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from lsprotocol import types

from dlm_lsp.store import Store
from tests.fakes import Gate
from tests.server.editor import DLM_ID, HEAD, Editor, exchange
from tests.server.test_sharing import holding

Begin = Callable[..., Awaitable[Editor]]

ONE = HEAD + exchange("What is a save?", "A lesson.")
TWO = ONE + exchange("What is a lesson?", "A save.")


async def learned(editor: Editor, path: Path, *texts: str) -> str:
    uri = editor.open(path, HEAD)
    for text in texts:
        editor.save(path, text)
        await editor.idle(uri)
    return uri


async def test_an_earlier_version_is_current_again_and_everything_shown_is_about_it(
    editor: Editor, tmp_path: Path
) -> None:
    path = tmp_path / "a.dlm"
    uri = await learned(editor, path, ONE, TWO)
    result = await editor.command("dlm.revert", {"uri": uri})
    assert result == {
        "ok": True,
        "message": "v0001 is current again; the next save learns what it does not know",
    }
    assert [message.message for message in editor.messages] == [result["message"]]
    status = await editor.idle(uri)
    assert (status["version"], status["pending"], status["last"]) == (1, 1, None)
    assert [section["state"] for section in status["sections"]] == ["learned", "new"]
    assert [section["version"] for section in status["sections"]] == [1, None]
    await editor.until(lambda: editor.codes(uri) == ["not-learned"])
    hover = await editor.hover(uri, 0)
    assert "Version v0001" in hover
    assert "v0002" not in hover
    lenses = await editor.text_document_code_lens_async(types.CodeLensParams(types.TextDocumentIdentifier(uri)))
    assert next(lens.command.title for lens in lenses or [] if lens.command) == "1 section not learned since v0001"

    assert (await editor.command("dlm.revert", {"uri": uri, "version": "v0002", "quiet": True}))["ok"] is True
    status = await editor.idle(uri)
    assert [section["state"] for section in status["sections"]] == ["learned", "learned"]
    await editor.command("dlm.revert", {"uri": uri, "version": 1, "quiet": True})
    editor.save(path, TWO)
    status = await editor.idle(uri)
    assert (status["version"], status["pending"]) == (3, 0)


async def test_what_only_a_later_version_had_learned_is_forgotten_when_it_leaves_the_document(
    editor: Editor, tmp_path: Path
) -> None:
    path = tmp_path / "a.dlm"
    uri = await learned(editor, path, ONE, TWO)
    assert (await editor.command("dlm.revert", {"uri": uri, "quiet": True}))["ok"] is True
    editor.save(path, ONE + exchange("What else?", "Nothing."))
    await editor.idle(uri)
    remembered = [section.content for section in Store(tmp_path / "home", DLM_ID).replay().read()]
    assert len(remembered) == 2
    assert not any("What is a lesson?" in content for content in remembered)


async def test_why_not_is_one_sentence(begin: Begin, gate: Gate, tmp_path: Path) -> None:
    editor = await begin(gate=gate)
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)

    async def refused(**more: object) -> str:
        result = await editor.command("dlm.revert", {"uri": uri, "quiet": True, **more})
        assert result["ok"] is False
        return str(result["message"])

    assert await refused() == "there is no version yet, so there is nothing to revert to"
    assert not (tmp_path / "home").exists()
    gate.allow(5)
    editor.save(path, ONE)
    await editor.idle(uri)
    assert await refused() == "there is no version before v0001"
    assert await refused(version=7) == "there is no version v0007; there are v0001"
    assert await refused(version="1") == "v0001 is current already"
    assert "'newest' names no version: give a number such as 3" in await refused(version="newest")
    assert "True names no version" in await refused(version=True)
    editor.save(path, TWO)
    await editor.state(uri, "training")
    assert await refused(version=1) == "a run waits or goes on: cancel it or let it end, then revert"
    gate.allow(5)
    await editor.idle(uri)
    with holding(tmp_path / "home") as holder:
        assert f"the store is locked: held by process {holder.pid} on " in await refused(version=1)
    assert (await editor.idle(uri))["version"] == 2
