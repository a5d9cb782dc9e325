"""What a server may send only to a client that declared it, and captured declarations of real clients.

From the capability tables of LSP 3.17; `dlm/` and `experimental/` as docs/protocol.md has them.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

Message = dict[str, Any]

POPUPS = ("window/showMessage", "window/showMessageRequest")

# Messages that need no declaration.
ALWAYS = {"textDocument/publishDiagnostics", *POPUPS}
NEEDED = {
    "$/progress": "window.workDoneProgress",
    "window/workDoneProgress/create": "window.workDoneProgress",
    "workspace/applyEdit": "workspace.applyEdit",
    # Only what was registered with patterns below a folder is ever registered anew.
    "client/unregisterCapability": "workspace.didChangeWatchedFiles.relativePatternSupport",
    "workspace/configuration": "workspace.configuration",
    "workspace/codeLens/refresh": "workspace.codeLens.refreshSupport",
    "workspace/inlayHint/refresh": "workspace.inlayHint.refreshSupport",
    "experimental/serverStatus": "experimental.serverStatusNotification",
    "dlm/trainingStatus": "experimental.dlm.trainingStatus",
    "dlm/trainingProgress": "experimental.dlm.trainingProgress",
    "dlm/sectionStatesChanged": "experimental.dlm.sectionStates",
}
# A dynamic registration needs what it registers declared as dynamic.
REGISTRATIONS = {
    "workspace/didChangeConfiguration": "workspace.didChangeConfiguration.dynamicRegistration",
    "workspace/didChangeWatchedFiles": "workspace.didChangeWatchedFiles.dynamicRegistration",
}

ALL: Message = {
    "window": {"workDoneProgress": True},
    "workspace": {
        "applyEdit": True,
        "configuration": True,
        "codeLens": {"refreshSupport": True},
        "inlayHint": {"refreshSupport": True},
        "didChangeConfiguration": {"dynamicRegistration": True},
        "didChangeWatchedFiles": {"dynamicRegistration": True},
    },
    "textDocument": {
        "synchronization": {"willSave": True, "didSave": True},
        "publishDiagnostics": {"relatedInformation": True},
        "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix", "source"]}}},
        "hover": {"contentFormat": ["markdown", "plaintext"]},
    },
    "experimental": {
        "serverStatusNotification": True,
        "dlm": {"trainingStatus": True, "trainingProgress": True, "ask": True, "sectionStates": True},
    },
}


def captured(name: str) -> Message:
    """The capabilities that a real client sent, as pytest-lsp ships them, such as `neovim_v0.11.0`."""
    text = (files("pytest_lsp") / "clients" / f"{name}.json").read_text(encoding="utf-8")
    return dict(json.loads(text)["capabilities"])


CLIENTS = {
    "neovim": captured("neovim_v0.11.0"),
    "vscode": captured("visual_studio_code_v1.65.2"),
    "emacs": captured("emacs_v29.1"),
}


def value(capabilities: Any, dotted: str) -> Any:
    """The declared value of `a.b.c`; None if any part of it is missing."""
    for part in dotted.split("."):
        capabilities = capabilities.get(part) if isinstance(capabilities, dict) else None
    return capabilities


def undeclared(message: Message, capabilities: Message) -> str | None:
    """Why a client with `capabilities` must not be sent this notification or request; None if it may."""
    method, params = message["method"], message.get("params")
    if method == "client/registerCapability":
        needed = [REGISTRATIONS.get(each["method"], "nothing allows this") for each in params["registrations"]]
        if "baseUri" in json.dumps(params):
            needed.append("workspace.didChangeWatchedFiles.relativePatternSupport")
    elif method in ALWAYS or (method == "$/progress" and "kind" not in params["value"]):
        needed = []  # partial results have a token only from the client itself
    else:
        needed = [NEEDED.get(method, "nothing allows this")]
    for capability in needed:
        if not value(capabilities, capability):
            return f"{method} needs {capability}: {params}"
    if method == "textDocument/publishDiagnostics" and any(
        each.get("relatedInformation") for each in params["diagnostics"]
    ):
        capability = "textDocument.publishDiagnostics.relatedInformation"
        if not value(capabilities, capability):
            return f"a diagnostic's relatedInformation needs {capability}"
    return None
