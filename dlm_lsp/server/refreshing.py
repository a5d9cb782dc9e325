"""When the client is asked to fetch lenses and inlay hints anew: if it can be, and four times a second at most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

from lsprotocol import types

from dlm_lsp.runs import events
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.server.capabilities import Features
from dlm_lsp.server.outbox import Outbox
from dlm_lsp.server.settings import ServerSettings


class Refresher:
    """`refresh` sends one of the requests `workspace/…/refresh`."""

    def __init__(self, outbox: Outbox, features: Features, refresh: Callable[[str], None]) -> None:
        self._outbox = outbox
        self._features = features
        self._refresh = refresh
        self._settings = ServerSettings()
        self._shown: dict[Path, Any] = {}

    def on(self, event: events.Event | None, status: DocumentStatus) -> None:
        """A status changed. Lenses and hints name states and no figures of steps, so that steps need no new ones."""
        if self._settings.code_lens != "off" and not isinstance(event, events.Step):
            self._lenses()
        if self._settings.inlay_hints != "off" and self._features().hint_refresh and self._differs(event, status):
            self._hints()

    def configured(self, settings: ServerSettings) -> None:
        """What was switched on or off is shown so at once."""
        before, self._settings = self._settings, settings
        if settings.code_lens != before.code_lens:
            self._lenses()
        if settings.inlay_hints != before.inlay_hints:
            self._hints()

    def _differs(self, event: events.Event | None, status: DocumentStatus) -> bool:
        """After a keystroke the client asks anew by itself: it is told only if states changed besides."""
        if isinstance(event, events.Step | events.Phase):
            return False
        states = Counter(map(id, map(attrgetter("state"), status.sections)))  # ids: an enum's own hash is slow
        shown = (status.version, states)
        before = self._shown.get(status.document)
        self._shown[status.document] = shown
        return before != shown

    def closed(self, path: Path) -> None:
        self._shown.pop(path, None)

    def _lenses(self) -> None:
        if self._features().lens_refresh:
            self._outbox.offer("lenses", lambda: self._refresh(types.WORKSPACE_CODE_LENS_REFRESH))

    def _hints(self) -> None:
        if self._features().hint_refresh:
            self._outbox.offer("hints", lambda: self._refresh(types.WORKSPACE_INLAY_HINT_REFRESH))
