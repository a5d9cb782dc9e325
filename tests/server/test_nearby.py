"""Bases that are on this machine are offered: models in the hub's cache, directories beside the document."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path

import pytest
from lsprotocol import types

from dlm_lsp.server import nearby
from dlm_lsp.training.bases import BaseFacts, registry
from tests.server.conftest import Begin
from tests.server.editor import DLM_ID, Editor
from tests.server.test_language import accepted, items

BUILTIN = Path(nearby.__file__).parents[1] / "training" / "builtin" / "tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_base(directory: Path, *, complete: bool = True) -> None:
    """A small base of real files."""
    directory.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors")[: 3 if complete else 2]:
        shutil.copyfile(BUILTIN / name, directory / name)


def make_cache(cache: Path, repo: str, commit: str = COMMIT, *, complete: bool = True) -> None:
    """The layout of the hub's cache for one model."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    make_base(folder / "snapshots" / commit, complete=complete)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    known = registry()["smollm2-135m"]
    cache = tmp_path / "hub"
    make_cache(cache, "harbour/pilot")
    make_cache(cache, "harbour/broken", complete=False)
    make_cache(cache, known.hf_id, known.revision)
    (cache / "models--odd").mkdir()
    (cache / ".locks").mkdir()
    return cache


async def offered(
    editor: Editor, path: Path, written: str, what: str = "builtin:tiny"
) -> tuple[str, dict[str, types.CompletionItem]]:
    """The text, and what is offered once `what` is: a busy disk may answer after the server's patience."""
    text = f"---\ndlm_id: {DLM_ID}\nbase_model: {written}\n---\n"
    uri = editor.open(path, text)
    for _ in range(60):
        found = await items(editor, uri, types.Position(2, 12 + len(written)))
        if what in found:
            break
    return text, found


async def test_models_in_the_hubs_cache_are_offered(begin: Begin, tmp_path: Path, cache: Path) -> None:
    editor = await begin(environment={"HF_HUB_CACHE": str(cache)})
    text, found = await offered(editor, tmp_path / "a.dlm", "", "hf:harbour/pilot")
    assert accepted(text, found["hf:harbour/pilot"]).split("\n")[2] == "base_model: hf:harbour/pilot"
    assert found["hf:harbour/pilot"].detail == "3.54 M · context 1,024 · on this machine"
    assert "hf:harbour/broken" not in found
    assert f"hf:{registry()['smollm2-135m'].hf_id}" not in found, "it has a key"
    assert (found["smollm2-135m"].detail or "").endswith("on this machine")
    assert "context 8,192 · Apache-2.0" in (found["smollm2-135m"].detail or "")
    assert not (found["smollm2-360m"].detail or "").endswith("on this machine")
    order = [item.label for item in sorted(found.values(), key=lambda item: item.sort_text or "")]
    assert order[:2] == ["builtin:tiny", "hf:harbour/pilot"]


async def test_directories_beside_the_document_are_offered(begin: Begin, tmp_path: Path) -> None:
    editor = await begin(environment={"HF_HUB_CACHE": str(tmp_path / "none")})
    make_base(tmp_path / "work" / "models" / "own")
    make_base(tmp_path / "work" / "half", complete=False)
    make_base(tmp_path / "work" / "smollm2-135m")
    (tmp_path / "work" / "notes").mkdir()
    (tmp_path / "work" / "a: b").mkdir()
    here = tmp_path / "work" / "a.dlm"
    _, found = await offered(editor, here, "", "models/own")
    names = {label for label, item in found.items() if label not in registry()}
    assert names == {"builtin:tiny", "models/own", "half", "./smollm2-135m"}
    assert found["models/own"].detail == "3.54 M · context 1,024 · on this machine"
    assert "has no weights" in (found["half"].detail or "")

    text, found = await offered(editor, tmp_path / "work" / "b.dlm", "./mo", "./models/")
    assert {"./models/", "./half", "./notes/"} <= set(found)
    assert accepted(text, found["./models/"]).split("\n")[2] == "base_model: ./models/"
    text, found = await offered(editor, tmp_path / "work" / "c.dlm", "models/", "models/own")
    assert accepted(text, found["models/own"]).split("\n")[2] == "base_model: models/own"
    _, found = await offered(
        editor, tmp_path / "work" / "d.dlm", f"{tmp_path}/work/models/", f"{tmp_path}/work/models/own"
    )
    assert f"{tmp_path}/work/models/own" in found


async def test_of_an_untrusted_workspace_nothing_is_looked_at(begin: Begin, tmp_path: Path, cache: Path) -> None:
    editor = await begin(environment={"HF_HUB_CACHE": str(cache)}, settings={"workspaceTrusted": False})
    make_base(tmp_path / "own")
    _, found = await offered(editor, tmp_path / "a.dlm", "")
    assert set(found) == {"builtin:tiny", *registry()}
    assert not any((item.detail or "").endswith("on this machine") for item in found.values())


async def test_a_disk_that_does_not_answer_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known is offered, and what comes late is known the next time; one thread asks, however often."""
    answer, asked = threading.Event(), []

    def slow() -> tuple[BaseFacts, ...]:
        asked.append(1)
        assert answer.wait(30)
        return (BaseFacts("hf:a/b", "a/b"),)

    monkeypatch.setattr(nearby, "cached_bases", slow)
    near = nearby.Nearby()
    assert await asyncio.gather(near.bases(None, ""), near.bases(None, "")) == [(), ()]
    answer.set()
    found = await near.bases(None, "")
    assert [base.name for base in found] == ["hf:a/b"]
    assert await near.bases(None, "") == found
    assert asked == [1]
