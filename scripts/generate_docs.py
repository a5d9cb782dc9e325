"""Writes what follows from tables in the source: pages of the documentation, settings of the extension for VS Code.

A test fails when they drift.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dlm_lsp.server import settings

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
EXTENSION = ROOT / "editors" / "vscode" / "package.json"
PAGES = {"settings.md": settings.markdown}


def main() -> None:
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        print(f"wrote docs/{name}")
    EXTENSION.write_text(extension_manifest(EXTENSION.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote the settings into {EXTENSION.relative_to(ROOT)}")


def extension_manifest(text: str) -> str:
    """The manifest with the server's settings in its first group."""
    manifest = json.loads(text)
    manifest["contributes"]["configuration"][0]["properties"] = settings.manifest()
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
