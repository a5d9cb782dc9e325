"""A server as pygls gives it, with nothing repaired: what the repairs of dlm_lsp/server/protocol.py are measured by."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer

server = LanguageServer("plain", "1", max_workers=1)
pinged = threading.Event()


@server.feature(types.TEXT_DOCUMENT_HOVER)
def hover(params: types.HoverParams) -> None:
    return None


@server.feature(
    types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.Source])
)
def code_action(params: types.CodeActionParams) -> None:
    return None


@server.feature("test/ping")
def ping(params: Any) -> str:
    pinged.set()
    return "pong"


@server.feature("test/text")
def text(params: Any) -> str:
    return server.workspace.get_text_document(params.uri).source


@server.feature("test/kept")
def kept(params: Any) -> list[int]:
    """How many futures and result types of requests and notifications are kept."""
    return [len(server.protocol._request_futures), len(server.protocol._result_types)]


@server.feature("test/busy")
@server.thread()
def busy(params: Any) -> bool:
    """Whether a ping came through while this thread was at work."""
    return pinged.wait(0.5)


@server.feature("test/note")
async def note(params: Any) -> None:
    return None


@server.feature("test/fail")
def fail(params: Any) -> None:
    raise ValueError("nobody foresaw this")


@server.feature("test/ask")
async def ask(params: Any) -> str:
    """Asks the client, and waits for at most 0.3 s."""
    asked = server.workspace_configuration_async(types.ConfigurationParams([types.ConfigurationItem(section="x")]))
    try:
        return f"answered {await asyncio.wait_for(asked, 0.3)}"
    except TimeoutError:
        return "no answer"
    except asyncio.CancelledError:
        return "cancelled by the client"
    except Exception as error:
        return f"refused: {error}"


@server.command("test.forever")
async def forever() -> None:
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    server.start_io()
