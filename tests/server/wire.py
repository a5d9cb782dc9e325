"""The client of raw bytes of tests/protocol, on the server with the fake learner, over its standard streams."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.protocol import wire
from tests.protocol.wire import PATIENCE, frame, initialize, notification, request

__all__ = ["PATIENCE", "SERVER", "Wire", "frame", "initialize", "notification", "request"]

SERVER = Path(__file__).with_name("fake_server.py")


class Wire(wire.Wire):
    """A server process and its two pipes."""

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None, *, session: bool = False) -> None:
        """`session`: it leads a group of processes of its own, as a shell's job does."""
        command = ["setsid", sys.executable, str(SERVER)] if session else [sys.executable, str(SERVER)]
        started = wire.Wire.over_stdio(command, {"DLM_HOME": str(home), **(environment or {})})
        super().__init__(started.channel, started.process, started.log)
