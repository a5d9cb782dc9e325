"""The body of a request: JSON of bounded size that comes in bounded time."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from dlm_lsp.serving.errors import ApiError
from dlm_lsp.store import plain_json

MAX_BYTES = 2**20
_MAX_SECONDS = 30.0
# So much of what is too large is read and forgotten, because a client that still writes may never see the answer.
_MOST_PASSED_OVER = 16 * MAX_BYTES


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
    data, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BYTES:
            data += chunk
        elif size > _MOST_PASSED_OVER:
            break
    if size > MAX_BYTES:
        raise ApiError(413, f"The body has more than {MAX_BYTES} bytes.", code="request_too_large")
    return bytes(data)
