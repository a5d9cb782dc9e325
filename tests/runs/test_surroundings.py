"""What is found around a document: kept while text is written, looked for again when it may have changed."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlm_lsp.document import Problem, parse
from dlm_lsp.runs import surroundings
from dlm_lsp.runs.base_check import BaseUse, check_base
from dlm_lsp.runs.surroundings import Asked, Looked, Surroundings, asked_by, look
from dlm_lsp.runs.worker import Worker
from tests.runs.conftest import HandClock, exchange, frontmatter

GIB = 2**30


class Around:
    """The findings of one document, and the moments at which they changed."""

    def __init__(self, path: Path, worker: Worker) -> None:
        self.path, self.clock, self.news = path, HandClock(), asyncio.Event()
        self.surroundings = Surroundings(worker, self.clock, lambda path: self.news.set())
        self.surroundings.trusted = True

    def codes(self, text: str) -> list[str]:
        return [problem.code for problem in self.surroundings.problems(self.path, parse(text))]

    async def told(self, text: str) -> list[Problem]:
        """After the next news."""
        await asyncio.wait_for(self.news.wait(), 30)
        self.news.clear()
        return self.surroundings.problems(self.path, parse(text))


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Around]:
    worker = Worker("test-reader")
    worker.start()
    yield Around(tmp_path / "a.dlm", worker)
    worker.stop()


async def test_who_asks_after_a_while_has_it_looked_at_again(around: Around, tmp_path: Path) -> None:
    """A client without a file watcher notices at its next request that a folder went."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("Text.")
    text = frontmatter("training:\n  sources: [{path: notes}]\n")
    assert around.codes(text) == []
    assert await around.told(text) == []
    shutil.rmtree(tmp_path / "notes")
    around.surroundings.glance(around.path)  # just after a look: too soon for another
    around.clock.advance(2.5)
    around.surroundings.glance(around.path)
    assert [problem.code for problem in await around.told(text)] == ["source-missing"]


async def test_typing_elsewhere_keeps_what_was_found_and_looks_at_nothing(around: Around) -> None:
    text = frontmatter("training:\n  sources: [{path: nowhere}]\n")
    around.codes(text)
    (before,) = await around.told(text)
    moved = text.replace("base_model", "# a line\nbase_model") + "\nMore prose.\n"
    (after,) = around.surroundings.problems(around.path, parse(moved))
    assert after.range.start.line == before.range.start.line + 1
    assert asked_by(parse(text)) == asked_by(parse(moved)), "what is asked for is the same"


async def test_a_forgotten_document_hears_no_news(around: Around) -> None:
    text = frontmatter("training:\n  sources: [{path: nowhere}]\n")
    around.codes(text)
    around.surroundings.forget()
    around.surroundings.trusted = False
    assert around.codes(text) == []


def test_a_row_is_no_longer_than_the_longest_lesson() -> None:
    """The estimate must not frighten whoever writes short exchanges under the default of 2,048 tokens."""
    short = asked_by(parse(frontmatter() + exchange("One?", "A number.")))
    long = asked_by(parse(frontmatter() + exchange("One?", "word " * 3000)))
    sourced = asked_by(parse(frontmatter("training:\n  sources: [{path: x}]\n") + exchange("One?", "A number.")))
    assert short and long and sourced
    assert (short.base.row_tokens, long.base.row_tokens, sourced.base.row_tokens) == (64, 2048, 2048)


@pytest.mark.parametrize(
    ("use", "free", "said"),
    [
        (BaseUse("builtin:tiny"), 4 * GIB, None),
        (BaseUse("builtin:tiny"), GIB // 4, "train it on a GPU"),
        (BaseUse("builtin:tiny", micro_batch=64, row_tokens=1024), 4 * GIB, "write `micro_batch_size: 1` under"),
        (BaseUse("smollm2-135m", row_tokens=64), 4 * GIB, None),
        (BaseUse("qwen2.5-3b", row_tokens=64, micro_batch=1), 10 * GIB, "write `precision: bf16` under"),
        (BaseUse("qwen2.5-3b", row_tokens=128, micro_batch=1, number_bytes=2), 10 * GIB, None),
        (
            BaseUse("qwen2.5-3b", row_tokens=128, row_targets=64, micro_batch=8),
            10 * GIB,
            "`micro_batch_size: 1` and `precision: bf16`",
        ),
        (BaseUse("smollm2-135m", row_tokens=2048, row_targets=256), 8 * GIB, None),  # as many at once as fit
        (BaseUse("qwen2.5-3b", row_tokens=2048), 14 * GIB, "lower `training.sequence_len`"),
        (BaseUse("qwen3-8b", row_tokens=128, number_bytes=2), 8 * GIB, "train it on a GPU"),
        (BaseUse("no-such-base"), 0, None),
    ],
)
def test_a_base_fits_or_what_would_help_is_said(use: BaseUse, free: int, said: str | None, tmp_path: Path) -> None:
    found = [message for code, _, message in check_base(use, tmp_path, free) if code == "base-too-large"]
    assert bool(found) == (said is not None)
    assert said is None or said in found[0]


async def test_what_changes_during_a_look_is_seen_by_the_next(
    around: Around, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save that comes while the disk is looked at is not forgotten."""
    text = frontmatter("training:\n  sources: [{path: notes}]\n")
    looked, go_on = threading.Event(), threading.Event()

    def slow(asked: Asked, path: Path) -> Looked:
        found = look(asked, path)
        looked.set()
        go_on.wait(30)
        return found

    monkeypatch.setattr(surroundings, "look", slow)
    around.codes(text)
    assert await asyncio.to_thread(looked.wait, 30)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("Text.")
    around.surroundings.again(around.path)
    go_on.set()
    while await around.told(text):
        pass
