"""Settings: one table, read with clear complaints, and documentation that cannot drift from it."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.server.settings import SETTINGS, ServerSettings, manifest, markdown, read_settings

ROOT = Path(__file__).parents[2]


def test_defaults_are_the_run_settings_own() -> None:
    assert read_settings({setting.name: setting.default for setting in SETTINGS}) == ServerSettings()
    assert {setting.run_field for setting in SETTINGS} - {None} <= {each.name for each in fields(RunSettings)}
    own = {setting.server_field for setting in SETTINGS if setting.run_field is None}
    assert own <= {each.name for each in fields(ServerSettings)}


def test_every_setting_takes_effect() -> None:
    given = {
        "onSave": "mark",
        "trainOnAutoSave": True,
        "maxSteps": 7,
        "debounceMs": 0,
        "minIntervalSeconds": 60,
        "stopDeadlineSeconds": 90,
        "home": "/somewhere",
        "keepWarmMinutes": 1,
        "warmOnOpen": False,
        "keepVersions": 3,
        "forgettingMargin": 1,
        "learner": "process",
        "onShapeChange": "retrain",
        "retrainOnConfig": True,
        "hooks": True,
        "continueWhenIdle": True,
        "logLevel": "debug",
        "inlayHints": "off",
        "codeLens": "sections",
    }
    assert set(given) == {setting.name for setting in SETTINGS}
    read = read_settings(given)
    assert read.run == RunSettings(
        on_save="mark",
        train_on_auto_save=True,
        max_steps=7,
        debounce_ms=0,
        min_interval_seconds=60.0,
        home=Path("/somewhere"),
        keep_warm_minutes=1.0,
        warm_on_open=False,
        keep_versions=3,
        forgetting_margin=1.0,
        learner="process",
        stop_deadline_seconds=90,
        on_shape_change="retrain",
        retrain_on_config=True,
        hooks=True,
        continue_when_idle=True,
    )
    assert (read.log_level, read.inlay_hints, read.code_lens, read.warnings) == ("debug", "off", "sections", ())


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("onSave", "sometimes", "expected one of train, mark, off"),
        ("onSave", ["train"], "expected one of"),
        ("trainOnAutoSave", "yes", "expected true or false"),
        ("trainOnAutoSave", 1, "expected true or false"),
        ("maxSteps", "100", "expected a whole number"),
        ("maxSteps", 1.5, "expected a whole number"),
        ("maxSteps", True, "expected a whole number"),
        ("maxSteps", 0, "expected 1 or more"),
        ("maxSteps", 1e9, "expected 100000 or less"),
        ("debounceMs", -1, "expected 0 or more"),
        ("keepWarmMinutes", float("nan"), "expected a number"),
        ("home", 3, "expected a text"),
        ("learner", "remote", "expected one of thread, process"),
        ("logLevel", "loud", "expected one of error, warning, info, debug"),
    ],
)
def test_a_bad_value_is_told_and_changes_nothing(name: str, value: Any, complaint: str) -> None:
    read = read_settings({name: value, "debounceMs": 5} if name != "debounceMs" else {name: value})
    (warning,) = read.warnings
    assert f"`dlm.{name}`" in warning
    assert complaint in warning
    assert read_settings({"debounceMs": 5} if name != "debounceMs" else {}).run == read.run


def test_null_and_missing_keep_what_was_there() -> None:
    base = read_settings({"maxSteps": 3})
    assert read_settings({"maxSteps": None}, base).run.max_steps == 3
    assert read_settings(None, base).run.max_steps == 3
    assert "not a table" in read_settings("train", base).warnings[0]


def test_a_near_miss_is_told_and_other_tools_settings_are_left_alone() -> None:
    assert read_settings({"command": "x", "lspPath": "y", "watchOnSave": True}).warnings == ()
    (warning,) = read_settings({"onsave": "off"}).warnings
    assert "did you mean `dlm.onSave`" in warning


def test_the_settings_page_is_the_table() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == markdown(), "run scripts/generate_docs.py"


def test_the_extension_for_vs_code_declares_the_same_settings() -> None:
    text = (ROOT / "editors" / "vscode" / "package.json").read_text(encoding="utf-8")
    declared = json.loads(text)["contributes"]["configuration"][0]["properties"]
    assert declared == manifest(), "run scripts/generate_docs.py"
