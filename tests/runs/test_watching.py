"""Which files around a document are watched, within which bounds, and that a change is noticed however it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dlm_lsp.document import parse
from dlm_lsp.runs import watching
from dlm_lsp.runs.watching import FileWatch, Watched, of_sources
from tests.runs.conftest import frontmatter


def of(folder: Path, *sources: str, policy: str = "permissive") -> tuple[Watched, ...]:
    listed = "".join(f"    - path: {source}\n" for source in sources)
    text = frontmatter(f"training:\n  sources_policy: {policy}\n  sources:\n{listed}")
    return of_sources(parse(text), folder / "notes.dlm")


def test_a_folder_is_watched_with_all_below_it_and_a_file_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "words.txt").touch()
    found = of(tmp_path, "notes", "words.txt", "not-there-yet")
    assert found == (
        Watched(tmp_path, ("not-there-yet",)),
        Watched(tmp_path, ("words.txt",)),
        Watched(tmp_path / "notes"),
    )
    assert [each.holds(tmp_path / "words.txt") for each in found] == [False, True, False]
    assert [each.holds(tmp_path / "notes" / "a" / "b.md") for each in found] == [False, False, True]


def test_nothing_outside_is_watched_where_nothing_outside_is_read(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    (inside / "notes").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    assert of(inside, "notes", "../outside", policy="strict") == (Watched(inside / "notes"),)


@pytest.mark.parametrize("source", [".", "..", "/"])
def test_a_home_directory_and_what_holds_one_are_not_watched(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert of(tmp_path / "home", source) == ()


def test_a_tree_with_too_many_folders_is_not_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_FOLDERS", 3)
    (tmp_path / "wide").mkdir()
    for number in range(3):
        (tmp_path / "wide" / str(number)).mkdir()
    assert of(tmp_path, "wide") == (Watched(tmp_path / "wide"),)
    (tmp_path / "wide" / "one more").mkdir()
    assert of(tmp_path, "wide") == ()


class Seen:
    """What a real watch has told so far."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self._news = asyncio.Event()
        self.files = FileWatch(self._hear)

    def _hear(self, paths: set[Path]) -> None:
        self.paths |= paths
        self._news.set()

    async def until(self, path: Path) -> None:
        async def wait() -> None:
            while path not in self.paths:
                self._news.clear()
                await self._news.wait()
            self.paths.clear()

        await asyncio.wait_for(wait(), 20)


@pytest.fixture
async def seen() -> AsyncIterator[Seen]:
    seen = Seen()
    yield seen
    seen.files.install(())


async def test_every_way_of_writing_is_seen_also_what_was_written_before_the_watch_stood(
    tmp_path: Path, seen: Seen
) -> None:
    file = tmp_path / "notes.hooks.py"
    seen.files.install((Watched(tmp_path, (file.name,)),))
    await seen.until(file)  # nobody knows what happened before
    file.write_text("new")
    await seen.until(file)
    other = tmp_path / "other"
    other.write_text("renamed over it")
    other.replace(file)
    await seen.until(file)
    file.unlink()
    await seen.until(file)


async def test_a_tree_is_watched_to_its_depth_and_from_anew_when_what_is_wanted_changes(
    tmp_path: Path, seen: Seen
) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    seen.files.install((Watched(tmp_path / "a"),))
    await seen.until(tmp_path / "a")
    (tmp_path / "a" / "deep" / "x.md").write_text("x")
    await seen.until(tmp_path / "a" / "deep" / "x.md")
    seen.files.install((Watched(tmp_path / "b"),))
    await seen.until(tmp_path / "b")
    (tmp_path / "b" / "y.md").write_text("y")
    await seen.until(tmp_path / "b" / "y.md")
    assert not [path for path in seen.paths if path.is_relative_to(tmp_path / "a")]
