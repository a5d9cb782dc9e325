"""Who may speak to the server at all: asked before anything of a request is read but its headers.

The token says who asks. The `Host` header keeps web pages out whose host name was made to mean this machine (DNS
rebinding), and no page of a browser is answered: those name themselves in `Origin`. The one exception is this server's
own page, where there is one: its files are open to whoever names this machine (they say nothing), the stream that feeds
it takes the token in its address too, because a browser can send that no header, and nothing but that stream does.
"""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from dlm_lsp.serving.errors import ApiError
from dlm_lsp.serving.page import EVENTS, FILES, SAY

_NAMES = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """Lets through to `app` what holds `token` and was sent to this machine by name; the rest gets 401 or 403.

    `page`: whether there is a page.
    """

    def __init__(self, app: ASGIApp, *, token: str, host: str, port: int, page: bool = False) -> None:
        self._app = app
        self._page = page
        self._bearer = f"bearer {token}".encode()
        names = {*_NAMES, f"[{host}]" if ":" in host else host}
        self._hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            self._check(scope["method"], scope["path"], Headers(scope=scope), scope["query_string"])
        except ApiError as error:
            await error.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, method: str, path: str, headers: Headers, query: bytes) -> None:
        named = headers.getlist("host")
        if len(named) != 1 or named[0].lower() not in self._hosts:
            raise ApiError(
                403,
                "The Host header does not name this machine. Use 127.0.0.1 or localhost, with the port.",
                code="host_not_allowed",
            )
        of_page = self._page and path in (*FILES, EVENTS, SAY)
        own = of_page and headers.get("origin") == f"http://{named[0]}"
        elsewhere = of_page and headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if ("origin" in headers and not own) or (elsewhere and path not in FILES):
            raise ApiError(
                403, "Web pages are not answered: the request has an Origin header.", code="origin_not_allowed"
            )
        if of_page and method in ("GET", "HEAD") and path in FILES:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        shown = f"{scheme.lower()} {given.strip()}"
        if of_page and method == "GET" and path == EVENTS and not given:
            shown = f"bearer {QueryParams(query).get('token', '')}"
        if not hmac.compare_digest(shown.encode("utf-8", "replace"), self._bearer):
            raise ApiError(
                401,
                "The token is missing or wrong. Send the header `Authorization: Bearer …` with the token that "
                "`dlm-lsp serve` has printed.",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
