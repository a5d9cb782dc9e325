"""The JSON-RPC side of the server: pygls' protocol with everything repaired that pygls 2.1.1 gets wrong.

Each repair names the upstream behaviour, and tests/protocol/test_upstream.py fails when upstream has changed, so
that the repair can go. Messages arrive at `receive` as frame bodies; pygls' own read loop is not used: it matches
headers in one letter case only, reads through the thread pool that handlers share, and takes every nested object
with a `jsonrpc` key for a message. Nor is its writer: a client that stops reading blocks the event loop in it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from typing import Any

from lsprotocol import types
from pygls.capabilities import get_capability
from pygls.exceptions import JsonRpcException, JsonRpcInternalError, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.protocol import JsonRPCNotification, JsonRPCRequestMessage, LanguageServerProtocol, lsp_method

log = logging.getLogger(__name__)

Ask = Callable[[str, Any], Awaitable[Any]]
"""Sends a request to the client (method, params) and awaits its answer; raises its refusal, or TimeoutError."""
Notify = Callable[[str, Any], None]
"""Sends a notification to the client (method, params)."""

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
SERVER_NOT_INITIALIZED = -32002

_NOTIFICATIONS = frozenset(method for method, (message, answer, *_) in types.METHOD_TO_TYPES.items() if answer is None)

# What is sent and asked while a run goes on.
_PROGRESS = (
    types.WorkDoneProgressCreateRequest,
    types.ProgressParams,
    types.WorkDoneProgressBegin,
    types.WorkDoneProgressReport,
    types.WorkDoneProgressEnd,
)

# pygls' own handlers that this server replaces: text synchronisation, because its mirror splits lines at more
# characters than the protocol does and clamps wrongly; `exit`, because it raises SystemExit inside a handler,
# which loses the exit code; progress cancel, because it warns about tokens that it does not know.
_REPLACED = (
    types.TEXT_DOCUMENT_DID_OPEN,
    types.TEXT_DOCUMENT_DID_CHANGE,
    types.TEXT_DOCUMENT_DID_CLOSE,
    types.EXIT,
    types.WINDOW_WORK_DONE_PROGRESS_CANCEL,
)


class Json(str):
    """The result of a request as JSON text: it is sent as it is."""


class JsonParts(tuple[bytes, ...]):
    """The same encoded, and in parts: what is long and sent often is put together once, when it is sent."""


class DlmProtocol(LanguageServerProtocol):
    """Order of life (uninitialised, running, shut down), exact errors, no work for what can't be."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._initialized = False
        self._shutdown_request: int | str | None = None  # its id, once it came
        self._shutdown_answered = asyncio.Event()
        self._asked: set[str] = set()  # the ids of our own requests that are not answered yet
        for method in _REPLACED:
            self.fm.builtin_features.pop(method, None)

    @property
    def shut_down(self) -> bool:
        """Whether the client asked for shutdown, so that an exit is an orderly one."""
        return bool(self._shutdown)

    def receive(self, body: bytes) -> None:
        """Handles the body of one frame. Never raises: every defect of a message is answered or logged."""
        try:
            self._receive(body)
        except Exception:
            log.exception("a message could not be handled")

    def exercise(self) -> None:
        """Has the first save wait for nothing: how a type is read and written is compiled when it is first met."""
        for read in (types.DidSaveTextDocumentNotification, types.WorkDoneProgressCreateResponse):
            self._converter.get_structure_hook(read)
        for written in _PROGRESS:
            self._converter.get_unstructure_hook(written)

    async def last_answer(self) -> None:
        """Returns once `shutdown` was answered, if it was asked: a client may send `exit` right behind it."""
        if self._shutdown_request is not None:
            await self._shutdown_answered.wait()

    async def ask(self, method: str, params: Any, patience: float | None) -> Any:
        """Sends a request and returns the client's answer. Raises its refusal, or TimeoutError after `patience` s.

        Upstream keeps what belongs to a request that is never answered.
        """
        identity = uuid.uuid4().hex
        self._asked.add(identity)
        try:
            return await asyncio.wait_for(self.send_request_async(method, params, identity), patience)
        finally:
            self._asked.discard(identity)
            self._request_futures.pop(identity, None)
            self._result_types.pop(identity, None)

    def notify(self, method: str, params: Any | None = None) -> None:
        """Sends a notification. What is JSON already goes out as it is, without a detour through pygls' types."""
        if isinstance(params, Json):
            self._write(f'{{"jsonrpc":"2.0","method":{json.dumps(method)},"params":{params}}}'.encode())
        elif isinstance(params, JsonParts):
            self._write(f'{{"jsonrpc":"2.0","method":{json.dumps(method)},"params":'.encode(), *params, b"}")
        elif isinstance(params, dict):
            self._send_data({"jsonrpc": "2.0", "method": method, "params": params})
        else:
            super().notify(method, params)

    def _send_response(self, msg_id: Any, result: Any = None, error: Any = None) -> None:
        """Answers a request; what is JSON already goes out as it is."""
        if error is not None or not isinstance(result, Json):
            super()._send_response(msg_id, result, error)
            return
        self._result_types.pop(msg_id, None)
        self._write(f'{{"jsonrpc":"2.0","id":{json.dumps(msg_id)},"result":{result}}}'.encode())

    def _write(self, *parts: bytes) -> None:
        if self.writer is not None:
            head = b"Content-Length: %d\r\n\r\n" % sum(map(len, parts))
            self.writer.write(b"".join((head, *parts)))

    def _receive(self, body: bytes) -> None:
        try:
            message = json.loads(body)
        except (ValueError, RecursionError) as error:
            # Upstream shows a popup and answers nothing.
            self.refuse(None, PARSE_ERROR, f"The message is not valid JSON: {error}")
            return
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            # Upstream shows a popup for a batch, which LSP does not have, and ignores other versions.
            identity = message.get("id") if isinstance(message, dict) else None
            self.refuse(_id_or_none(identity), INVALID_REQUEST, "A message is one JSON-RPC 2.0 object.")
        elif "method" not in message:
            if not self._receive_response(message) and not {"result", "error"} & set(message):
                # Upstream takes it for a response; whoever forgot the method waits for ever.
                self.refuse(_id_or_none(message.get("id")), INVALID_REQUEST, "A message has a method or a result.")
        elif not isinstance(message["method"], str):
            self.refuse(_id_or_none(message.get("id")), INVALID_REQUEST, "A method is named by a string.")
        elif "id" in message:
            self._receive_request(message)
        else:
            self._receive_notification(message)

    def refuse(self, identity: int | str | None, code: int, sentence: str) -> None:
        """Answers with an error. Upstream's response type would leave out an `id` that is null."""
        log.info("refused a message (%d): %s", code, sentence)
        self._send_data({"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": sentence}})

    def _receive_request(self, message: dict[str, Any]) -> None:
        identity, method = _id_or_none(message["id"]), message["method"]
        if identity is None:
            self.refuse(None, INVALID_REQUEST, "The id of a request is a number or a string.")
        elif self._shutdown:
            # Upstream drops the request, so that its sender waits for ever.
            self.refuse(identity, INVALID_REQUEST, f"The server is shutting down; {method} comes too late.")
        elif not self._initialized and method != types.INITIALIZE:
            # Upstream executes it, or fails with an internal error.
            self.refuse(identity, SERVER_NOT_INITIALIZED, f"{method} came before `initialize`.")
        elif self._initialized and method == types.INITIALIZE:
            # Upstream starts over.
            self.refuse(identity, INVALID_REQUEST, "The server is initialized already.")
        elif identity in self._request_futures:
            self.refuse(identity, INVALID_REQUEST, f"A request with the id {identity!r} is going on.")
        elif not self._handles(method):
            # Upstream looks at the params first, and shows a popup if they are unfit.
            self.refuse(identity, METHOD_NOT_FOUND, f"This server does not offer {method!r}.")
        elif method in _NOTIFICATIONS:
            # Upstream takes it for the notification, and its sender waits for ever.
            self.refuse(identity, INVALID_REQUEST, f"{method} is a notification and has no id.")
        elif (request := self._structured(message, JsonRPCRequestMessage)) is None:
            # Upstream answers nothing and shows a popup.
            self.refuse(identity, INVALID_PARAMS, f"The params do not fit {method}.")
        else:
            self._initialized |= method == types.INITIALIZE
            if method == types.SHUTDOWN:
                self._shutdown_request = identity
            self.handle_message(request)
            self._shutdown |= method == types.SHUTDOWN

    def _receive_notification(self, message: dict[str, Any]) -> None:
        method = message["method"]
        if method != types.EXIT and (self._shutdown or not self._initialized):
            log.debug("%s came outside of a session and is dropped", method)
        elif method != types.CANCEL_REQUEST and not self._handles(method):
            log.debug("nobody here listens to %r", method)
        elif (notification := self._structured(message, JsonRPCNotification)) is None:
            log.warning("the params do not fit the notification %s; it is dropped", method)
        else:
            self.handle_message(notification)

    def _receive_response(self, message: dict[str, Any]) -> bool:
        """Resolves a request of ours; False if it was none. Upstream drops responses after shutdown, and keeps
        the request waiting for ever when the response is unfit.
        """
        identity = message.get("id")
        future = self._request_futures.get(identity) if isinstance(identity, str) and identity in self._asked else None
        if future is None or future.done():
            log.debug("a response to no request of ours: id %r", identity)
            return False
        try:
            response = self.structure_message(message)
        except JsonRpcException as error:
            future.set_exception(error)
            return True
        if (refusal := getattr(response, "error", None)) is not None:
            future.set_exception(JsonRpcException.from_error(refusal))
        else:
            future.set_result(response.result)
        return True

    def _handles(self, method: str) -> bool:
        return method in self.fm.builtin_features or method in self.fm.features

    def _structured(self, message: dict[str, Any], fallback: type[Any]) -> Any | None:
        """The typed message, or None if it is unfit. Params of methods outside of LSP stay plain JSON."""
        if self.get_message_type(message["method"]) is None:
            known = {"id", "method", "jsonrpc"} & set(message)
            return fallback(**{name: message[name] for name in known}, params=message.get("params"))
        try:
            return self.structure_message(message)
        except (JsonRpcInvalidParams, JsonRpcInternalError):
            return None

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(self, params: types.InitializeParams) -> Generator[Any, Any, types.InitializeResult]:
        """Upstream offers kinds of code actions also to clients that know commands only (LSP 3.8 allows that
        only together with `codeActionLiteralSupport`).
        """
        if not get_capability(params.capabilities, "text_document.code_action.code_action_literal_support"):
            self.fm.feature_options.pop(types.TEXT_DOCUMENT_CODE_ACTION, None)
        return (yield from super().lsp_initialize(params))

    @lsp_method(types.SHUTDOWN)
    def lsp_shutdown(self, *arguments: Any) -> Generator[Any, Any, None]:
        """Upstream walks through the pending requests while cancelling them removes them."""
        own = self.msg_id
        if (handler := self.fm.features.get(types.SHUTDOWN)) is not None:
            yield handler, arguments, None
        for identity, future in tuple(self._request_futures.items()):
            if identity != own:
                future.cancel()

    def _execute_handler(
        self,
        msg_id: Any,
        handler: Callable[..., Any],
        callback: Callable[[Future[Any]], None],
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Upstream keeps the future of every asynchronous notification and nested handler for ever."""

        def done(future: Future[Any]) -> None:
            if self._request_futures.get(msg_id) is future:
                del self._request_futures[msg_id]
            callback(future)
            if self._shutdown_request is not None and msg_id == self._shutdown_request:
                self._shutdown_answered.set()

        super()._execute_handler(msg_id, handler, done, args, kwargs)

    def _handle_cancel_notification(self, msg_id: Any) -> None:
        """Upstream warns about the usual case, that the request had been answered already, and lets the client
        cancel the server's requests.
        """
        if msg_id in self._request_futures and msg_id not in self._asked:
            super()._handle_cancel_notification(msg_id)


class DlmLanguageServer(LanguageServer):
    """pygls' server without its popups."""

    protocol: DlmProtocol

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Upstream shows a popup. An author can do nothing about it; the log tells whoever can."""
        if isinstance(error, JsonRpcException) and not isinstance(error, JsonRpcInternalError):
            log.info("refused a request: %s", error)  # its sender has the answer
            return
        log.error("%s: %s", getattr(source, "__name__", source), error, exc_info=True)


def silence_pygls() -> None:
    """Upstream logs whole messages, and so texts. What it would log of errors, `report_server_error` logs."""
    logging.getLogger("pygls").setLevel(logging.CRITICAL)


def _id_or_none(identity: Any) -> int | str | None:
    return identity if isinstance(identity, int | str) and not isinstance(identity, bool) else None
