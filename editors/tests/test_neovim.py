"""Neovim as one sees it: the whole screen after a save, with signs, hints and statusline."""

from __future__ import annotations

import re
from pathlib import Path

from pictures import neovim

DOCUMENT = """---
dlm_id: 01K0000000000000000000NV01
base_model: builtin:tiny
---

# The lighthouse

::instruction::
### Q
Who keeps the lighthouse?
### A
Mira Tolle keeps it.
"""
NEW = """  ---
  dlm_id: 01K0000000000000000000NV01
  base_model: builtin:tiny
  ---

+ # The lighthouse new
"""
LEARNED = """  ---
  dlm_id: 01K0000000000000000000NV01
  base_model: builtin:tiny
  ---

✓ # The lighthouse read v1 · LOSS

✓ ::instruction:: learned v1 · LOSS
  ### Q
  Who keeps the lighthouse?
  ### A
  Mira Tolle keeps it.
"""


def test_the_screen_before_and_after_a_save(tmp_path: Path) -> None:
    document = tmp_path / "notes.dlm"
    document.write_text(DOCUMENT, encoding="utf-8")
    editor = neovim(tmp_path, document)
    try:
        editor.until(lambda screen: "+ # The lighthouse new" in screen)
        editor.until(lambda screen: screen.startswith(NEW.rstrip("\n")))
        editor.type(":w")
        editor.keys("Enter")
        editor.until("learned (v0001)")
        seen: list[str] = []

        def still(screen: str) -> bool:
            seen[:] = [re.sub(r"· \d\.\d\d", "· LOSS", line).rstrip() for line in screen.split("\n")]
            return "\n".join(seen[:12]) + "\n" == LEARNED

        editor.until(still)
        assert any(re.fullmatch(r" notes\.dlm +✓ learned \(v0001\)", line) for line in seen), seen
        assert not any("Error" in line or "E5108" in line for line in seen), seen
    finally:
        editor.close()
