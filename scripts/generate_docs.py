"""Writes the pages of the documentation that follow from tables in the source. A test fails when they drift."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dlm_lsp.server import settings

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {"settings.md": settings.markdown}


def main() -> None:
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        print(f"wrote docs/{name}")


if __name__ == "__main__":
    main()
