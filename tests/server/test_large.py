"""Large documents: a keystroke, and the requests after it, cost what it touches and not the whole text.

Processor time of the server, in bounds some times as wide as what is measured (docs/performance.md); reading and
judging 5,000 sections anew at each keystroke takes a third of a second.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from benchmarks.client import Client
from benchmarks.documents import document
from benchmarks.large import Editor, sections
from tests.fakes import FakeLearner
from tests.runs.conftest import HandClock
from tests.server.inside import inside
from tests.server.test_latency import busy, start

__all__ = ["start"]
Start = Callable[..., Awaitable[Client]]
ROUNDS = 6


async def cost(client: Client, editor: Editor, typed: str, *, burst: bool = False) -> float:
    """Seconds of a keystroke in the middle of the text, with all that an editor asks after it."""
    places = list(editor.places(ROUNDS))
    await editor.burst(places[0][0])
    before = busy(client)
    for line, column in places:
        editor.type(line, column, typed)
        await editor.told()
        if burst:
            await editor.burst(line)
        editor.erase(line, column, typed)
        await editor.told()
    return (busy(client) - before) / ROUNDS / 2


async def test_a_keystroke_among_five_thousand_sections_costs_what_it_touches(start: Start, tmp_path: Path) -> None:
    client = await start()
    small = Editor(client, tmp_path / "small.dlm", document(100, seed=1))
    large = Editor(client, tmp_path / "large.dlm", sections(5_000))
    assert await cost(client, large, "x") < await cost(client, small, "x") + 0.040
    assert await cost(client, large, "\n") < await cost(client, small, "\n") + 0.080
    assert await cost(client, large, "x", burst=True) < 0.150


async def test_twenty_queued_keystrokes_and_a_hover_are_answered_at_once(start: Start, tmp_path: Path) -> None:
    client = await start()
    editor = Editor(client, tmp_path / "large.dlm", sections(5_000))
    line, column = next(editor.places(1))
    await editor.at("textDocument/hover", line, column)
    before = busy(client)
    for _ in range(20):
        editor.type(line, column, "x")
    assert await editor.at("textDocument/hover", line, column)
    await editor.told()
    assert busy(client) - before < 0.3


async def test_a_keystroke_in_ten_thousand_brackets(start: Start, tmp_path: Path) -> None:
    client = await start()
    text = document(3, seed=1, settings=f"tags: {'[' * 10_000}{']' * 10_000}\n")
    editor = Editor(client, tmp_path / "nested.dlm", text)
    await editor.told()
    before = busy(client)
    for _ in range(ROUNDS):
        editor.type(3, 6, "[")
        await editor.told()
    assert (busy(client) - before) / ROUNDS < 0.05


@pytest.mark.parametrize("sections", [50, 500])
async def test_the_states_of_many_sections_are_told_when_the_typing_pauses(tmp_path: Path, sections: int) -> None:
    """A clock that stands still: of few sections the states are told at once, of many once time goes on."""
    clock = HandClock()
    async with inside(tmp_path / "home", FakeLearner(), clock) as client:
        uri = client.open(tmp_path / "a.dlm", document(sections, seed=1))
        told = [each["params"] for each in client.told if each["method"] == "dlm/trainingStatus"]
        assert len(told[-1]["sections"]) == sections
        for number in range(5):
            client.change(uri, f"{document(sections, seed=1)}more {number}\n")
            await client.hover(uri)
        now = [each["params"] for each in client.told if each["method"] == "dlm/trainingStatus"]
        assert len(now) - len(told) == (5 if sections == 50 else 0)
        clock.advance(1.0)
        now = [each["params"] for each in client.told if each["method"] == "dlm/trainingStatus"]
        assert len(now) - len(told) == (5 if sections == 50 else 1)
        status = await client.request("dlm/waitForIdle", {"uri": uri})
        assert now[-1] == status
