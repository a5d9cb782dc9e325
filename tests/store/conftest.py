"""What the tests of the store share."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlm_lsp.store import Store
from tests.store.store_helpers import DLM_ID


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home, DLM_ID)
