from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlm_lsp.training.protocol import Learner
from tests.training.learning_helpers import make_base

os.environ["DLM_THREADS"] = "1"


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random base with a chat template."""
    return make_base(tmp_path_factory.mktemp("bases") / "random")


@pytest.fixture
def learner() -> Iterator[Learner]:
    from dlm_lsp.training.learner import create

    made = create()
    yield made
    made.close()
