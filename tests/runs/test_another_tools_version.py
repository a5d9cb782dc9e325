"""A version that another tool committed: no ledger of ours, but a run in the manifest."""

from __future__ import annotations

from pathlib import Path

from dlm_lsp.document import Frontmatter, parse
from dlm_lsp.runs.run import session_request
from dlm_lsp.store import Store
from dlm_lsp.store import manifest as manifests
from dlm_lsp.store.manifest import Manifest, TrainingRun
from tests.runs.conftest import DLM_ID
from tests.store.store_helpers import DLM_ID as OTHER_ID
from tests.store.store_helpers import weights

COMMIT, OTHER = "1" * 40, "2" * 40
BASE = "hf:acme/small"


def of_another_tool(home: Path, *, base_model: str = BASE) -> Store:
    """A store with one version and its run, as the original leaves them."""
    store = Store(home, DLM_ID)
    folder = store.layout.version(1)
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(weights(1))
    store.layout.current.write_text("adapter/versions/v0001\n")
    moment = "2026-02-02T02:40:00"
    run = TrainingRun(
        run_id=1, started_at=moment, ended_at=moment, adapter_version=1, base_model_revision=COMMIT, seed=1
    )
    made = Manifest(dlm_id=DLM_ID, base_model=base_model, adapter_version=1, training_runs=(run,))
    manifests.save(store.layout, made, "20260202T024000")
    return store


def frontmatter(base: str = BASE, dlm_id: str = DLM_ID) -> Frontmatter:
    parsed = parse(f"---\ndlm_id: {dlm_id}\nbase_model: {base}\n---\n").frontmatter
    assert parsed is not None
    return parsed


def test_the_base_stays_at_the_commit_of_its_run(tmp_path: Path) -> None:
    request = session_request(frontmatter(), tmp_path / "a.dlm", of_another_tool(tmp_path))
    assert request.base.revision == COMMIT
    assert request.version_dir is not None


def test_another_base_is_not_taken_at_that_commit(tmp_path: Path) -> None:
    store = of_another_tool(tmp_path, base_model="hf:acme/large")
    assert session_request(frontmatter(), tmp_path / "a.dlm", store).base.revision is None


def test_without_a_version_nothing_is_recorded(tmp_path: Path) -> None:
    store = Store(tmp_path, OTHER_ID)
    assert session_request(frontmatter(dlm_id=OTHER_ID), tmp_path / "a.dlm", store).base.revision is None
