"""A store that our server wrote, as the original's commands and readers see it after each kind of run."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dlm_lsp.document import parse
from dlm_lsp.store import Store
from tests.interop import ours
from tests.interop.conftest import COMMIT, REPO
from tests.interop.documents import BAKER, COLOUR, FERRY, KEEPER, document
from tests.interop.original import Original
from tests.server.editor import DLM_ID
from tests.training.local_hub import LocalHub

STAGES = ("cycle", "second cycle", "full retrain", "prune")
KEEP = 3


@dataclass(frozen=True)
class Stage:
    """The document and a copy of the home after a run, and the version it made."""

    path: Path
    home: Path
    version: int

    @property
    def store(self) -> Store:
        return Store(self.home, DLM_ID)


@pytest.fixture(scope="module")
def stages(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    """One document, saved and learned by one real server: each stage is kept as it was."""
    return asyncio.run(_learned(environment, tmp_path_factory.mktemp("ours")))


async def _learned(environment: dict[str, str], folder: Path) -> dict[str, Stage]:
    home, path = folder / "home", folder / "harbour.dlm"
    found: dict[str, Stage] = {}

    def keep(name: str) -> None:
        place = folder / name
        shutil.copytree(home, place / "home")
        shutil.copy(path, place / path.name)
        found[name] = Stage(place / path.name, place / "home", len(found) + 1)

    async with ours.server(home, environment, keepVersions=KEEP) as editor:
        uri = editor.open(path, document())
        await ours.save(editor, path, document(KEEPER))
        keep("cycle")
        await ours.save(editor, path, document(KEEPER, FERRY))
        keep("second cycle")
        await editor.command("dlm.fullRetrain", {"uri": uri, "confirmed": True})
        await ours.learned(editor, uri)
        keep("full retrain")
        await ours.save(editor, path, document(KEEPER, COLOUR, BAKER))
        keep("prune")
    return found


@pytest.fixture(scope="module")
def readings(stages: dict[str, Stage], its_installation: Original) -> dict[str, dict[str, Any]]:
    """What the original's own readers make of each stage."""
    return {name: its_installation.at(each.home).read(DLM_ID, each.path) for name, each in stages.items()}


@pytest.fixture(params=STAGES)
def stage(stages: dict[str, Stage], request: pytest.FixtureRequest) -> Stage:
    return stages[request.param]


@pytest.fixture
def seen(stage: Stage, stages: dict[str, Stage], readings: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return next(readings[name] for name, each in stages.items() if each is stage)


def test_show_knows_it(stage: Stage, its_installation: Original) -> None:
    shown = its_installation.at(stage.home).show(stage.path)
    assert shown["dlm_id"] == DLM_ID
    assert (shown["base_model"], shown["base_model_revision"]) == (f"hf:{REPO}", COMMIT)
    assert (shown["adapter_version"], shown["training_runs"]) == (stage.version, stage.version)
    assert shown["has_adapter_current"] is True
    assert shown["replay_size_bytes"] > 0
    assert set(shown["content_hashes"]) == {section.section_id for section in parse(stage.path.read_bytes()).sections}


def test_its_readers_accept_every_file(stage: Stage, seen: dict[str, Any]) -> None:
    assert seen["same_bytes"], "it would write the manifest in other bytes than ours"
    assert seen["adapter"] == f"adapter/versions/v{stage.version:04d}"
    assert seen["manifest"]["adapter_version"] == stage.version
    assert [run["run_id"] for run in seen["manifest"]["training_runs"]] == list(range(1, stage.version + 1))
    assert {run["status"] for run in seen["manifest"]["training_runs"]} == {"completed"}
    assert (seen["new"], seen["removed"]) == ([], []), "nothing of the learned text is new to it"
    assert seen["state"]["moments"] > 0


def test_its_replay_reader_finds_the_learned_text(stage: Stage, seen: dict[str, Any]) -> None:
    sections = parse(stage.path.read_bytes()).sections
    assert {(each[0], each[1]) for each in seen["replay"]} == {(each.section_id, each.kind) for each in sections}
    ours_too = {(each.section_id, each.section_type, each.content) for each in stage.store.replay().read()}
    assert {tuple(each) for each in seen["replay"]} == ours_too
    assert seen["sampled"] == 1, "its sampler can weigh the moments that we wrote"


def test_its_lock_reader_accepts_dlm_lock(stages: dict[str, Stage], readings: dict[str, dict[str, Any]]) -> None:
    """Written by a full retrain, and left alone by the cycles before and after it."""
    locks = [readings[name]["lock"] for name in STAGES]
    assert locks[0] is None
    assert locks[1] is None
    version = stages["full retrain"].version
    for lock in locks[2:]:
        assert (lock["dlm_id"], lock["base_model_revision"], lock["last_run_id"]) == (DLM_ID, COMMIT, version)


def test_pruning_took_our_oldest_version_only(stages: dict[str, Stage]) -> None:
    assert [version.number for version in stages["full retrain"].store.versions()] == [1, 2, 3]
    assert [version.number for version in stages["prune"].store.versions()] == [2, 3, 4]


@pytest.mark.parametrize(("name", "exchange"), [("cycle", KEEPER), ("prune", COLOUR)])
def test_prompt_answers_from_our_adapter(
    stages: dict[str, Stage],
    its_installation: Original,
    environment: dict[str, str],
    name: str,
    exchange: tuple[str, str],
) -> None:
    """Word for word what our own prompt answers, and what the document says."""
    stage, (question, answer) = stages[name], exchange
    assert its_installation.at(stage.home).prompt(stage.path, question) == answer
    assert ours.prompt(stage.home, environment, stage.path, question) == answer


def test_it_trains_on_from_our_adapter_and_we_from_its(
    stages: dict[str, Stage], original: Original, environment: dict[str, str], tmp_path: Path
) -> None:
    """`dlm train --resume` takes our store with our dlm.lock; the next save of ours takes the outcome."""
    shutil.copytree(stages["prune"].home, original.home)
    path = Path(shutil.copy(stages["prune"].path, tmp_path))
    original.dlm("train", path, "--resume", "--max-steps", "2")
    store = Store(original.home, DLM_ID)
    assert [version.number for version in store.versions()] == [2, 3, 4, 5]
    assert original.prompt(path, COLOUR[0]) == COLOUR[1], "two small steps have not made it forget"

    path.write_text(document(KEEPER, COLOUR, BAKER, FERRY))
    assert "v0006" in ours.command(original.home, environment, "train", path)
    assert original.prompt(path, FERRY[0]) == ours.prompt(original.home, environment, path, FERRY[0]) == FERRY[1]
    runs = original.show(path)["training_runs"]
    assert runs == 6
    assert 5 in {version.number for version in store.versions()}, "a version of another tool is never removed"


def test_a_pack_of_our_store_is_unpacked_as_it_was(
    stages: dict[str, Stage], original: Original, environment: dict[str, str], tmp_path: Path
) -> None:
    stage, packed = stages["cycle"], tmp_path / "harbour.dlm.pack"
    its = original.at(stage.home)
    its.dlm("pack", stage.path, "--out", packed)
    original.dlm("unpack", packed, "--out", tmp_path)
    store = Store(original.home, DLM_ID)
    current = store.current()
    assert current is not None
    assert current.number == stage.version
    text = (tmp_path / stage.path.name).read_text()
    assert ours.prompt(original.home, environment, stage.path, KEEPER[0]) == KEEPER[1]
    assert parse(text.encode()).sections == parse(stage.path.read_bytes()).sections


def test_nothing_is_downloaded(stages: dict[str, Stage], its_installation: Original, hub: LocalHub) -> None:
    """The base came from the cache of the tests: the hub was asked for the newest commit, and for no file."""
    stage = stages["cycle"]
    hub.requests.clear()
    its_installation.at(stage.home).prompt(stage.path, KEEPER[0])
    assert f"GET /api/models/{REPO}" in hub.requests
    assert not [each for each in hub.requests if each.startswith("GET ") and "/resolve/" in each]
