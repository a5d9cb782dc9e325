"""The real learner in a process of its own, killed as the kernel would: the server lives, and the next save learns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest_asyncio

from dlm_lsp.store import Store
from tests.e2e.test_real_learning import FERRY, KEEPER, SLOW, answer, head, mid_run, start
from tests.server.editor import DLM_ID, Editor, exchange


@pytest_asyncio.fixture
async def editors() -> AsyncIterator[list[Editor]]:
    started: list[Editor] = []
    yield started
    for editor in started:
        if editor.process.returncode is None:
            assert await editor.end() == 0


async def test_killed_in_mid_run_it_is_told_and_the_next_save_is_learned(editors: list[Editor], tmp_path: Path) -> None:
    home, path = tmp_path / "home", tmp_path / "orvane.dlm"
    editor = await start(editors, home, learner="process")
    server = psutil.Process(editor.process.pid)
    uri = await mid_run(editor, path, head(SLOW) + exchange(*KEEPER))
    (learner,) = server.children()
    learner.kill()
    status = await editor.idle(uri)
    assert status["last"]["code"] == "learner-died"
    assert editor.codes(uri).count("run-failed") == 1
    assert "probably out of memory" in editor.message(uri, "run-failed")
    assert Store(home, DLM_ID).current() is None
    assert "failed" in await editor.hover(uri, 0)

    text = head() + exchange(*KEEPER)
    editor.save(path, text)
    assert (await editor.idle(uri))["version"] == 1
    assert "run-failed" not in editor.codes(uri)
    (second,) = server.children()
    assert second.pid != learner.pid

    # Another save continues in the process that is warm, from the version that the store holds.
    editor.save(path, text + exchange(*FERRY))
    status = await editor.idle(uri)
    assert status["version"] == 2
    assert server.children() == [second]
    assert [section["state"] for section in status["sections"]] == ["learned"] * 2
    assert await answer(path, home, FERRY[0]) == FERRY[1]
    assert await answer(path, home, KEEPER[0]) == KEEPER[1]
    # The libraries and the model are in the learner's process, and nowhere else.
    assert server.memory_info().rss < second.memory_info().rss / 2
