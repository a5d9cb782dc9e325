"""A store that the original made with its own `dlm init` and `dlm train`, continued by our server."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from dlm_lsp.document import parse
from dlm_lsp.store import Store
from tests.fakes import Gate
from tests.interop import ours
from tests.interop.conftest import COMMIT, REPO
from tests.interop.documents import FERRY, KEEPER, document
from tests.interop.original import Original
from tests.server.conftest import Begin, begin, gate
from tests.training.local_hub import LocalHub

__all__ = ["begin", "gate"]  # the fixtures of a server with the fake learner

STEPS = 40


@dataclass(frozen=True)
class Theirs:
    """A document that it made and trained, and its home."""

    path: Path
    home: Path
    dlm_id: str

    @property
    def store(self) -> Store:
        return Store(self.home, self.dlm_id)


@pytest.fixture(scope="module")
def trained(its_installation: Original, tmp_path_factory: pytest.TempPathFactory) -> Theirs:
    folder = tmp_path_factory.mktemp("theirs")
    its, path = its_installation.at(folder / "home"), folder / "harbour.dlm"
    its.dlm("init", path, "--base", f"hf:{REPO}", "--skip-export-probes")
    made = parse(path.read_bytes()).frontmatter
    assert made is not None
    path.write_text(document(KEEPER, dlm_id=made.dlm_id))
    its.dlm("train", path, "--max-steps", str(STEPS))
    return Theirs(path, its.home, made.dlm_id)


@pytest.fixture
def theirs(trained: Theirs, tmp_path: Path) -> Theirs:
    """A copy of it for one test."""
    shutil.copytree(trained.home, tmp_path / "home")
    return Theirs(Path(shutil.copy(trained.path, tmp_path)), tmp_path / "home", trained.dlm_id)


async def test_a_save_continues_its_adapter_and_keeps_its_history(
    theirs: Theirs, original: Original, environment: dict[str, str]
) -> None:
    before = json.loads((theirs.home / "store" / theirs.dlm_id / "manifest.json").read_text())
    first = theirs.store.current()
    assert first is not None
    files = {file.name: file.read_bytes() for file in first.path.iterdir()}
    remembered = {each.section_id: each.content for each in theirs.store.replay().read()}
    assert set(remembered) == set(before["content_hashes"]), "its replay is readable"

    text = document(KEEPER, FERRY, dlm_id=theirs.dlm_id)
    async with ours.server(theirs.home, environment, keepVersions=1) as editor:
        editor.open(theirs.path, theirs.path.read_text())
        status = await ours.save(editor, theirs.path, text)
        assert status["version"] == 2
        await ours.save(editor, theirs.path, text.replace("from the old", "at the old"))

    manifest = json.loads((theirs.home / "store" / theirs.dlm_id / "manifest.json").read_text())
    assert manifest["training_runs"][0] == before["training_runs"][0], "its run stands as it wrote it"
    assert [run["adapter_version"] for run in manifest["training_runs"]] == [1, 2, 3]
    assert {run["base_model_revision"] for run in manifest["training_runs"]} == {COMMIT}
    # Only the newest of ours is kept (keepVersions), but no version of another tool is ever removed.
    assert [version.number for version in theirs.store.versions()] == [1, 3]
    assert {file.name: file.read_bytes() for file in first.path.iterdir()} == files
    assert original.prompt(theirs.path, FERRY[0]) == FERRY[1]
    assert original.show(theirs.path)["adapter_version"] == 3


def test_the_weights_are_its_own_trained_on(theirs: Theirs, environment: dict[str, str]) -> None:
    """An adapter begins with a random A and drifts from it: two that began anew have nothing in common."""
    theirs.path.write_text(document(KEEPER, FERRY, dlm_id=theirs.dlm_id))
    ours.command(theirs.home, environment, "train", theirs.path)
    first, second = (load_file(version.path / "adapter_model.safetensors") for version in theirs.store.versions())
    assert first.keys() == second.keys()
    assert any(not np.array_equal(first[name], second[name]) for name in first)
    for name in (name for name in first if "lora_A" in name):
        one, other = (np.asarray(each[name], np.float64).ravel() for each in (first, second))
        assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.5, name


def test_what_it_learned_is_learned_anew_because_nobody_knows_how_well(
    theirs: Theirs, environment: dict[str, str]
) -> None:
    status = json.loads(ours.command(theirs.home, environment, "status", "--json", theirs.path))
    assert (status["version"], status["base"]) == (1, f"hf:{REPO}")
    assert {section["state"] for section in status["sections"]} == {"new"}


def test_the_base_stays_the_commit_that_its_run_recorded(
    theirs: Theirs, environment: dict[str, str], hub: LocalHub, models: Path
) -> None:
    """A newer commit on the hub is another model: its adapter would not fit it."""
    newer = "f" * 40
    hub.models[REPO].commits[newer] = {}
    main = models / "hub" / f"models--{REPO.replace('/', '--')}" / "refs" / "main"
    try:
        main.write_text(newer)
        theirs.path.write_text(document(KEEPER, FERRY, dlm_id=theirs.dlm_id))
        ours.command(theirs.home, environment, "train", theirs.path)
    finally:
        main.write_text(COMMIT)
        del hub.models[REPO].commits[newer]
    assert theirs.store.manifest().base_model_revision == COMMIT  # type: ignore[union-attr]


def test_both_take_turns(theirs: Theirs, original: Original, environment: dict[str, str]) -> None:
    """Ours, its, ours: each goes on from the other's version, and neither loses a run or a remembered text."""
    both = document(KEEPER, FERRY, dlm_id=theirs.dlm_id)
    theirs.path.write_text(both)
    ours.command(theirs.home, environment, "train", theirs.path)
    original.dlm("train", theirs.path, "--resume", "--max-steps", "2")
    assert original.prompt(theirs.path, FERRY[0]) == FERRY[1]
    ours.command(theirs.home, environment, "train", theirs.path)
    seen = original.read(theirs.dlm_id, theirs.path)
    assert [run["adapter_version"] for run in seen["manifest"]["training_runs"]] == [1, 2, 3, 4]
    assert seen["adapter"] == "adapter/versions/v0004"
    sections = {section.section_id for section in parse(both.encode()).sections}
    assert {each[0] for each in seen["replay"]} >= sections
    assert (seen["new"], seen["removed"]) == ([], [])


def test_an_adapter_of_another_shape_is_refused_with_a_remedy(theirs: Theirs, environment: dict[str, str]) -> None:
    text = document(KEEPER, FERRY, dlm_id=theirs.dlm_id)
    theirs.path.write_text(text.replace("precision: fp32", "precision: fp32\n  lora_r: 4"))
    told = _failing(theirs, environment)
    assert "--full` to begin a new adapter" in told
    assert theirs.store.current().number == 1  # type: ignore[union-attr]


def _failing(theirs: Theirs, environment: dict[str, str]) -> str:
    with pytest.raises(AssertionError) as caught:
        ours.command(theirs.home, environment, "train", theirs.path)
    return str(caught.value)


async def test_a_run_of_its_in_the_middle_of_ours_loses_nothing(
    begin: Begin, gate: Gate, theirs: Theirs, original: Original
) -> None:
    """It trains without taking the lock: its version and its run are kept, and ours gets the next number."""
    editor = await begin(gate=gate)
    uri = editor.open(theirs.path, theirs.path.read_text())
    editor.save(theirs.path, document(KEEPER, FERRY, dlm_id=theirs.dlm_id))
    await editor.state(uri, "training")
    original.dlm("train", theirs.path, "--resume", "--max-steps", "1")
    gate.allow(5)
    status = ours.finished(await editor.idle(uri))
    assert status["version"] == 3
    assert [version.number for version in theirs.store.versions()] == [1, 2, 3]
    runs = json.loads((theirs.home / "store" / theirs.dlm_id / "manifest.json").read_text())["training_runs"]
    assert [(run["run_id"], run["adapter_version"]) for run in runs] == [(1, 1), (2, 2), (3, 3)]
    assert {each.section_id for each in theirs.store.replay().read()} == {
        section.section_id for section in parse(theirs.path.read_bytes()).sections
    }
