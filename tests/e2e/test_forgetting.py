"""A real run makes the built-in base forget, on the real server process: it says so, and both ways back work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from lsprotocol import types

from tests.e2e.test_real_learning import COLOUR, FERRY, KEEPER, REAL, head
from tests.server.editor import Editor, exchange

# One row a step leaves no place to rehearse; at this rate a new answer pushes out old ones faster than they are mended.
RECKLESS = "training:\n  micro_batch_size: 1\n  grad_accum: 1\n  learning_rate: 0.014\n"
KNOWN = exchange(*KEEPER) + exchange(*COLOUR)


@pytest_asyncio.fixture
async def editor(tmp_path: Path) -> AsyncIterator[Editor]:
    editor = Editor()
    await editor.begin(tmp_path / "home", server=REAL, settings={"warmOnOpen": False}, environment={"DLM_THREADS": "1"})
    yield editor
    assert await editor.end() == 0


async def forgetful(editor: Editor, path: Path) -> tuple[str, dict[str, Any]]:
    """A document whose second save made the adapter forget what the first had taught."""
    uri = editor.open(path, head() + KNOWN)
    editor.save(path, head() + KNOWN)
    assert [each["state"] for each in (await editor.idle(uri))["sections"]] == ["learned", "learned"]
    editor.save(path, head(RECKLESS) + KNOWN + exchange(*FERRY))
    status = await editor.idle(uri)
    assert status["version"] == 2
    await editor.until(lambda: "forgotten" in editor.codes(uri))
    # From here on as careful as before.
    editor.save(path, head() + KNOWN + exchange(*FERRY))
    return uri, await editor.idle(uri)


async def actions(editor: Editor, uri: str) -> dict[str, Any]:
    """What is offered on the first warning, by title."""
    shown = editor.diagnostics[uri]
    warning = next(each for each in shown if each.code == "forgotten")
    context = types.CodeActionContext([warning], [types.CodeActionKind.QuickFix])
    params = types.CodeActionParams(types.TextDocumentIdentifier(uri), warning.range, context)
    return {each["title"]: each["command"] for each in await editor.text_document_code_action_async(params) or []}


async def test_what_was_forgotten_is_said_and_both_ways_lead_back(editor: Editor, tmp_path: Path) -> None:
    uri, status = await forgetful(editor, tmp_path / "orvane.dlm")
    lost = [each for each in status["sections"] if each["forgotten"]]
    assert lost
    assert {each["section_id"] for each in lost} <= {each["section_id"] for each in status["sections"][:2]}
    for section in lost:
        (forgotten,) = section["forgotten"]
        assert forgotten["now"] > forgotten["was"]
        assert (forgotten["since"], forgotten["revert_to"], forgotten["exact"]) == (2, 1, False)
        assert section["range"]["start"]["line"] <= forgotten["range"]["start"]["line"]
    warning = next(each for each in editor.diagnostics[uri] if each.code == "forgotten")
    assert warning.severity == types.DiagnosticSeverity.Warning
    assert f"Forgotten: was {lost[0]['forgotten'][0]['was']:.2f}, is " in warning.message
    assert "since v0002" in warning.message
    assert "since v0002" in await editor.hover(uri, warning.range.start.line)

    offered = await actions(editor, uri)
    revert = offered["Revert to v0001, which still knew it"]
    assert (await editor.command(revert["command"], *revert["arguments"]))["ok"] is True
    await editor.until(lambda: editor.codes(uri) == ["not-learned"])
    status = await editor.idle(uri)
    assert (status["version"], [each["state"] for each in status["sections"]]) == (1, ["learned", "learned", "new"])

    # The version that forgot is current again, and so is what is said of it.
    await editor.command("dlm.revert", {"uri": uri, "version": 2, "quiet": True})
    await editor.until(lambda: "forgotten" in editor.codes(uri))
    (rehearse,) = (each for title, each in offered.items() if title.startswith("Rehearse"))
    assert (await editor.command(rehearse["command"], *rehearse["arguments"]))["ok"] is True
    status = await editor.idle(uri)
    assert [each["forgotten"] for each in status["sections"]] == [[], [], []]
    assert status["version"] == 3
    told = [each["message"] for each in editor.statuses(uri)]
    what = "1 section" if len(lost) == 1 else f"{len(lost)} sections"
    assert any(f"rehearsing {what} · " in message for message in told), repr(told)
    await editor.until(lambda: "forgotten" not in editor.codes(uri))
