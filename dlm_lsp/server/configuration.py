"""Where the settings in effect come from: initializationOptions, the client's configuration, its changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from lsprotocol import types

from dlm_lsp.server.capabilities import Features
from dlm_lsp.server.protocol import Ask
from dlm_lsp.server.settings import SECTION, ServerSettings, read_settings

log = logging.getLogger(__name__)


class Configuration:
    """Holds the settings in effect and calls `changed` with them whenever they are read again.

    What the client's configuration does not hold comes from `initializationOptions`, then from the defaults.
    """

    def __init__(self, ask: Ask, features: Features, changed: Callable[[ServerSettings], None]) -> None:
        self._ask = ask
        self._features = features
        self._changed = changed
        self._initial = ServerSettings()
        self.settings = ServerSettings()

    def initialize(self, options: Any) -> None:
        """Takes `initializationOptions`: the table of settings itself, or a table that holds it as `dlm`."""
        given = _section(options)
        self._initial = read_settings(given if isinstance(given, dict) else None)
        self._take(self._initial)

    async def did_change(self, settings: Any) -> None:
        """The configuration changed: asks for it, or takes what was sent when the client cannot be asked."""
        if self._features().configuration:
            await self.pull()
        elif isinstance(given := _section(settings), dict):
            self._take(read_settings(given, self._initial))

    async def pull(self) -> None:
        """Reads the client's configuration anew, if it can be asked."""
        if not self._features().configuration:
            return
        item = types.ConfigurationItem(section=SECTION)
        try:
            answer = await self._ask(types.WORKSPACE_CONFIGURATION, types.ConfigurationParams([item]))
        except Exception as error:
            log.info("the client did not tell its configuration: %s", error)
            return
        given = answer[0] if isinstance(answer, list | tuple) and answer else None
        self._take(read_settings(given, self._initial))

    def _take(self, settings: ServerSettings) -> None:
        for warning in settings.warnings:
            log.warning("%s", warning)
        self.settings = settings
        self._changed(settings)


def _section(given: Any) -> Any:
    return given[SECTION] if isinstance(given, dict) and SECTION in given else given
