"""What is offered at a section, on the real server process: where, under which kind, and what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lsprotocol import types

from tests.fakes import FORGET
from tests.server.editor import HEAD, Editor, capabilities, exchange

Begin = Callable[..., Awaitable[Editor]]

ONE = exchange("What is a save?", "A lesson.")
TWO = exchange("What is a lesson?", "A save.")
CURSE = exchange("What is this?", FORGET)
TRAIN, SECOND_TRAIN = "Train this section", "Train these 2 sections"


def line_of(text: str, what: str) -> int:
    return text[: text.index(what)].count("\n")


async def offered(
    editor: Editor, uri: str, first: int, last: int | None = None, *, shown: bool = True, only: list[Any] | None = None
) -> dict[str, Any]:
    """The section actions in these lines by title; `shown`: the client passes the diagnostics it shows there."""
    last = first if last is None else last
    here = [each for each in editor.diagnostics.get(uri, ()) if first <= each.range.start.line <= last]
    params = types.CodeActionParams(
        types.TextDocumentIdentifier(uri),
        types.Range(types.Position(first, 0), types.Position(last, 0)),
        types.CodeActionContext(here if shown else [], only),
    )
    found = await editor.text_document_code_action_async(params) or []
    commands = ("dlm.trainSections", "dlm.revert")
    return {each["title"]: each for each in found if each.get("command", {}).get("command") in commands}


async def test_a_new_section_is_trained_from_its_own_place_only(editor: Editor, tmp_path: Path) -> None:
    path, text = tmp_path / "a.dlm", HEAD + ONE + TWO
    uri = editor.open(path, text)
    await editor.until(lambda: editor.codes(uri) == ["not-learned", "not-learned"])
    first, second = line_of(text, "::instruction::"), line_of(text, TWO.strip())
    assert await offered(editor, uri, 0) == {}
    quick = (await offered(editor, uri, first))[TRAIN]
    assert quick["kind"] == "quickfix"
    assert [each["code"] for each in quick["diagnostics"]] == ["not-learned"]
    assert (await offered(editor, uri, first + 2, shown=False))[TRAIN]["kind"] == "source"
    assert list(await offered(editor, uri, first, second)) == [SECOND_TRAIN]
    assert await offered(editor, uri, first, only=[types.CodeActionKind.Source]) == {}

    command = (await offered(editor, uri, second))[TRAIN]["command"]
    result = await editor.command(command["command"], *command["arguments"])
    assert result == {"ok": True, "message": "1 section queued for training"}
    status = await editor.idle(uri)
    assert [section["state"] for section in status["sections"]] == ["new", "learned"]
    assert any("training 1 section · " in each["message"] for each in editor.statuses(uri))
    assert await offered(editor, uri, second) == {}


async def test_a_forgotten_section_offers_rehearsal_of_all_and_the_way_back(editor: Editor, tmp_path: Path) -> None:
    path, text = tmp_path / "a.dlm", HEAD + ONE + TWO
    uri = editor.open(path, text)
    editor.save(path, text)
    await editor.idle(uri)
    editor.save(path, text + CURSE)
    status = await editor.idle(uri)
    await editor.until(lambda: editor.codes(uri) == ["forgotten", "forgotten"])
    assert status["message"] == "learned (v0002); 2 sections forgotten"
    place = line_of(text, "What is a lesson?") - 1
    (told,) = status["sections"][1]["forgotten"]
    assert told == {
        "range": told["range"],
        "was": 0.6,
        "now": 5.0,
        "exact": False,
        "since": 2,
        "revert_to": 1,
    }
    assert told["range"]["start"]["line"] == place
    message = "Forgotten: was 0.60, is 5.00 since v0002, not word for word any more."
    assert {each.message for each in editor.diagnostics[uri]} == {message}

    actions = await offered(editor, uri, place)
    assert list(actions)[:2] == ["Rehearse these (2 forgotten sections)", "Revert to v0001, which still knew it"]
    assert actions["Revert to v0001, which still knew it"]["command"]["arguments"] == [{"uri": uri, "version": "v0001"}]
    rehearse = actions["Rehearse these (2 forgotten sections)"]["command"]["arguments"][0]
    assert rehearse["sections"] == [section["section_id"] for section in status["sections"][:2]]
    await editor.command("dlm.trainSections", rehearse)
    status = await editor.idle(uri)
    assert [section["forgotten"] for section in status["sections"]] == [[], [], []]
    await editor.until(lambda: editor.codes(uri) == [])


async def test_what_cannot_be_trained_is_said(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD + ONE)
    for sections in (None, [], "all", [3], ["a", 3]):
        result = await editor.command("dlm.trainSections", {"uri": uri, "sections": sections, "quiet": True})
        assert result["message"] == "Name the sections to train: `sections` is a list of section ids."
    result = await editor.command("dlm.trainSections", {"uri": uri, "sections": ["0" * 16]})
    assert result["ok"] is False
    assert "the saved text has none of these sections" in editor.messages[-1].message


async def test_a_client_without_action_literals_gets_commands(begin: Begin, tmp_path: Path) -> None:
    client = capabilities()
    assert client.text_document is not None
    client.text_document.code_action = None
    editor = await begin(client=client)
    uri = editor.open(tmp_path / "a.dlm", HEAD + ONE)
    params = types.CodeActionParams(
        types.TextDocumentIdentifier(uri),
        types.Range(types.Position(6, 0), types.Position(6, 0)),
        types.CodeActionContext([]),
    )
    found: Any = await editor.text_document_code_action_async(params)
    assert found[0]["title"] == TRAIN
    assert found[0]["command"] == "dlm.trainSections"
