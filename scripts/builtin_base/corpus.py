"""The text that every Python installation carries: docstrings, and the topics of the documentation.

Docstrings are taken with `ast`; nothing is imported.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SKIPPED_DIRS = frozenset({"site-packages", "test", "tests", "idle_test", "lib2to3", "__pycache__"})


@dataclass(frozen=True)
class Doc:
    """One docstring or topic: its dotted name and its cleaned text."""

    name: str
    text: str


def _dotted(relative: Path) -> str:
    parts = list(relative.with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def _docstrings(node: ast.AST, prefix: str) -> Iterator[Doc]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{prefix}.{child.name}"
            text = ast.get_docstring(child)
            if text:
                yield Doc(name, text)
            yield from _docstrings(child, name)
        else:
            yield from _docstrings(child, prefix)


def read_docs() -> list[Doc]:
    """Every docstring of the standard library and every pydoc topic, without repeats, in path order."""
    root = Path(sysconfig.get_paths()["stdlib"])
    docs: list[Doc] = []
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if SKIPPED_DIRS.intersection(relative.parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        if relative.as_posix() == "pydoc_data/topics.py":
            docs.extend(_topics(tree))
            continue
        module = _dotted(relative)
        top = ast.get_docstring(tree)
        if top:
            docs.append(Doc(module, top))
        docs.extend(_docstrings(tree, module))
    seen: set[str] = set()
    kept = []
    for doc in docs:
        text = "\n".join(line.rstrip() for line in doc.text.strip().split("\n"))
        if len(text) >= 24 and text not in seen:
            seen.add(text)
            kept.append(Doc(doc.name, text))
    return kept


def _topics(tree: ast.Module) -> Iterator[Doc]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            for key, value in ast.literal_eval(node.value).items():
                yield Doc(str(key), str(value))


def is_held_out(text: str) -> bool:
    """About one text in fifty, chosen by its own bytes so that the choice doesn't move with the order."""
    return hashlib.sha256(text.encode()).digest()[0] < 5
