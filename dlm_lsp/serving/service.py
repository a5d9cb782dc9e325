"""One document served on one socket: the application put together with the supervisor that answers."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from dlm_lsp.runs.clock import SystemClock
from dlm_lsp.runs.questions import Answer, Speaker
from dlm_lsp.runs.stream import Streams
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.versions import Made, made
from dlm_lsp.serving.app import application
from dlm_lsp.serving.chat import Chat
from dlm_lsp.serving.completions import Completions
from dlm_lsp.serving.feed import Feed
from dlm_lsp.serving.host import Host
from dlm_lsp.serving.models import Models
from dlm_lsp.serving.page import Page
from dlm_lsp.serving.wishes import ALWAYS, TRAINING, Wishes
from dlm_lsp.store import Store, dlm_home


class Service:
    """Answers on `listening` to whoever knows `token`. `supervisor` has looked at `path`; lives on its loop.

    `streams`: what the training page is fed from, if there is to be one; with `training` it may ask for runs, too.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        path: Path,
        home: Path | None,
        listening: socket.socket,
        token: str,
        *,
        streams: Streams | None = None,
        training: bool = False,
    ) -> None:
        self._supervisor = supervisor
        self._path = path
        self._home = home
        self._listening = listening
        self.models = Models(path.stem)
        self._completions = Completions(self._ask, self.models)
        host, port, *_ = listening.getsockname()
        self.root = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.url = f"{self.root}/v1"
        clock, page = SystemClock(), None
        self._feed: Feed | None = None
        if streams is not None:
            allowed = (*ALWAYS, *(TRAINING if training else ()))
            self._feed = Feed(supervisor, streams, path, clock, allowed)
            page = Page(self._feed, Wishes(supervisor, path, self._feed, allowed).do, clock)
        app = application(self._completions, self.models, self._versions, token=token, host=host, port=port, page=page)
        self._host = Host(app)

    async def serve(self) -> None:
        """Until `end`."""
        if self._feed is not None:
            await self._feed.begin()
        try:
            await self._host.serve([self._listening])
        finally:
            if self._feed is not None:
                await self._feed.close()

    def end(self) -> None:
        """No new requests; answers that come end with an error that says why, and so do pages' streams."""
        self._completions.close()
        if self._feed is not None:
            self._feed.end()
        self._host.end()

    def _ask(self, chat: Chat, speaker: Speaker) -> Answer:
        return self._supervisor.ask(
            self._path,
            chat.prompt,
            version=speaker,
            earlier=chat.earlier,
            system=chat.system,
            max_new_tokens=chat.max_new_tokens,
            temperature=chat.temperature,
            top_p=chat.top_p,
            seed=chat.seed,
        )

    async def _versions(self) -> tuple[Made, ...]:
        status = self._supervisor.status(self._path)
        if status is None or status.dlm_id is None:
            return ()
        return await asyncio.to_thread(made, Store(dlm_home(self._home), status.dlm_id))
