"""Our side in these tests: the server as installed, with its real learner, and the command line."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.server.editor import Editor

PATIENCE = 240.0  # seconds for a run of the real learner on a busy machine
OFFLINE = {"HF_HUB_OFFLINE": "1"}


@asynccontextmanager
async def server(home: Path, environment: Mapping[str, str], **settings: Any) -> AsyncIterator[Editor]:
    """A real server, and its orderly end. It may not ask the hub for anything."""
    editor = Editor()
    await editor.begin(home, environment={**environment, **OFFLINE}, settings=settings, server=("-m", "dlm_lsp"))
    try:
        yield editor
    finally:
        assert await editor.end() == 0


async def save(editor: Editor, path: Path, text: str) -> dict[str, Any]:
    """Saves, and waits; the status, in which the run has finished."""
    editor.save(path, text)
    return await learned(editor, path.as_uri())


async def learned(editor: Editor, uri: str) -> dict[str, Any]:
    """The status once nothing runs, with more patience than for the fake learner; the run has finished."""
    asked = editor.protocol.send_request_async("dlm/waitForIdle", {"uri": uri})
    return finished(await asyncio.wait_for(asked, PATIENCE))


def finished(status: dict[str, Any]) -> dict[str, Any]:
    assert status["last"]["outcome"] == "finished", status["last"]
    assert status["pending"] == 0
    return status


def command(home: Path, environment: Mapping[str, str], *arguments: str | Path) -> str:
    """Runs `dlm-lsp` to its end; what it wrote to standard output."""
    env = {**os.environ, **environment, **OFFLINE, "DLM_HOME": str(home)}
    line = [sys.executable, "-m", "dlm_lsp", *map(str, arguments)]
    done = subprocess.run(line, env=env, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, f"{line} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def prompt(home: Path, environment: Mapping[str, str], document: Path, question: str) -> str:
    """Our greedy answer."""
    return command(home, environment, "prompt", "--max-tokens", "40", document, question).strip()
