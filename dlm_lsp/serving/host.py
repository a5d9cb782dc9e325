"""Listening on this machine and serving an application there, until told to end."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

# What answers get to end, and slow clients to read them, once the server is to end, in whole seconds.
_PATIENCE = 2


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on the loopback address `host`; 0 takes any free port. Raises OSError."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


class Host(uvicorn.Server):
    """Serves `app`; `end` makes `serve` return. Signals are the caller's."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_PATIENCE,
            )
        )

    def end(self) -> None:
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
