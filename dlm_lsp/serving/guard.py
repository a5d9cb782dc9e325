"""Who may speak to the server at all: asked before anything of a request is read but its headers.

The token says who asks. The `Host` header keeps web pages out whose host name was made to mean this machine (DNS
rebinding), and no page of a browser is answered at all: those name themselves in `Origin`.
"""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from dlm_lsp.serving.errors import ApiError

_NAMES = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """Lets through to `app` what holds `token` and was sent to this machine by name; the rest gets 401 or 403."""

    def __init__(self, app: ASGIApp, *, token: str, host: str, port: int) -> None:
        self._app = app
        self._bearer = f"bearer {token}".encode()
        names = {*_NAMES, f"[{host}]" if ":" in host else host}
        self._hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            self._check(Headers(scope=scope))
        except ApiError as error:
            await error.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        named = headers.getlist("host")
        if len(named) != 1 or named[0].lower() not in self._hosts:
            raise ApiError(
                403,
                "The Host header does not name this machine. Use 127.0.0.1 or localhost, with the port.",
                code="host_not_allowed",
            )
        if "origin" in headers:
            raise ApiError(
                403, "Web pages are not answered: the request has an Origin header.", code="origin_not_allowed"
            )
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if not hmac.compare_digest(f"{scheme.lower()} {given.strip()}".encode(), self._bearer):
            raise ApiError(
                401,
                "The token is missing or wrong. Send the header `Authorization: Bearer …` with the token that "
                "`dlm-lsp serve` has printed.",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
