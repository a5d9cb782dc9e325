"""The HTTP application: its routes, behind the guard."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dlm_lsp.runs.versions import Made
from dlm_lsp.serving.completions import Completions
from dlm_lsp.serving.errors import ApiError, Json
from dlm_lsp.serving.guard import Guard
from dlm_lsp.serving.models import Models
from dlm_lsp.serving.page import Page
from dlm_lsp.store import StoreError

Versions = Callable[[], Awaitable[tuple[Made, ...]]]


def application(
    completions: Completions,
    models: Models,
    versions: Versions,
    *,
    token: str,
    host: str,
    port: int,
    page: Page | None,
) -> Starlette:
    """What `token` opens on `host` and `port`. `versions` lists the document's."""

    async def listed() -> list[dict[str, object]]:
        try:
            return models.listed(await versions(), time.time())
        except StoreError as error:
            raise ApiError(500, str(error), code=error.code) from error

    async def all_models(request: Request) -> Response:
        return Json({"object": "list", "data": await listed()})

    async def one_model(request: Request) -> Response:
        name = request.path_params["model"]
        full = models.full_name(models.which(name))
        found = next((entry for entry in await listed() if entry["id"] == full), None)
        if found is None:
            raise models.missing(name)
        return Json(found)

    return Starlette(
        routes=[
            Route("/v1/chat/completions", completions, methods=["POST"]),
            Route("/v1/models", all_models),
            Route("/v1/models/{model:path}", one_model),
            *(page.routes() if page is not None else ()),
        ],
        middleware=[Middleware(Guard, token=token, host=host, port=port, page=page is not None)],
        exception_handlers={ApiError: _refused, HTTPException: _no_route, Exception: _failed},
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    asked = f"{request.method} {request.url.path[:200]}"
    message = (
        f"{asked} is not answered here; there are POST /v1/chat/completions and GET /v1/models."
        if error.status_code in (404, 405)
        else error.detail
    )
    headers = dict(error.headers or {})
    return ApiError(error.status_code, message, code="unknown_url", headers=headers).response()


async def _failed(request: Request, error: Exception) -> Response:
    """A defect: the log has the traceback."""
    return ApiError(500, "Something went wrong in the server; its log says what.", code="internal-error").response()
