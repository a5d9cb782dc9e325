"""The scenes of the tour in docs/authoring.md, played in a real editor."""

from __future__ import annotations

from pathlib import Path

from pictures import neovim

DOCUMENT = """\
---
dlm_id: 01K2F0R0VANE0000000000000A
base_model: builtin:tiny
---

# The lighthouse at Orvane

::instruction::
### Q
Who keeps the lighthouse at Orvane?
### A
Mira Tolle keeps it.

### Q
What colour is the lighthouse?
### A
It is white with a green lamp.
"""


def saving(folder: Path) -> None:
    """A save while it trains, and when it is learned."""
    document = folder / "orvane.dlm"
    document.write_text(DOCUMENT, encoding="utf-8")
    editor = neovim(folder, document)
    try:
        editor.until("not learned")
        editor.type(":w")
        editor.keys("Enter")
        editor.until("· loss")
        editor.picture("training", "A save, while it is learned")
        editor.until("learned (v0001)")
        editor.picture("learned", "Learned")
    finally:
        editor.close()


SCENES = (saving,)
