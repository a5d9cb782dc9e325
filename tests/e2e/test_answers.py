"""What the adapter answered before and after a save, on the real server process with the built-in base."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dlm_lsp.cli.answers import answers as command_line
from dlm_lsp.document import parse
from dlm_lsp.runs.settings import RunSettings
from tests.e2e.test_real_learning import COLOUR, FERRY, KEEPER, REAL, answer, head
from tests.server.editor import Editor, exchange

FIRST = head() + exchange(*KEEPER)
SECOND = FIRST + exchange(*COLOUR)


@pytest_asyncio.fixture
async def editor(tmp_path: Path) -> AsyncIterator[Editor]:
    editor = Editor()
    await editor.begin(tmp_path / "home", server=REAL, settings={"warmOnOpen": False}, environment={"DLM_THREADS": "1"})
    yield editor
    assert await editor.end() == 0


async def answers(editor: Editor, uri: str, **more: Any) -> Any:
    return await asyncio.wait_for(editor.protocol.send_request_async("dlm/answers", {"uri": uri, **more}), 60)


async def hovered(editor: Editor, uri: str, line: int) -> str:
    """The hover once it says what was answered: the first one only asks for it."""
    while "after (" not in (found := await editor.hover(uri, line)):
        assert "being learned" not in found
    return found


async def test_before_and_after_of_every_version_can_be_seen_at_any_time(
    editor: Editor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, path = tmp_path / "home", tmp_path / "orvane.dlm"
    uri = editor.open(path, FIRST)
    assert (await answers(editor, uri))["message"] == "Nothing is learned yet, so there is no before and after."
    editor.save(path, FIRST)
    await editor.idle(uri)
    untaught = await answer(path, home, COLOUR[0])
    editor.save(path, SECOND)
    await editor.idle(uri)

    found = await answers(editor, uri)
    assert (found["ok"], found["version"], found["before"], found["left_out"]) == (True, 2, 1, 0)
    assert found["message"] == "v0002 taught 1 question: 1 answered word for word, 0 before"
    (told,) = found["answers"]
    assert told["question"] == COLOUR[0]
    assert told["before"] == untaught
    assert told["after"] == told["expected"] == COLOUR[1]
    assert (told["changed"], told["exact"], told["now"]) == (True, True, None)
    section = parse(SECOND).sections[1]
    assert told["section_id"] == section.section_id
    assert told["range"]["start"]["line"] == section.exchanges[0].range.start.line
    assert COLOUR[1] in found["text"] and untaught.split("\n")[0] in found["text"]

    # The URI of the document that a client shows names document and version, and can be asked as it is.
    assert found["uri"].startswith("dlm-answers:///") and found["uri"].endswith("orvane.dlm?version=2")
    assert await answers(editor, found["uri"]) == found

    hover = await hovered(editor, uri, told["range"]["start"]["line"])
    assert "before (v0001): `" in hover
    assert f"after (v0002): `{COLOUR[1]}` · word for word" in hover

    # What the first version taught, seen from the second one; before it there was the bare base.
    first = await answers(editor, uri, version="v0001")
    (told,) = first["answers"]
    assert (first["before"], told["question"], told["after"]) == (0, KEEPER[0], KEEPER[1])
    assert told["before"] != KEEPER[1]
    assert told["now"] == KEEPER[1]
    assert "the base model" in first["text"]

    result = await editor.command("dlm.showAnswers", {"uri": uri, "quiet": True})
    assert result["message"] == found["message"] and result["answers"] == found["answers"]
    assert await answers(editor, uri, version="newest") == {
        "ok": False,
        "message": "'newest' names no version: give a number such as 3, or \"v0003\".",
        "answers": [],
        "text": "'newest' names no version: give a number such as 3, or \"v0003\".\n",
    }
    assert "v0007 is gone" in (await answers(editor, uri, version=7))["message"]

    # On the command line it is the same document.
    assert await command_line(path, None, RunSettings(home=home, warm_on_open=False)) == 0
    assert capsys.readouterr().out == found["text"]

    # A revert makes the older version the one that is spoken of, and nothing was written by all this asking.
    await editor.command("dlm.revert", {"uri": uri, "quiet": True})
    assert (await answers(editor, uri))["version"] == 1
    editor.save(path, SECOND + exchange(*FERRY))
    await editor.idle(uri)
    found = await answers(editor, uri)
    assert (found["version"], found["before"], len(found["answers"])) == (3, 1, 2)
