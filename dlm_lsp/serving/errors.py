"""What is wrong with a request, in the shape of the API: status, sentence, code, and the parameter it is about."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Json(JSONResponse):
    """Of characters beyond ASCII only escapes: what a client sent may come back, and halves of characters with it."""

    def render(self, content: Any) -> bytes:
        return encoded(content)


def encoded(content: Any) -> bytes:
    """One line of JSON."""
    return json.dumps(content, separators=(",", ":")).encode()


class ApiError(Exception):
    """Ends a request with `status`; the message is one clear sentence (or two)."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.headers = headers

    def body(self) -> dict[str, object]:
        """The `error` object of the API."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> Json:
        return Json(self.body(), self.status, {"Cache-Control": "no-store", **(self.headers or {})})
