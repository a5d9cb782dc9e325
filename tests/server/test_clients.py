"""Real clients' declared capabilities, and the other way to connect."""

from __future__ import annotations

import ast
import json
import re
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pytest_lsp import client_capabilities

import dlm_lsp.server
from tests.server.editor import HEAD, Editor, exchange
from tests.server.wire import SERVER, frame, initialize, notification, request

Begin = Callable[..., Awaitable[Editor]]

# What a client may be sent only if it declared so: here, the requests that this server knows to send.
DECLARED = {
    types.WINDOW_WORK_DONE_PROGRESS_CREATE: "window.workDoneProgress",
    types.WORKSPACE_CONFIGURATION: "workspace.configuration",
    types.WORKSPACE_CODE_LENS_REFRESH: "workspace.codeLens.refreshSupport",
}
REGISTERED = {
    types.WORKSPACE_DID_CHANGE_CONFIGURATION: "workspace.didChangeConfiguration.dynamicRegistration",
    types.WORKSPACE_DID_CHANGE_WATCHED_FILES: "workspace.didChangeWatchedFiles.dynamicRegistration",
}


def declares(capabilities: Any, dotted: str) -> bool:
    for part in dotted.split("."):
        capabilities = (capabilities or {}).get(part)
    return bool(capabilities)


@pytest.mark.parametrize("name", ["neovim@v0.11.0", "visual-studio-code@v1.65.2", "emacs@v29.1"])
async def test_a_real_client_is_sent_only_what_it_declared(begin: Begin, tmp_path: Path, name: str) -> None:
    declared = client_capabilities(name)
    editor = await begin(client=declared)
    path = tmp_path / "a.dlm"
    uri = editor.open(path, HEAD)
    editor.save(path, HEAD + exchange("What is 😀?", "A face."))
    status = await editor.idle(uri)
    assert status["version"] == 1
    assert editor.codes(uri) == []
    plain = json.loads(json.dumps(declared, default=editor.protocol._serialize_message))
    sent = {method for method, _ in editor.received}
    for method, capability in DECLARED.items():
        assert declares(plain, capability) or method not in sent, f"{method} was sent without {capability}"
    asked = {each.method for params in editor.all(types.CLIENT_REGISTER_CAPABILITY) for each in params.registrations}
    assert asked == {method for method, capability in REGISTERED.items() if declares(plain, capability)}
    told = {types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS, types.PROGRESS, types.CLIENT_REGISTER_CAPABILITY}
    assert sent <= told | set(DECLARED)


def test_one_client_is_served_over_tcp(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, str(SERVER), "0"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as server:
        assert server.stderr is not None
        lines = iter(server.stderr.readline, "")
        listening = next(found for line in lines if (found := re.search(r"127\.0\.0\.1', (\d+)", line)))
        with socket.create_connection(("127.0.0.1", int(listening[1])), timeout=30) as client:
            client.sendall(b"".join(map(frame, (initialize(), request(2, "shutdown"), notification("exit")))))
            stream = client.makefile("rb").read()
        assert b'"capabilities"' in stream
        assert stream.count(b"Content-Length") == 2
        assert server.wait(30) == 0


def test_handlers_decide_nothing() -> None:
    """Registration is registration: each handler hands over within six statements."""
    source = Path(dlm_lsp.server.__file__).with_name("app.py").read_text(encoding="utf-8")
    registrars = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("_register")
    ]
    handlers = [
        node
        for registrar in registrars
        for node in registrar.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert len(handlers) >= 12
    for handler in handlers:
        assert len([node for node in ast.walk(handler) if isinstance(node, ast.stmt)]) <= 7, handler.name
