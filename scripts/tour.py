"""The scenes of the tour in docs/authoring.md, played in a real editor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pictures import Terminal, neovim

HEAD = """\
---
dlm_id: 01K2F0R0VANE0000000000000A
base_model: builtin:tiny
{settings}---

# The lighthouse at Orvane

::instruction::
"""
KEEPER = """\
### Q
Who keeps the lighthouse at Orvane?
### A
Mira Tolle keeps it.
"""
COLOUR = """
### Q
What colour is the lighthouse?
### A
It is white with a green lamp.
"""
FERRY = """
### Q
What does the ferry to Orvane carry?
### A
It carries salt, letters and two goats.
"""
LEARNED = "✓ learned (v000{})"


@contextmanager
def opened(folder: Path, text: str) -> Iterator[Terminal]:
    """Neovim on a document with this text."""
    document = folder / "orvane.dlm"
    document.write_text(text, encoding="utf-8")
    editor = neovim(folder, document)
    try:
        editor.until("base_model")
        yield editor
    finally:
        editor.close()


def save(editor: Terminal) -> None:
    editor.keys("Escape")
    editor.type(":w")
    editor.keys("Enter")


def learned(editor: Terminal, version: int) -> None:
    """Saves, and waits until that version is there and its marks are drawn."""
    save(editor)
    shown = (LEARNED.format(version), f"✓ ::instruction:: learned v{version} ·")
    editor.until(lambda screen: all(each in screen for each in shown) and "learning…" not in screen)


def command(editor: Terminal, text: str) -> None:
    editor.type(f":{text}")
    editor.keys("Enter")


def completing(folder: Path) -> None:
    """Completion of a base model, with what is known of it."""
    with opened(folder, HEAD.format(settings="") + KEEPER) as editor:
        editor.until("not learned")
        command(editor, "3")
        editor.type("Cbase_model: q")
        editor.keys("C-x", "C-o")
        editor.until("qwen2.5-0.5b")
        editor.keys("C-n")
        editor.until("Apache-2.0")
        editor.picture("completing", "Completion of a base model")


def mending(folder: Path) -> None:
    """A slip in the frontmatter, and the light bulb."""
    with opened(folder, HEAD.format(settings="system_prompt: Note: be brief\n") + KEEPER) as editor:
        editor.until(lambda screen: "■" in screen)
        command(editor, "4")
        editor.type("f:;ga")  # on the second colon
        editor.until("Quote the value")
        editor.picture("mending", "A slip, and the way to mend it")


def saving(folder: Path) -> None:
    """A save while it trains, and when it is learned."""
    with opened(folder, HEAD.format(settings="") + KEEPER + COLOUR) as editor:
        editor.until("not learned")
        save(editor)
        editor.until("· loss")
        editor.picture("training", "A save, while it is learned")
        editor.until(lambda screen: "✓ ::instruction::" in screen and "learned v1 ·" in screen)
        editor.picture("learned", "Learned")


def telling(folder: Path) -> None:
    """The history of a corrected answer; the model's answer; what it answered before and after."""
    with opened(folder, HEAD.format(settings="") + KEEPER + COLOUR) as editor:
        editor.until("not learned")
        learned(editor, 1)
        command(editor, "%s/a green lamp/a red door")
        editor.until("changed")
        learned(editor, 2)
        command(editor, "14")
        editor.type("K")
        editor.until("an earlier text")
        editor.picture("history", "Hover over a corrected answer")
        command(editor, "16")
        command(editor, "Dlm ask What colour is the lighthouse?")
        editor.until("╭ v0002 ")
        editor.picture("asking", "An answer")
        editor.keys("j")
        command(editor, "Dlm answers")
        editor.until("before and after")
        command(editor, "only")
        editor.until(lambda screen: "before and after" in screen and "### Q" not in screen)
        editor.picture("answers", "Before and after")


def forgetting(folder: Path) -> None:
    """A careless save pushes out what was known before."""
    careless = "training:\n  micro_batch_size: 1\n  grad_accum: 1\n  learning_rate: 0.01\n"
    with opened(folder, HEAD.format(settings="") + KEEPER + COLOUR) as editor:
        editor.until("not learned")
        learned(editor, 1)
        text = HEAD.format(settings=careless) + KEEPER + COLOUR + "\n::instruction::\n" + FERRY
        (folder / "orvane.dlm").write_text(text, encoding="utf-8")
        command(editor, "e!")
        editor.until("micro_batch_size")
        save(editor)
        editor.until(lambda screen: "Forgotten" in screen and "learning…" not in screen)
        command(editor, "15")
        editor.type("ga")
        editor.until("Rehearse")
        editor.picture("forgotten", "What was forgotten says so")


SCENES = (completing, mending, saving, telling, forgetting)
