"""The rooms know only whom they may know: read from the imports in the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dlm_lsp

PACKAGE = Path(dlm_lsp.__file__).parent
ROOMS = ("document", "store", "training", "runs", "serving", "server", "cli")
MAY_IMPORT = {
    "document": set(),
    "store": set(),
    "training": {"document", "store"},
    "runs": {"document", "store", "training"},
    "serving": {"document", "store", "training", "runs"},
    "server": {"document", "store", "training", "runs"},
    "cli": {"document", "store", "training", "runs", "serving", "server"},
}
# What `runs` may see of `training`: the protocol, the facts about bases, and what they take. All free of torch.
TRAINING_WITHOUT_TORCH = {f"dlm_lsp.training.{name}" for name in ("protocol", "bases", "memory", "quantised")}
HEAVY = {"torch", "transformers", "peft"}
EDITOR = {"lsprotocol", "pygls"}
WEB = {"starlette", "uvicorn"}


def sources() -> Iterator[tuple[str, Path]]:
    for room in ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            yield room, path


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Every module that the file imports, by its full name; those of a TYPE_CHECKING block are not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room}
    seen = 0
    for path in (PACKAGE / room).rglob("*.py"):
        for module in imports(path):
            parts = module.split(".")
            if parts[0] == "dlm_lsp" and len(parts) > 1 and parts[1] in ROOMS:
                seen += 1
                assert parts[1] in allowed, f"{path.relative_to(PACKAGE)} imports {module}"
    assert seen, f"no import of ours was found in {room}: the test looks in the wrong place"


def test_torch_transformers_and_peft_are_imported_in_training_alone() -> None:
    users = {room for room, path in sources() for module in imports(path) if module.split(".")[0] in HEAVY}
    assert users == {"training"}


def test_lsprotocol_and_pygls_are_imported_in_the_server_alone() -> None:
    users = {room for room, path in sources() for module in imports(path) if module.split(".")[0] in EDITOR}
    assert users == {"server"}


def test_the_command_line_needs_the_server_only_to_start_it() -> None:
    users = {path.name for room, path in sources() if room == "cli" for each in imports(path) if ".server" in each}
    assert users == {"app.py"}


def test_the_web_server_is_imported_in_serving_alone_and_the_prompt_line_in_the_terminal_s_command() -> None:
    """Neither costs the language server anything."""
    users = {room for room, path in sources() for module in imports(path) if module.split(".")[0] in WEB}
    assert users == {"serving"}
    users = {
        path.parent.relative_to(PACKAGE).as_posix()
        for _, path in sources()
        for module in imports(path)
        if module.split(".")[0] == "prompt_toolkit"
    }
    assert users == {"cli/repl"}
    app = PACKAGE / "cli" / "app.py"
    assert not any("repl" in module or "serving" in module for module in imports(app, top_level_only=True))


def test_runs_sees_of_training_only_what_is_free_of_torch() -> None:
    seen = {
        module
        for path in (PACKAGE / "runs").rglob("*.py")
        for module in imports(path)
        if module.startswith("dlm_lsp.training")
    }
    assert seen <= TRAINING_WITHOUT_TORCH, seen
    assert "dlm_lsp.training.protocol" in seen


@pytest.mark.parametrize("module", sorted(TRAINING_WITHOUT_TORCH | {"dlm_lsp.training"}))
def test_these_modules_of_training_are_free_of_torch(module: str) -> None:
    """Followed through every import of ours that runs when the module is imported."""
    waiting, done = [module], set()
    while waiting:
        name = waiting.pop()
        if name in done:
            continue
        done.add(name)
        stem = PACKAGE.parent.joinpath(*name.split("."))
        path = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
        if not path.exists():
            continue
        for imported in imports(path, top_level_only=True):
            assert imported.split(".")[0] not in HEAVY, f"{name} imports {imported} when it is imported"
            if imported.startswith("dlm_lsp"):
                waiting.append(imported)


def test_the_public_names_of_the_package_are_few() -> None:
    """What others may rely on is the server, the command line and `document.parse`; the rest is internal."""
    assert {name for name in vars(dlm_lsp) if not name.startswith("_")} <= set(ROOMS)
