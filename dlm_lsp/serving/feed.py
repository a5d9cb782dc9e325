"""What the page is told: one document's story, whoever it happens to: this process, or a server that has it open.

The page speaks the messages of the training panel in VS Code (`editors/vscode/src/panel/messages.ts`).
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import aclosing
from pathlib import Path
from typing import Any

from dlm_lsp.runs.channel import Channel, Subscription, Told
from dlm_lsp.runs.clock import Clock
from dlm_lsp.runs.curves import joined, remembered
from dlm_lsp.runs.following import Heard, follow
from dlm_lsp.runs.stream import Streams
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.serving.source import ENDS, Source
from dlm_lsp.store import Store, StoreError, live

log = logging.getLogger(__name__)

HERE = ""  # the name of this process among the sources
# The whole status goes along with the steps of a run at most once in so many seconds.
_CALM = 0.3


class Feed:
    """Follows `path`, and tells. `commands`: what the page may ask for. Lives on the supervisor's loop."""

    def __init__(
        self, supervisor: Supervisor, streams: Streams, path: Path, clock: Clock, commands: tuple[str, ...]
    ) -> None:
        self._supervisor = supervisor
        self._streams = streams
        self._path = path
        self._uri = path.as_uri()
        self._clock = clock
        self._commands = commands
        self._sources: dict[str, Source] = {}
        self._current = HERE
        self._stored: dict[str, Any] = {"versions": [], "runs": []}
        self._answers: list[dict[str, Any]] | None = None
        self._calm_until = 0.0
        self._mine = ""  # the stream of this process, which is found among the others, too
        self._root: Path | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None
        self._channel = Channel(self._state)

    async def begin(self) -> None:
        """Reads what there is; to be called once."""
        await self._read()
        self._spawn(self._here())

    def subscribe(self, since: str) -> Subscription:
        return self._channel.subscribe(since)

    def end(self) -> None:
        """Nothing is told any more."""
        self._channel.close()

    async def close(self) -> None:
        """Listens no more."""
        self.end()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def answers(self, told: list[dict[str, Any]]) -> None:
        """Answers before and after, which somebody has asked for: every page shows them."""
        self._answers = told
        self._tell(self._answers_message())

    async def versions_changed(self) -> None:
        """Another version is current, or there is a new one."""
        await self._read()
        self._tell(self._history())

    # -- listening

    async def _here(self) -> None:
        subscription = self._streams.subscribe(self._path)
        try:
            while True:
                if (told := await subscription.next()) is not None:
                    self._mine = told.place.rpartition("-")[0] or self._mine
                    self._hear(HERE, _object(told))
                    self._look_for_others()
        except EOFError:
            pass
        finally:
            subscription.close()

    def _look_for_others(self) -> None:
        """Servers of the document are found by its id, which the author may change."""
        store = self._supervisor.store(self._path)
        root = store.root if store is not None else None
        if root == self._root or not live.SUPPORTED:
            return
        self._root = root
        if self._following is not None:
            self._following.cancel()
        for name in [name for name in self._sources if name != HERE]:
            self._gone(name)
        self._following = self._spawn(self._others(store)) if store is not None else None

    async def _others(self, store: Store) -> None:
        async with aclosing(follow(store)) as heard:
            async for each in heard:
                self._hear_other(each)

    def _hear_other(self, heard: Heard) -> None:
        if heard.told is None:
            self._gone(heard.source)
        elif heard.told.get("stream") != self._mine:
            self._hear(heard.source, heard.told)

    def _hear(self, name: str, told: dict[str, Any]) -> None:
        source = self._sources.get(name)
        if told.get("type") == "state":
            self._sources[name] = Source(told)
            self._choose(anew=name == self._current)
            if name != HERE:  # it may have committed before it was found
                self._spawn(self._reread(name))
            return
        if source is None or told.get("type") != "event":
            return
        version = source.version
        source.hear(told)
        if source.version != version:
            self._spawn(self._reread(name))
        if not self._choose() and name == self._current:
            self._pass_on(source, told)

    def _gone(self, name: str) -> None:
        if self._sources.pop(name, None) is not None:
            self._choose()
            self._spawn(self._reread(name))  # a killed process may have committed without a word

    def _choose(self, *, anew: bool = False) -> bool:
        """Whose story is shown: that of whom something runs in; else an editor's. True if everybody begins anew."""
        order = [self._current, *(name for name in self._sources if name != HERE), HERE]
        there = [name for name in order if name in self._sources]
        busy = [name for name in there if self._sources[name].busy]
        chosen = (busy or [name for name in there if name != HERE] or [HERE])[0]
        changed = anew or chosen != self._current
        self._current = chosen
        if changed:
            self._channel.begin_anew()
        return changed

    async def _reread(self, name: str) -> None:
        if name != HERE:
            self._supervisor.looked_at(self._path)
        await self.versions_changed()

    # -- telling

    def _pass_on(self, source: Source, told: dict[str, Any]) -> None:
        if told.get("event") in ("step", "phase"):
            run = source.run
            if run is not None:
                self._tell({"type": "progress", "progress": {"uri": self._uri, **run}})
            if self._clock.monotonic() < self._calm_until:
                return
            self._calm_until = self._clock.monotonic() + _CALM
        self._tell(self._status(source))
        if told.get("event") in ENDS:
            self._tell(self._history())

    def _state(self) -> list[str]:
        """Everything; the first message makes the page forget what it knew of another source."""
        source = self._sources.get(self._current)
        messages = [self._documents(None), self._documents(self._uri)]
        if source is not None:
            messages.append(self._status(source))
        messages.append(self._history())
        if self._answers is not None:
            messages.append(self._answers_message())
        return [json.dumps(message) for message in messages]

    def _documents(self, selected: str | None) -> dict[str, Any]:
        return {
            "type": "documents",
            "documents": [{"uri": self._uri, "name": self._path.name}],
            "selected": selected,
            "server": "running",
            "trusted": True,
            "commands": self._commands,
        }

    def _status(self, source: Source) -> dict[str, Any]:
        return {"type": "status", "status": {"uri": self._uri, **source.status}, "names": source.names}

    def _history(self) -> dict[str, Any]:
        source = self._sources.get(self._current)
        told = joined(self._stored, source.runs if source is not None else [])
        return {"type": "history", "history": {"uri": self._uri, **told}}

    def _answers_message(self) -> dict[str, Any]:
        return {"type": "answers", "uri": self._uri, "answers": self._answers}

    def _tell(self, message: dict[str, Any]) -> None:
        self._channel.tell(json.dumps(message))

    async def _read(self) -> None:
        try:
            self._stored = await asyncio.to_thread(remembered, self._supervisor.store(self._path))
        except StoreError as error:
            log.warning("%s", error)

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _object(told: Told) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told.text)
    return found
