"""What others may build on: these names of the package, these commands and requests of the server; no more."""

from __future__ import annotations

import importlib
import re
import types
from pathlib import Path

import pytest

import dlm_lsp
from dlm_lsp.server.app import create_server
from tests.fakes import FakeLearner

PUBLIC = {
    "dlm_lsp": {"__version__"},
    "dlm_lsp.cli": {"app"},
    "dlm_lsp.document": {
        "CATALOGUE", "SCHEMA_VERSION", "Document", "Exchange", "Family", "Fix", "Frontmatter", "KeyInfo", "KeyPath",
        "KeyPlace", "Lesson", "LineIndex", "Position", "PositionEncoding", "Problem", "Range", "Related", "Section",
        "SectionKind", "Severity", "TrainingConfig", "describe_key", "family", "keys_at", "parse", "section_id",
        "sourced_section",
    },
    "dlm_lsp.runs": set(),
    "dlm_lsp.server": {"serve_stdio", "serve_tcp"},
    "dlm_lsp.serving": set(),
    "dlm_lsp.store": {
        "NOTHING", "Chronicle", "Commit", "Curve", "DlmLock", "FailedRun", "HardwareTier", "Held", "Histories",
        "Holder", "Inspection", "JournalEntry", "Known", "Ledger", "Manifest", "Past", "Point", "Replay", "RunFacts",
        "Signature", "Snapshot", "Store", "StoreError", "TrainingRun", "Version", "VersionRecord", "dlm_home",
        "path_text", "read_beneath", "read_regular", "read_start", "read_training_state", "readable", "signature",
        "signature_of", "version_name",
    },
    "dlm_lsp.training": set(),
}  # fmt: skip
# How a save reaches a run that goes on is the supervisor's affair: whoever could stop or change a run behind its back
# would make what it tells untrue.
INTERNAL = re.compile(r"steer|finish|early|stop|revis|reload|absor|swap|restart|amend", re.IGNORECASE)
ROOT = Path(dlm_lsp.__file__).parent


def test_each_part_of_the_package_is_in_the_list() -> None:
    parts = {f"dlm_lsp.{path.parent.name}" for path in ROOT.glob("*/__init__.py")}
    assert {"dlm_lsp", *parts} == set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_its_public_names_are_these_and_exist(name: str) -> None:
    module = importlib.import_module(name)
    assert set(module.__all__) == PUBLIC[name]
    assert len(module.__all__) == len(PUBLIC[name])
    assert all(hasattr(module, each) for each in PUBLIC[name])
    # A room of the package is a module; what else lies in the package without an underscore, others would use.
    besides = {each for each in vars(module) if not each.startswith("_")} - PUBLIC[name] - {"annotations"}
    found = {each: getattr(module, each) for each in besides if not isinstance(getattr(module, each), types.ModuleType)}
    assert not {each for each in found if each != "TYPE_CHECKING"}


def test_early_stop_and_swap_are_not_among_them() -> None:
    names = {each for part in PUBLIC.values() for each in part}
    assert not {each for each in names if INTERNAL.search(each)}
    features = create_server(learner=lambda: FakeLearner()).protocol.fm
    assert not {each for each in features.commands if INTERNAL.search(each)}
    assert not {each for each in features.features if each.startswith("dlm/") and INTERNAL.search(each)}


def test_every_command_and_request_of_ours_is_documented() -> None:
    """A client's way in is documented, or it is none."""
    page = (ROOT.parent / "docs" / "protocol.md").read_text("utf-8")
    features = create_server(learner=lambda: FakeLearner()).protocol.fm
    ours = {*features.commands, *(each for each in features.features if each.startswith("dlm/"))}
    assert not {each for each in ours if f"`{each}`" not in page}
