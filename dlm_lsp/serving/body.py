"""The body of a request: JSON of bounded size that comes in bounded time."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from dlm_lsp.serving.errors import ApiError
from dlm_lsp.store import plain_json

MAX_BYTES = 2**20
_MAX_SECONDS = 30.0


async def json_body(request: Request) -> Any:
    """The JSON value. Raises ApiError, and starlette's ClientDisconnect when the client has gone."""
    try:
        async with asyncio.timeout(_MAX_SECONDS):
            data = await _bytes(request)
    except TimeoutError:
        raise ApiError(408, f"The body did not come within {_MAX_SECONDS:g} seconds.", code="timeout") from None
    try:
        return plain_json.loads(data)
    except ValueError as error:
        raise ApiError(400, f"The body is no JSON: {error}", code="invalid_json") from None


async def _bytes(request: Request) -> bytes:
    if (length := request.headers.get("content-length", "")).isdecimal() and int(length) > MAX_BYTES:
        raise _too_large()
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BYTES:
            raise _too_large()
    return bytes(data)


def _too_large() -> ApiError:
    return ApiError(413, f"The body has more than {MAX_BYTES} bytes.", code="request_too_large")
