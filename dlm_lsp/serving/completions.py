"""`POST /v1/chat/completions`: an answer on its way to the client, whole or piece by piece."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from dlm_lsp.runs.questions import Answer, AskRefused, Speaker
from dlm_lsp.serving.body import json_body
from dlm_lsp.serving.chat import Chat, chat
from dlm_lsp.serving.errors import ApiError, Json, encoded
from dlm_lsp.serving.models import Models
from dlm_lsp.serving.stopping import until
from dlm_lsp.store import StoreError
from dlm_lsp.training.protocol import LearnerError

MOST_AT_A_TIME = 16  # they are answered one after the other, so that more would only wait

Ask = Callable[[Chat, Speaker], Answer]


class Completions:
    """The endpoint, as an ASGI application. `ask` puts a question; what nobody reads any more is cancelled."""

    def __init__(self, ask: Ask, models: Models) -> None:
        self._ask = ask
        self._models = models
        self._open: set[Answer] = set()
        self._taken = 0
        self._closing = False

    def close(self) -> None:
        """Ends all answers; their clients are told why."""
        self._closing = True
        for answer in tuple(self._open):
            answer.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place(), suppress(ClientDisconnect):
            wanted = chat(await json_body(Request(scope, receive)))
            which = self._models.which(wanted.model)
            await while_connected(self._reply(wanted, which, scope, receive, send), receive)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places for requests. Raises ApiError 429."""
        if self._taken >= MOST_AT_A_TIME:
            raise ApiError(
                429,
                f"{self._taken} questions are being answered or wait already. Ask again in a moment.",
                code="too_many_questions",
                headers={"Retry-After": "1"},
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def _reply(self, wanted: Chat, which: Speaker, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._ask(wanted, which)
        self._open.add(answer)
        try:
            async with aclosing(until(self._pieces(answer), wanted.stop)) as pieces:
                # Until the first piece is there, whatever is wrong has a status of its own.
                first = await anext(pieces, "")
                told = _Completion(self._models.full_name("live" if answer.live else answer.version))
                if wanted.stream:
                    await _stream(told, answer, first, pieces, wanted, send)
                else:
                    text = first + "".join([piece async for piece in pieces])
                    await Json(told.whole(text, answer), headers=_HEADERS)(scope, receive, send)
        finally:
            self._open.discard(answer)
            answer.cancel()

    async def _pieces(self, answer: Answer) -> AsyncIterator[str]:
        """The answer's, with whatever goes wrong as ApiError."""
        try:
            async for piece in answer:
                yield piece
        except (AskRefused, LearnerError, StoreError) as error:
            raise _told(error) from error
        if answer.cancelled and self._closing:
            raise ApiError(503, "The server is ending.", code="ending")


_HEADERS = {"Cache-Control": "no-store"}
_STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]


async def _stream(
    told: _Completion, answer: Answer, first: str, pieces: AsyncIterator[str], wanted: Chat, send: Send
) -> None:
    """As server-sent events. An error in the midst of the answer is an event as well; nothing follows it."""

    async def event(data: bytes, *, more: bool = True) -> None:
        await send({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": more})

    await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
    await event(told.chunk({"role": "assistant", "content": first}))
    try:
        async for piece in pieces:
            await event(told.chunk({"content": piece}))
    except ApiError as error:
        await event(encoded(error.body()), more=False)
        return
    await event(told.chunk({}, end=_finish(answer)))
    if wanted.usage_in_stream and (usage := _usage(answer)):
        await event(told.usage(usage))
    await event(b"[DONE]", more=False)


@dataclass(frozen=True, slots=True)
class _Completion:
    """What the objects of one answer have in common. `model` names the version that speaks."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, text: str, answer: Answer) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(answer)}
        usage = _usage(answer)
        return {**self._common("chat.completion"), "choices": [choice]} | ({"usage": usage} if usage else {})

    def chunk(self, delta: dict[str, str], end: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}
        return encoded({**self._common("chat.completion.chunk"), "choices": [choice]})

    def usage(self, usage: dict[str, int]) -> bytes:
        return encoded({**self._common("chat.completion.chunk"), "choices": [], "usage": usage})

    def _common(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def _finish(answer: Answer) -> str:
    return "length" if answer.spoken is not None and answer.spoken.end == "length" else "stop"


def _usage(answer: Answer) -> dict[str, int] | None:
    """The tokens that were read and said; unknown where one of the request's stops ended the answer."""
    if (spoken := answer.spoken) is None:
        return None
    return {
        "prompt_tokens": spoken.prompt_tokens,
        "completion_tokens": spoken.tokens,
        "total_tokens": spoken.prompt_tokens + spoken.tokens,
    }


def _told(error: AskRefused | LearnerError | StoreError) -> ApiError:
    """What the client is told of it."""
    match error.code:
        case "no-such-version":
            return ApiError(404, str(error), code="model_not_found", param="model")
        case "other-base":
            return ApiError(400, str(error), code="other-base", param="model")
        case "question-too-long":
            return ApiError(400, str(error), code="context_length_exceeded", param="messages")
        case "ending":
            return ApiError(503, str(error), code="ending")
        case code:
            return ApiError(500, str(error), code=code)


async def while_connected(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Does `work` until its end, or until the client has gone: then it is cancelled."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(error := done[0], Exception):
        raise error


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
