"""The training page: its files, the stream of events that feeds it, and the few things that it may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from dlm_lsp.runs.channel import Subscription
from dlm_lsp.runs.clock import Clock
from dlm_lsp.serving.body import json_body
from dlm_lsp.serving.completions import while_connected
from dlm_lsp.serving.errors import ApiError, Json
from dlm_lsp.serving.feed import Feed

EVENTS, SAY = "/page/events", "/page/say"
BEAT = 15.0  # seconds between two signs of life
RETRY = 1000  # milliseconds after which a browser comes back
MOST_PAGES = 16

_ASSETS = Path(__file__).with_name("assets")
_FILES = {
    "/": ("index.html", "text/html"),
    "/page/port.js": ("port.js", "text/javascript"),
    "/page/panel.js": ("panel.js", "text/javascript"),
    "/page/panel.css": ("panel.css", "text/css"),
    "/page/port.css": ("port.css", "text/css"),
}
FILES = tuple(_FILES)
# No inline script or style, no images, no frames, nothing from elsewhere, and nobody may put it into a frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Say = Callable[[dict[str, Any]], Awaitable[str]]


class Page:
    """`say` does what a page asks for, or raises ApiError: why not."""

    def __init__(self, feed: Feed, say: Say, clock: Clock) -> None:
        self._feed = feed
        self._say = say
        self._clock = clock
        self._open = 0

    def routes(self) -> list[Route]:
        return [
            *(Route(path, self._file, methods=["GET"]) for path in _FILES),
            Route(EVENTS, _Endpoint(self._events), methods=["GET"]),
            Route(SAY, self._said, methods=["POST"]),
        ]

    async def _file(self, request: Request) -> Response:
        name, kind = _FILES[request.url.path]
        data = await asyncio.to_thread((_ASSETS / name).read_bytes)
        return Response(data, media_type=kind, headers=_HEADERS)

    async def _said(self, request: Request) -> Response:
        message = await json_body(request)
        if not isinstance(message, dict):
            raise ApiError(400, "The body is no message of the page: a JSON object.", code="invalid_message")
        return Json({"ok": True, "message": await self._say(message)}, headers=_HEADERS)

    async def _events(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if self._open >= MOST_PAGES:
            raise ApiError(429, f"{self._open} pages are open already. Close one.", code="too_many_pages")
        subscription = self._feed.subscribe(request.headers.get("last-event-id", ""))
        self._open += 1
        try:
            await while_connected(self._tell(subscription, send), receive)
        finally:
            self._open -= 1
            subscription.close()

    async def _tell(self, subscription: Subscription, send: Send) -> None:
        async def body(text: str, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": more})

        headers = {"Content-Type": "text/event-stream; charset=utf-8", **_HEADERS}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        await body(f"retry: {RETRY}\n\n")
        while True:
            beat = self._clock.call_later(BEAT, subscription.wake)
            try:
                told = await subscription.next()
            except EOFError:
                await body("", more=False)
                return
            finally:
                beat.cancel()
            if told is None:
                await body(": still here\n\n")
            else:
                place = f"id: {told.place}\n" if told.place else ""
                await body(f"{place}data: {told.text}\n\n")


class _Endpoint:
    """An ASGI application: starlette calls functions with a request, and anything else as it is."""

    def __init__(self, answer: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send)
