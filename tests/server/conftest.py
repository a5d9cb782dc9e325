"""A running server for each test, with the fake learner, a home of its own, and an orderly end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fakes import Gate
from tests.server.editor import Editor

Begin = Callable[..., Awaitable[Editor]]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as gate:
        yield gate


@pytest_asyncio.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Begin]:
    """Starts editors with servers; the end of each is orderly, and no message of theirs broke the protocol."""
    editors: list[Editor] = []

    async def start(**how: Any) -> Editor:
        gate: Gate | None = how.pop("gate", None)
        environment = {**how.pop("environment", {}), **({"DLM_FAKE_GATE": str(gate.path)} if gate else {})}
        editor = Editor()
        editors.append(editor)
        await editor.begin(tmp_path / "home", environment=environment, **how)
        return editor

    yield start
    for editor in editors:
        if editor.process.returncode is None:
            assert await editor.end() == 0


@pytest_asyncio.fixture
async def editor(begin: Begin) -> Editor:
    return await begin()
