"""`dlm/history` on the real server process: the whole story, also for a server that was not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pygls.exceptions import JsonRpcException

from tests.server.editor import HEAD, Editor, exchange

Begin = Callable[..., Awaitable[Editor]]

ONE = HEAD + exchange("What is a save?", "A lesson.")
TWO = ONE + exchange("What is a lesson?", "A save.")


async def history(editor: Editor, uri: str) -> dict[str, Any]:
    answer: dict[str, Any] = await editor.protocol.send_request_async("dlm/history", {"uri": uri})
    return answer


async def test_each_version_and_each_run_is_told_step_by_step(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    assert (await history(editor, uri)) == {"uri": uri, "versions": [], "runs": []}
    for text in (ONE, TWO):
        editor.save(path, text)
        status = await editor.idle(uri)
    told = await history(editor, uri)
    assert [(each["version"], each["current"]) for each in told["versions"]] == [(1, False), (2, True)]
    first, second = told["runs"]
    assert [(run["version"], run["outcome"]) for run in (first, second)] == [(1, "finished"), (2, "finished")]
    assert second["sections"] == [status["sections"][1]["section_id"]]
    steps = [point[0] for point in second["points"]]
    assert steps == sorted(steps)
    assert steps[-1] == told["versions"][1]["steps"]
    assert second["phases"][0][1] >= 0
    assert second["ended_at"] >= second["started_at"]


async def test_another_server_tells_the_same_from_the_store(editor: Editor, begin: Begin, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, ONE)
    await editor.idle(uri)
    before = await history(editor, uri)
    later = await begin()
    later.open(path, ONE)
    after = await history(later, uri)
    assert after["versions"] == before["versions"]
    (run,) = after["runs"]
    assert run["run"] is None
    # Step, loss and tokens; the seconds are those of two clocks' looks at one run.
    assert [point[:3] for point in run["points"]] == [point[:3] for point in before["runs"][0]["points"]]


async def test_an_unknown_document_is_refused(editor: Editor) -> None:
    with pytest.raises(JsonRpcException, match="open it first"):
        await history(editor, "file:///nowhere.dlm")
