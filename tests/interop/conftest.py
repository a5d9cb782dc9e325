"""The original tool in its environment, and the built-in base as a model of the hub that both tools know.

The base lies in a hub cache of the tests' own. The original asks the hub for a model's newest commit before each
command, so a hub on the loopback interface answers that; no file is ever fetched from it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import dlm_lsp.training
from tests.interop.original import Original
from tests.training.local_hub import HubModel, LocalHub, serve

INTERPRETER = "DLM_INTEROP_PYTHON"
REPO = "dlm-lsp-tests/tiny"
COMMIT = hashlib.sha1(REPO.encode()).hexdigest()
BASE = Path(dlm_lsp.training.__file__).parent / "builtin" / "tiny"

# Without the original there is nothing to run here: `make interop` makes its environment and names it.
collect_ignore_glob = [] if os.environ.get(INTERPRETER) else ["test_*.py"]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HF_HOME with the built-in base in its cache, as a download of it would have left it."""
    home = tmp_path_factory.mktemp("models")
    model = home / "hub" / f"models--{REPO.replace('/', '--')}"
    snapshot, blobs = model / "snapshots" / COMMIT, model / "blobs"
    for folder in (snapshot, blobs, model / "refs"):
        folder.mkdir(parents=True)
    (model / "refs" / "main").write_text(COMMIT)
    for file in BASE.iterdir():
        data = file.read_bytes()
        blob = blobs / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (snapshot / file.name).symlink_to(blob)
    return home


@pytest.fixture(scope="session")
def hub() -> Iterator[LocalHub]:
    """Tells the base's newest commit. Its files are listed, and stay here: see `test_nothing_is_downloaded`."""
    with serve() as hub:
        hub.models[REPO] = HubModel({COMMIT: {file.name: file.read_bytes() for file in BASE.iterdir()}})
        yield hub


@pytest.fixture(scope="session")
def environment(models: Path, hub: LocalHub) -> dict[str, str]:
    """For both tools."""
    return {
        "HF_HOME": str(models),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "DLM_SKIP_EXPORT_PROBES": "1",  # they ask a llama.cpp that is not part of its package
        "DLM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "NO_COLOR": "1",
    }


@pytest.fixture(scope="session")
def its_installation(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Original:
    if INTERPRETER not in os.environ:
        pytest.fail(f"{INTERPRETER} names no interpreter with the original in it: run `make interop`")
    return Original(Path(os.environ[INTERPRETER]), environment, tmp_path_factory.mktemp("nowhere"))


@pytest.fixture
def original(its_installation: Original, tmp_path: Path) -> Original:
    """The original, working on the test's own home."""
    return its_installation.at(tmp_path / "home")
