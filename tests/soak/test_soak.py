"""The short soak: what `make soak` finds in hundreds of saves, a leak of each run shows in sixty."""

from __future__ import annotations

from pathlib import Path

from tests.server.editor import Editor
from tests.soak.soak import FAKE_GROWTH, SETTINGS, Author, Sample, broken, in_this_process, on_a_process


async def test_sixty_saves_leave_nothing_behind_in_the_process(tmp_path: Path) -> None:
    editor = Editor()
    await editor.begin(tmp_path / "home", settings=SETTINGS)
    samples = await on_a_process(editor, Author(tmp_path), 60, 6)
    assert await editor.end() == 0
    assert broken(samples, FAKE_GROWTH, warm=3) == []


async def test_nor_in_the_tables(tmp_path: Path) -> None:
    middle, end = await in_this_process(tmp_path, 36)
    assert {name: (middle[name], end[name]) for name in end if end[name] > middle[name]} == {}


def test_the_bounds_can_be_broken() -> None:
    flat = [Sample(saves, 8, 20, 0, 60.0) for saves in range(9)]
    assert broken(flat, 1.0, warm=2) == []
    leaking = [Sample(saves, 8 + saves, 20 + saves, saves, 60.0 + saves) for saves in range(9)]
    assert len(broken(leaking, 1.0, warm=2)) == 4
