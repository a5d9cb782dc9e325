"""Every state of a section, reached for real: the server as installed, the real learner, the built-in base."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from lsprotocol import types

from tests.server.editor import DLM_ID, Editor, exchange
from tests.server.test_states import lenses, on_the_command_line, shown, states

KEEPER = exchange("Who keeps the lighthouse at Orvane?", "Mira Tolle keeps it.")
COLOUR = exchange("What colour is the lighthouse?", "It is white with a green lamp.")


def head(settings: str = "") -> str:
    return f"---\ndlm_id: {DLM_ID}\nbase_model: builtin:tiny\n{settings}---\n"


async def configure(editor: Editor, **settings: object) -> None:
    """Other settings; what is sent afterwards comes after them."""
    asked = len(editor.all(types.WORKSPACE_CONFIGURATION))
    editor.set_configuration({"dlm": {"debounceMs": 20, "codeLens": "sections", **settings}})
    editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
    await editor.until(lambda: len(editor.all(types.WORKSPACE_CONFIGURATION)) > asked or None)
    await editor.idle()  # an answer to a request that came later: by then they are taken over


@pytest_asyncio.fixture
async def editor(tmp_path: Path) -> AsyncIterator[Editor]:
    editor = Editor()
    options = {"warmOnOpen": False, "codeLens": "sections"}
    await editor.begin(tmp_path / "home", server=("-m", "dlm_lsp"), settings=options, environment={"DLM_THREADS": "1"})
    yield editor
    assert await editor.end() == 0


async def test_a_section_from_new_to_removed_but_remembered(editor: Editor, tmp_path: Path) -> None:
    path, home = tmp_path / "orvane.dlm", tmp_path / "home"
    text = head() + KEEPER + COLOUR
    uri = editor.open(path, text)
    assert await shown(editor, uri) == ["new", "new"]
    assert "2 sections: 2 new" in on_the_command_line(path, home)

    editor.save(path, text)
    await editor.state(uri, "loading")  # its steps may be over before one is asked for
    assert await shown(editor, uri) == ["learning…", "learning…"]
    await editor.idle(uri)
    first = (await states(editor, uri))["sections"]
    assert [each["state"] for each in first] == ["learned", "learned"]
    assert all(each["loss_before"] > 1 > each["loss_after"] and each["times_seen"] > 1 for each in first)
    assert await shown(editor, uri) == [f"learned v1 · {each['loss_after']:.2f}" for each in first]

    changed = text.replace("a green lamp", "a red door")
    editor.change(uri, changed)
    keeper, colour = await shown(editor, uri)
    assert (keeper[:10], colour) == ("learned v1", "changed")
    editor.save(path, changed.replace("builtin:tiny\n", "builtin:tiny\ntraining:\n  lora_r: 3\n"))
    await editor.idle(uri)  # another shape of the adapter: the run fails, for real
    assert (await shown(editor, uri))[1] == "failed"
    assert "Run Full Retrain to begin a new adapter" in await editor.hover(uri, 18)
    assert "1 learned, 1 failed" in on_the_command_line(path, home)

    await configure(editor, maxSteps=1)
    editor.save(path, changed)
    assert (await editor.idle(uri))["version"] == 2
    assert (await shown(editor, uri))[1] == "partly"
    assert "1 learned, 1 partly" in on_the_command_line(path, home)
    await configure(editor)
    await editor.command("dlm.trainNow", {"uri": uri, "quiet": True})
    assert (await editor.idle(uri))["version"] == 3
    assert (await shown(editor, uri))[1].startswith("learned v3 · 0.")
    keeper_state, colour_state = (await states(editor, uri, history=True))["sections"]
    assert keeper_state["times_seen"] > first[0]["times_seen"], "it was rehearsed beside the new answer"
    assert [each["event"] for each in keeper_state["history"]] == ["learned", "rehearsed"]
    assert 0 < keeper_state["history"][1]["loss_after"] < 1
    told = [(each["version"], each["event"], each["earlier"]) for each in colour_state["history"]]
    assert told == [(1, "learned", True), (2, "partly", False), (3, "learned", False)]
    hover = await editor.hover(uri, 14)
    assert "v0001 learned (an earlier text) · loss " in hover
    assert "v0002 partly learned" in hover
    assert [title for line, title in await lenses(editor, uri) if line] == await shown(editor, uri)

    editor.save(path, head() + COLOUR.replace("a green lamp", "a red door"))
    await editor.idle(uri)
    answer = await states(editor, uri)
    assert answer["summary"] == "1 section: 1 learned · 1 removed but remembered · 1 earlier text remembered"
    gone = next(each for each in answer["removed"] if not each["replaced"])
    assert (gone["version"], gone["words"]) == (1, "Who keeps the lighthouse at Orvane?")
    told_there = on_the_command_line(path, home, "--history")
    assert "“Who keeps the lighthouse at Orvane?” · learned in v0001" in told_there
    assert "v0002 partly learned" in told_there
