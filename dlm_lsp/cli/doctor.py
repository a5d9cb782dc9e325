"""`dlm-lsp doctor`: whether this machine has what training needs, and what to do where it has not."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console

from dlm_lsp import __version__
from dlm_lsp.cli.printer import say
from dlm_lsp.store import dlm_home
from dlm_lsp.training.quantised import qlora_obstacle

_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "safetensors",
    "pygls",
    "lsprotocol",
    "huggingface_hub",
)
_LEAST_FREE = 2 * 1024**3  # bytes; a store of ten versions of a small adapter needs far less


def examine(home: Path | None, console: Console) -> int:
    """Prints one line a finding; 0 if training can run, 1 if not."""
    well = True

    def line(good: bool | None, text: str) -> None:
        nonlocal well
        well = well and good is not False
        mark, style = {True: ("ok  ", "green"), None: ("note", "yellow"), False: ("FAIL", "red")}[good]
        say(console, f"{mark} {text}", style)

    line(True, f"dlm-language-server {__version__}, Python {platform.python_version()} ({sys.executable})")
    for name in _PACKAGES:
        try:
            line(True, f"{name} {version(name)}")
        except PackageNotFoundError:
            line(False, f"{name} is not installed: pip install {name}")
    try:
        from dlm_lsp.training.device import choose_device

        device = choose_device(None)
        line(True, f"device: {device.kind} ({device.precision})")
    except Exception as error:
        line(False, f"torch does not work here: {error}")
    why = qlora_obstacle()
    line(True if why is None else None, why or "QLoRA can be trained: bitsandbytes is here")
    root = dlm_home(home)
    nearest = next(place for place in (root, *root.parents) if place.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        line(True, f"stores live in {root}" + ("" if nearest == root else " (not made yet)"))
    else:
        line(False, f"stores can't be written to {root}: see to its rights, or name another place (DLM_HOME, --home)")
    if sys.platform != "win32" and (mode := nearest.stat().st_mode) & 0o022 and not mode & stat.S_ISVTX:
        line(None, f"{nearest} can be written by others, who could replace what was learned: chmod go-w {nearest}")
    free = shutil.disk_usage(nearest).free
    if free > _LEAST_FREE:
        line(True, f"{free / 1024**3:.1f} GiB free there")
    else:
        line(None, f"{free / 1024**2:,.0f} MiB free there, which a few versions may fill: see dlm.keepVersions")
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    line(
        None if offline else True,
        "bases are taken from the local cache only (HF_HUB_OFFLINE)"
        if offline
        else "bases may be downloaded when a document first needs one",
    )
    return 0 if well else 1
