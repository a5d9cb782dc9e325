"""Registration is registration: handlers hand over at once."""

from __future__ import annotations

import ast
from pathlib import Path

import dlm_lsp.server


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
