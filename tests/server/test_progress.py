"""Progress: create, begin, reports, one end, whatever happens between, and whatever the client answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from dlm_lsp.runs import events
from dlm_lsp.runs.clock import SystemClock
from dlm_lsp.runs.narrate import after
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.server.outbox import Outbox
from dlm_lsp.server.progress import ProgressReporter

PATH = Path("a.dlm")
ENDS: tuple[tuple[type[events.Event], dict[str, Any]], ...] = (
    (events.Cancelled, {"version": None}),
    (events.Failed, {"code": "x", "message": "No."}),
    (events.Skipped, {"reason": "no new content, skipping"}),
)


class Client:
    """Answers `create` when the test says so, and keeps what it is told."""

    def __init__(self, *, supported: bool = True) -> None:
        self.told: list[Any] = []
        self.tokens: list[Any] = []
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        outbox = Outbox(lambda _, params: self.told.append(params), lambda: 0, SystemClock())
        self.reporter = ProgressReporter(outbox, self.ask, lambda: supported)
        self.status = DocumentStatus(document=PATH)

    async def ask(self, method: str, params: types.WorkDoneProgressCreateParams) -> None:
        self.tokens.append(params.token)
        await self.answer

    async def on(self, event_type: type[events.Event], run: int = 1, /, **fields: Any) -> None:
        event = event_type(document=PATH, run=run, sequence=0, at=0.0, **fields)
        self.status = after(self.status, event)
        self.reporter.on(event, self.status)
        await asyncio.sleep(0)

    async def start(self, run: int = 1) -> None:
        await self.on(events.Queued, run, kind="cycle")
        await self.on(events.Started, run, kind="cycle", fresh=1, known=0)

    async def accept(self) -> None:
        self.answer.set_result(None)
        for _ in range(5):
            await asyncio.sleep(0)

    @property
    def kinds(self) -> list[str]:
        return [params.value.kind for params in self.told]


@pytest.mark.parametrize(("end", "fields"), ENDS)
async def test_every_end_ends_it_once(end: type[events.Event], fields: dict[str, Any]) -> None:
    client = Client()
    await client.start()
    await client.accept()
    await client.on(events.Step, step=1, total=2, loss=1.0, learning_rate=1e-3, tokens=4)
    await client.on(end, **fields)
    await client.on(end, **fields)
    client.reporter.close()
    assert client.kinds[0] == "begin"
    assert client.kinds.count("end") == 1
    assert client.kinds[-1] == "end"
    assert client.told[-1].value.message == client.status.last.message  # type: ignore[union-attr]
    assert {params.token for params in client.told} == set(client.tokens)


@pytest.mark.parametrize(("end", "fields"), ENDS)
async def test_a_run_that_ends_before_the_client_answers_shows_nothing(
    end: type[events.Event], fields: dict[str, Any]
) -> None:
    client = Client()
    await client.start()
    await client.on(end, **fields)
    await client.accept()
    assert client.told == []


async def test_begin_shows_where_the_run_is_when_the_client_answers() -> None:
    client = Client()
    await client.start()
    await client.on(events.Phase, name="train")
    await client.on(events.Step, step=1, total=2, loss=1.0, learning_rate=1e-3, tokens=4)
    assert client.told == []
    await client.accept()
    (begin,) = client.told
    assert begin.value.percentage == client.status.run.percentage  # type: ignore[union-attr]
    assert "step 1/2 · loss 1.00" in begin.value.message


async def test_a_refusal_is_taken() -> None:
    client = Client()
    await client.start()
    client.answer.set_exception(PermissionError("no"))
    await asyncio.sleep(0)
    await client.on(events.Step, step=1, total=2, loss=1.0, learning_rate=1e-3, tokens=4)
    await client.on(events.Cancelled, version=None)
    assert client.told == []


async def test_a_client_without_progress_is_not_asked() -> None:
    client = Client(supported=False)
    await client.start()
    await client.on(events.Cancelled, version=None)
    assert client.tokens == []


async def test_the_end_of_the_server_ends_what_is_shown() -> None:
    client = Client()
    await client.start()
    await client.accept()
    client.reporter.close()
    await client.on(events.Cancelled, version=None)
    assert client.kinds == ["begin", "end"]


async def test_a_token_belongs_to_one_run_for_as_long_as_it_goes_on() -> None:
    client = Client()
    await client.start(1)
    await client.on(events.Cancelled, 1, version=None)
    client.status = replace(client.status, last=None)
    await client.start(2)
    first, second = client.tokens
    assert first != second
    assert client.reporter.path_of(first) is None
    assert client.reporter.path_of(second) == PATH
    assert client.reporter.path_of("of somebody else") is None
