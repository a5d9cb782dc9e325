"""The worker thread: jobs in their order, and what becomes of one that nobody waits for any more."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from dlm_lsp.runs.worker import Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker("test-worker")
    worker.start()
    yield worker
    worker.stop()
    assert worker.join(5)


async def test_a_call_that_is_cancelled_is_not_begun_or_ends_unheard(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    began, may_end, done = threading.Event(), threading.Event(), []

    def long() -> None:
        began.set()
        assert may_end.wait(20)
        done.append("long")

    runs, waits = worker.call(long), worker.call(lambda: done.append("waits"))
    assert await asyncio.to_thread(began.wait, 20)
    with caplog.at_level(logging.ERROR):
        runs.cancel()
        waits.cancel()
        await asyncio.gather(runs, waits, return_exceptions=True)
        may_end.set()
        assert await worker.call(lambda: "next") == "next"
    assert done == ["long"]
    assert not caplog.records, "it is no defect that nobody waits any more"
