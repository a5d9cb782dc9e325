"""The configuration of editors that do not run here, and what waits to be sent: well formed, and true of the server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from dlm_lsp import __version__

EDITORS = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((EDITORS.parent / "pyproject.toml").read_text())["project"]


def test_the_package_for_mason_has_the_fields_of_its_schema_and_names_what_is_published() -> None:
    place = EDITORS / "submissions/mason/packages/dlm-language-server/package.yaml"
    package = yaml.safe_load(place.read_text())
    assert set(package) == {
        "name", "description", "homepage", "licenses", "languages", "categories", "source", "bin", "neovim"
    }  # fmt: skip
    assert package["name"] == place.parent.name == PROJECT["name"]
    assert package["source"] == {"id": f"pkg:pypi/{PROJECT['name']}@{__version__}"}
    assert set(package["bin"]) <= set(PROJECT["scripts"])
    assert all(package["bin"][name] == f"pypi:{name}" for name in package["bin"])
    assert package["categories"] == ["LSP"]
    assert package["licenses"] == ["MIT"]
    assert (EDITORS / f"submissions/nvim-lspconfig/lsp/{package['neovim']['lspconfig']}.lua").exists()


def test_neovim_enables_the_configuration_for_nvim_lspconfig(tmp_path: Path) -> None:
    neovim = os.environ.get("NVIM", "nvim")
    if shutil.which(neovim) is None:
        pytest.skip("Neovim is not there")
    place = EDITORS / "submissions/nvim-lspconfig"
    look = (
        f"lua vim.opt.runtimepath:prepend([[{place}]]); vim.lsp.enable('dlm_ls');"
        "local c = vim.lsp.config.dlm_ls; io.stdout:write(vim.json.encode({c.cmd, c.filetypes, c.root_markers}))"
    )
    done = subprocess.run(
        [neovim, "--clean", "--headless", "-c", look, "-c", "qall!"],
        capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert json.loads(done.stdout) == [["dlm-lsp"], ["dlm"], [".venv", ".git"]]


def test_the_configuration_for_sublime_is_json_with_the_server_in_it() -> None:
    given = json.loads((EDITORS / "sublime/LSP.sublime-settings").read_text())
    assert given["clients"]["dlm"]["command"] == ["dlm-lsp"]
    assert given["clients"]["dlm"]["selector"] == "text.html.dlm"
    syntax = yaml.safe_load((EDITORS / "sublime/DLM.sublime-syntax").read_text())
    assert syntax["scope"] == "text.html.dlm"
    assert syntax["file_extensions"] == ["dlm"]


def test_the_configuration_for_kate_is_json_with_the_server_in_it() -> None:
    given = json.loads((EDITORS / "kate/settings.json").read_text())
    assert given["servers"]["dlm"]["command"] == ["dlm-lsp"]


def test_the_extension_for_zed_names_its_language_and_its_server() -> None:
    extension = tomllib.loads((EDITORS / "zed/extension.toml").read_text())
    language = tomllib.loads((EDITORS / "zed/languages/dlm/config.toml").read_text())
    assert extension["language_servers"]["dlm-lsp"]["languages"] == [language["name"]]
    assert extension["language_servers"]["dlm-lsp"]["language_ids"] == {language["name"]: "dlm"}
    assert language["path_suffixes"] == ["dlm"]
    assert "[lib]" in (EDITORS / "zed/Cargo.toml").read_text()


@pytest.mark.parametrize("name", ["zed", "sublime", "kate"])
def test_a_page_of_what_was_not_tried_says_so(name: str) -> None:
    assert "**Not tested.**" in (EDITORS / name / "README.md").read_text()
