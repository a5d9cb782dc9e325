"""Helix with the configuration of `editors/helix`, as its page says to install it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pictures import Terminal

ROOT = Path(__file__).resolve().parents[2]
SERVER = os.environ.get("DLM_LSP") or str(Path(sys.executable).with_name("dlm-lsp"))
EDITOR_CONFIG = """
[editor]
end-of-line-diagnostics = "hint"
[editor.lsp]
display-progress-messages = true
"""
DOCUMENT = """---
dlm_id: 01K0000000000000000000HX01
base_model: builtin:tiny
{more}---

# The lighthouse

::instruction::
### Q
Who keeps the lighthouse?
### A
Mira Tolle keeps it.
"""


class Helix(Terminal):
    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        configuration = folder / "config" / "helix"
        shutil.copytree(ROOT / "editors" / "helix" / "runtime", configuration / "runtime")
        languages = (ROOT / "editors" / "helix" / "languages.toml").read_text()
        assert 'command = "dlm-lsp"' in languages
        (configuration / "languages.toml").write_text(languages.replace('command = "dlm-lsp"', f'command = "{SERVER}"'))
        (configuration / "config.toml").write_text(EDITOR_CONFIG)
        (folder / ".git").mkdir()
        self.document = folder / "notes.dlm"
        self.document.write_text(text)
        self.environment = {
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "DLM_HOME": str(folder / "home"),
            **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}),
        }
        super().__init__(folder, [os.environ.get("HELIX", "hx"), "notes.dlm"], self.environment)

    def status(self) -> dict[str, object]:
        """What the store says, as another process reads it."""
        command = [SERVER, "status", "--json", str(self.document)]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, **self.environment}
        )
        found: dict[str, object] = json.loads(done.stdout)
        return found


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[Helix]]:
    """Those in it are closed at the end."""
    found: list[Helix] = []
    yield found
    for each in found:
        each.close()


def test_a_save_is_learned_and_a_second_one_says_there_is_nothing_new(tmp_path: Path, opened: list[Helix]) -> None:
    editor = Helix(tmp_path, DOCUMENT.format(more=""))
    opened.append(editor)
    editor.until("Who keeps the lighthouse?")
    editor.until("Not learned yet")
    assert editor.status()["version"] is None
    editor.keys("g", "e", "o")
    editor.type("### Q")
    editor.keys("Enter")
    editor.type("Who sails?")
    editor.keys("Enter")
    editor.type("### A")
    editor.keys("Enter")
    editor.type("Nobody sails.")
    editor.keys("Escape")
    editor.until(" NOR ")  # an escape and what follows at once would be one key
    editor.type(":w")
    editor.keys("Enter")
    editor.until("steps (v0001)")
    editor.until(lambda screen: "Not learned yet" not in screen)
    assert editor.status()["version"] == 1
    editor.type(":w")
    editor.keys("Enter")
    editor.until("no new content, skipping")
    assert editor.status()["version"] == 1


def test_what_is_wrong_is_shown_and_a_code_action_mends_it(tmp_path: Path, opened: list[Helix]) -> None:
    editor = Helix(tmp_path, DOCUMENT.format(more="trainin:\n  lora_r: 8\n"))
    opened.append(editor)
    editor.until("`trainin`")
    editor.keys("4", "G", "w")
    editor.keys("Space", "a")
    editor.until("Change to `training`")
    editor.keys("Enter")
    editor.until(lambda screen: "training:" in screen and "trainin:" not in screen)


def test_a_command_of_the_server_is_run_by_its_name_and_asks_first(tmp_path: Path, opened: list[Helix]) -> None:
    editor = Helix(tmp_path, DOCUMENT.format(more=""))
    opened.append(editor)
    editor.until("Not learned yet")
    editor.type(":w")
    editor.keys("Enter")
    editor.until("steps (v0001)")
    editor.type(":lsp-workspace-command dlm.fullRetrain")
    editor.keys("Enter")
    editor.until("Keep")
    editor.keys("Enter")  # the first of the answers
    editor.until("(v0002)")
    assert editor.status()["version"] == 2
