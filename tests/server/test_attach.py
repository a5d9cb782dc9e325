"""The language server's events in another process: through a socket that only trusted documents with a store have."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dlm_lsp.store import Store
from tests.fakes import Gate
from tests.server.conftest import Begin
from tests.server.editor import DLM_ID, HEAD, PATIENCE, Editor, exchange

LEARNED = HEAD + exchange("When does the ferry leave?", "At seven.")
MORE = LEARNED + exchange("Who bakes the bread?", "Ulla bakes it.")


def sockets(tmp_path: Path) -> list[Path]:
    """Those that files in the store name."""
    live = tmp_path / "home" / "store" / DLM_ID / "lsp" / "live"
    named = (each.read_text() for each in (live.iterdir() if live.is_dir() else ()))
    return sorted(Path(name) for name in named if name)


class Listener:
    """One connection, as any program may make it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.told: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any]:
        line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
        assert line, "the server has ended the stream"
        self.told.append(json.loads(line))
        return self.told[-1]

    async def until(self, **wanted: Any) -> dict[str, Any]:
        while True:
            told = await self.next()
            if all(told.get(key) == value for key, value in wanted.items()):
                return told

    async def ended(self) -> None:
        await asyncio.wait_for(self.reader.read(), PATIENCE)


@asynccontextmanager
async def listening(path: Path) -> AsyncIterator[Listener]:
    reader, writer = await asyncio.open_unix_connection(path, limit=2**24)
    try:
        yield Listener(reader, writer)
    finally:
        writer.close()


async def learned(editor: Editor, tmp_path: Path) -> str:
    uri = editor.open(tmp_path / "notes.dlm", HEAD)
    editor.save(tmp_path / "notes.dlm", LEARNED)
    await editor.idle(uri)
    await editor.until(lambda: editor.runs(uri))
    await opened(editor, tmp_path)
    return uri


async def opened(editor: Editor, tmp_path: Path, *, besides: Path | None = None) -> Path:
    """The socket of this editor's server, which is made beside its loop: asked for until it is there."""
    async with asyncio.timeout(PATIENCE):
        while not (found := [path for path in sockets(tmp_path) if path != besides]):
            await editor.command("dlm.showStatus")
    return found[0]


async def test_a_document_that_was_never_learned_has_no_socket_and_opening_makes_no_store(
    begin: Begin, tmp_path: Path
) -> None:
    editor = await begin()
    uri = editor.open(tmp_path / "notes.dlm", LEARNED)
    await editor.idle(uri)
    await editor.state(uri, "idle")
    assert not (tmp_path / "home").exists()


async def test_two_listeners_hear_the_same_and_the_run_is_made_once(begin: Begin, tmp_path: Path) -> None:
    editor = await begin()
    uri = await learned(editor, tmp_path)
    (path,) = sockets(tmp_path)
    async with listening(path) as one, listening(path) as other:
        for each in (one, other):
            state = await each.next()
            assert (state["type"], state["status"]["version"], state["names"]) == (
                "state",
                1,
                ["When does the ferry leave?"],
            )
        editor.save(tmp_path / "notes.dlm", MORE)
        for each in (one, other):
            assert (await each.until(event="finished"))["version"] == 2
        events = [(told["sequence"], told.get("event"), told.get("run")) for told in one.told[1:]]
        assert events == [(told["sequence"], told.get("event"), told.get("run")) for told in other.told[1:]]
        assert [number for number, *_ in events] == list(range(events[0][0], events[0][0] + len(events)))
        async with listening(path) as late:
            assert (await late.next())["status"]["version"] == 2
    await editor.idle(uri)
    assert [outcome for _, outcome in editor.runs(uri)] == ["finished", "finished"]


async def test_only_the_owner_may_connect_and_nothing_that_is_sent_does_anything(begin: Begin, tmp_path: Path) -> None:
    editor = await begin()
    uri = await learned(editor, tmp_path)
    (path,) = sockets(tmp_path)
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    before = editor.statuses(uri)
    async with listening(path) as listener:
        listener.writer.write(b'{"command": "revert", "version": 1}\n' * 10_000)
        assert (await listener.next())["type"] == "state"
        listener.writer.write_eof()
        await listener.ended()
    await editor.idle(uri)
    assert editor.statuses(uri) == before


async def test_what_is_typed_is_told_when_it_is_calm(begin: Begin, tmp_path: Path) -> None:
    editor = await begin()
    uri = await learned(editor, tmp_path)
    (path,) = sockets(tmp_path)
    async with listening(path) as listener:
        assert (await listener.next())["type"] == "state"
        editor.change(uri, MORE)
        told = await listener.until(event="changed", names=["When does the ferry leave?", "Who bakes the bread?"])
        assert [section["state"] for section in told["status"]["sections"]] == ["learned", "new"]


async def test_without_trust_there_is_no_socket(begin: Begin, tmp_path: Path) -> None:
    await learned(await begin(), tmp_path)
    taught = sockets(tmp_path)
    assert len(taught) == 1
    editor = await begin(trusted=False)
    uri = editor.open(tmp_path / "notes.dlm", LEARNED)
    await editor.idle(uri)
    await editor.hover(uri, 0)
    assert sockets(tmp_path) == taught


async def test_a_socket_goes_with_the_trust(begin: Begin, tmp_path: Path) -> None:
    editor = await begin()
    await learned(editor, tmp_path)
    async with listening(sockets(tmp_path)[0]) as listener:
        assert (await listener.next())["type"] == "state"
        editor.protocol.notify("dlm/workspaceTrust", {"trusted": False})
        await listener.ended()
    assert sockets(tmp_path) == []


async def test_each_window_has_its_own_and_takes_it_away(begin: Begin, tmp_path: Path) -> None:
    one = await begin()
    uri = await learned(one, tmp_path)
    (first,) = sockets(tmp_path)
    other = await begin()
    other.open(tmp_path / "notes.dlm", LEARNED)
    await other.state(uri, "idle")
    second = await opened(other, tmp_path, besides=first)
    assert set(Store(tmp_path / "home", DLM_ID).doors().values()) == {first, second}
    async with listening(first) as listener, listening(second) as neighbour:
        assert (await listener.next())["pid"] == one.process.pid
        assert (await neighbour.next())["pid"] == other.process.pid
        one.close(uri)
        await listener.ended()
        await one.idle()
        assert sockets(tmp_path) == [second]
        assert await other.end() == 0
        await neighbour.ended()
    assert sockets(tmp_path) == []


async def test_a_run_whose_document_was_closed_is_told_to_its_end(begin: Begin, tmp_path: Path, gate: Gate) -> None:
    editor = await begin(gate=gate)
    uri = editor.open(tmp_path / "notes.dlm", HEAD)
    editor.save(tmp_path / "notes.dlm", LEARNED)
    gate.allow(1)
    await editor.state(uri, "training")
    path = await opened(editor, tmp_path)
    async with listening(path) as listener:
        editor.close(uri)
        gate.allow(100)
        await listener.until(event="finished")
        await listener.ended()
    assert sockets(tmp_path) == []


async def test_the_end_of_the_server_is_told_to_the_last_word(begin: Begin, tmp_path: Path, gate: Gate) -> None:
    editor = await begin(gate=gate)
    uri = editor.open(tmp_path / "notes.dlm", HEAD)
    editor.save(tmp_path / "notes.dlm", LEARNED)
    gate.allow(1)
    await editor.state(uri, "training")
    async with listening(await opened(editor, tmp_path)) as listener:
        assert (await listener.next())["type"] == "state"
        assert await editor.end() == 0
        await listener.until(event="cancelled")
        assert await listener.reader.read() == b""
    assert sockets(tmp_path) == []


async def test_what_a_killed_server_left_is_taken_away_by_the_next(begin: Begin, tmp_path: Path) -> None:
    killed = await begin()
    await learned(killed, tmp_path)
    (left,) = sockets(tmp_path)
    killed.process.kill()
    await killed.process.wait()
    editor = await begin()
    uri = editor.open(tmp_path / "notes.dlm", LEARNED)
    await editor.state(uri, "idle")
    now = await opened(editor, tmp_path, besides=left)
    assert sockets(tmp_path) == [now]
    async with listening(now) as listener:
        assert (await listener.next())["pid"] == editor.process.pid
