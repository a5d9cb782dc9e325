"""The index of a workspace's documents: its bounds, what it takes over unread, and how names are found."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from dlm_lsp.document import parse
from dlm_lsp.document.entry import entry_of
from dlm_lsp.document.fuzzy import score
from dlm_lsp.runs import workspace as module
from dlm_lsp.runs.worker import Worker
from dlm_lsp.runs.workspace import Workspace
from tests.runs.conftest import HandClock, exchange

Index = Callable[..., Awaitable[Workspace]]


def text(title: str, number: int = 0) -> str:
    return f"---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6{number:02d}\nbase_model: m\n---\n# {title}\n"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """Reads the folder, again if it is called again."""
    worker = Worker("test-reader")
    worker.start()
    workspace: list[Workspace] = []

    async def read() -> Workspace:
        if not workspace:
            workspace.append(Workspace(worker, HandClock(), lambda ids: None))
        workspace[0].look_at([tmp_path], trusted=True)
        await asyncio.wait_for(workspace[0].settled(), 30)
        return workspace[0]

    yield read
    worker.stop()


def names(workspace: Workspace) -> set[str]:
    return {path.name for path in workspace.paths()}


def title(workspace: Workspace, path: Path) -> str:
    entry = workspace.entry(path)
    assert entry is not None
    return entry.symbols[0].name


async def test_what_did_not_change_on_disk_is_not_read_again(index: Index, tmp_path: Path) -> None:
    path = tmp_path / "a.dlm"
    path.write_text(text("One"))
    assert title(await index(), path) == "One"
    before = path.stat()
    path.write_text(text("Two"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert title(await index(), path) == "One", "same time, size and file: taken over"
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert title(await index(), path) == "Two"


@pytest.mark.parametrize(
    ("bound", "value", "kept"),
    [
        ("MAX_FILES", 2, {"a.dlm", "b.dlm"}),
        ("MAX_FILE_BYTES", 200, {"a.dlm", "b.dlm", "d.dlm"}),
        ("MAX_BYTES", 250, {"a.dlm", "b.dlm"}),
        ("MAX_DEPTH", 0, {"a.dlm", "b.dlm", "c.dlm"}),
        ("MAX_ENTRIES", 2, set()),
        ("MAX_SYMBOLS", 1, {"a.dlm", "b.dlm"}),
    ],
)
async def test_the_index_is_bounded(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, kept: set[str]
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.dlm").write_text(text("One", 1))
    (tmp_path / "b.dlm").write_text(text("Two", 2))
    (tmp_path / "c.dlm").write_text(text("Long " * 40, 3))
    (tmp_path / "deep" / "d.dlm").write_text(text("Deep", 4))
    monkeypatch.setattr(module, bound, value)
    assert names(await index()) == kept


async def test_a_symlink_is_the_file_it_leads_to_and_no_copy(index: Index, tmp_path: Path) -> None:
    (tmp_path / "a.dlm").write_text(text("One"))
    (tmp_path / "b.dlm").symlink_to(tmp_path / "a.dlm")
    workspace = await index()
    assert names(workspace) == {"a.dlm"} and workspace.namesakes(tmp_path / "a.dlm") == []


def test_what_has_a_name_of_its_own_is_a_symbol() -> None:
    body = (
        "First words of prose.\n\n::instruction#calm::\n### Q\nHow are you?\n### A\nFine.\n\n"
        '::image path="sea.png" alt="x"::\nThe sea.\n\n::prose::\n# Tides\n## Ebb\nText.\n'
    )
    found = entry_of(parse(text("Title") + body), "utf-16").symbols
    assert [(each.kind, each.name) for each in found] == [
        ("heading", "Title"),
        ("section", "instruction#calm"),
        ("exchange", "How are you?"),
        ("section", "sea.png"),
        ("heading", "Tides"),
        ("heading", "Ebb"),
    ]


@pytest.mark.parametrize("dlm_id", ['"01HZ4X7TGZM3J1A2B3C4D5E6F7"', "01HZ4X7TGZM3J1A2B3C4D5E6F7  # mine"])
def test_an_id_is_known_however_it_is_written_and_whatever_else_is_wrong(dlm_id: str) -> None:
    entry = entry_of(parse(f"---\ndlm_id: {dlm_id}\nno_such_key: 1\n---\n{exchange('One?', '1.')}"), "utf-8")
    assert entry.dlm_id == "01HZ4X7TGZM3J1A2B3C4D5E6F7"


def test_the_better_match_comes_first() -> None:
    names = ["Tides", "What pulls the tides?", "Riptides", "The old house", "The idle desk", "Nothing"]
    ranked = sorted(
        (name for name in names if score("tides", name) is not None), key=lambda n: -(score("tides", n) or 0)
    )
    assert ranked == ["Tides", "What pulls the tides?", "Riptides", "The idle desk"]
    assert score("TI DES", "tides") is not None and score("", "anything") == 0
