"""What pygls alone does wrong, seen on a plain server of it: while a test passes, our repair of that is needed.

A test that fails after an upgrade of pygls says which repair of dlm_lsp/server/protocol.py can go. The repair's
comment there is found by the words in `repairs`.
"""

from __future__ import annotations

import inspect
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.io_ import StdoutWriter
from pygls.lsp.server import LanguageServer
from pygls.protocol import JsonRPCResponseMessage, default_converter

import dlm_lsp.server
from dlm_lsp.server import protocol
from tests.protocol import reference
from tests.protocol.paper import Paper
from tests.protocol.wire import SILENT, Wire, frame, notification, request

COMMAND = [sys.executable, str(Path(__file__).with_name("upstream_server.py"))]
HOVER = {"textDocument": {"uri": "file:///a.dlm"}, "position": {"line": 0, "character": 0}}
REPAIRED: dict[str, str] = {}  # words of a repair's comment → the test that says when it can go


def repairs(*words: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Names the repair whose comment in dlm_lsp/server/protocol.py holds these words."""

    def register(test: Callable[..., None]) -> Callable[..., None]:
        for each in words:
            assert each not in REPAIRED
            REPAIRED[each] = test.__name__
        return test

    return register


def still(wrong: bool, repair: str) -> None:
    assert wrong, f"pygls does this right now: {repair!r} in dlm_lsp/server/protocol.py can go, and so can this test"


class Plain(Wire):
    """A wire on which popups arrive, and on which answers are missing."""

    def silent_about(self, *identities: Any) -> bool:
        """Whether none of these requests was answered, after a later one was."""
        assert self.ask("test/ping") == "pong"
        return all(self._claim(identity) is None for identity in identities)

    def popped_up(self) -> bool:
        assert self.popups is not None
        found, self.popups = bool(self.popups), []
        return found


def plain() -> Plain:
    wire = Plain.over_stdio(COMMAND)
    wire.popups = []
    return wire


@pytest.fixture
def fresh() -> Iterator[Plain]:
    with plain() as wire:
        yield wire


@pytest.fixture(scope="module")
def shared() -> Iterator[Plain]:
    with plain() as wire:
        wire.start({"workspace": {"configuration": True}})
        yield wire


@repairs("matches\nheaders in one letter case only")
def test_headers_in_one_letter_case(fresh: Plain) -> None:
    fresh.start()
    body = frame(request("a", "test/ping")).partition(b"\r\n\r\n")[2]
    fresh.send_bytes(b"content-length: %d\r\n\r\n" % len(body) + body + frame(request("b", "test/ping")))
    fresh.send_bytes(b"\r\n")  # from here on it is in step again
    still(fresh.silent_about("a", "b"), "headers in one letter case only")


@repairs("reads through the thread pool that handlers share")
def test_the_thread_pool_of_handlers_reads(shared: Plain) -> None:
    shared.send(request("busy", "test/busy"), request("ping", "test/ping"))
    seen = shared.answer("busy")["result"]
    assert shared.answer("ping")["result"] == "pong"
    still(not seen, "reads through the thread pool that handlers share")


@repairs("takes every nested object\nwith a `jsonrpc` key for a message")
def test_nested_objects_that_look_like_messages(shared: Plain) -> None:
    inner = {"jsonrpc": "2.0", "id": 9, "method": "test/ping"}
    shared.send(request("a", "workspace/executeCommand", {"command": "unknown", "arguments": [inner]}))
    still(shared.silent_about("a"), "takes every nested object with a `jsonrpc` key for a message")
    shared.popped_up()


@repairs("a client that stops reading blocks the event loop in it")
def test_the_writer_has_no_queue() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        with pytest.raises(BlockingIOError), io.FileIO(writing, "wb", closefd=False) as raw:
            StdoutWriter(io.BufferedWriter(raw, 1)).write(b"x" * 10**6)
    except BaseException as error:
        raise AssertionError("pygls' writer has a queue now: see dlm_lsp/server/stdio.py") from error
    finally:
        os.close(reading)
        os.close(writing)


@repairs("mirror splits lines at more\n# characters than the protocol does and clamps wrongly")
@pytest.mark.parametrize(("text", "line", "character"), [("a\u2028b\nc", 1, 0), ("ab\ncd", 1, 9), ("a\x0cb\nc", 1, 1)])
def test_the_mirror(shared: Plain, tmp_path: Path, text: str, line: int, character: int) -> None:
    paper = Paper(shared, tmp_path / "a.dlm")
    paper.open(text)
    place = {"line": line, "character": character}
    change = {"range": {"start": place, "end": place}, "text": "X"}
    paper.change(change)
    mirrored = shared.ask("test/text", {"uri": paper.uri})
    still(mirrored != reference.changed(text, change, "utf-16"), "mirror splits lines at more characters")
    paper.close()


@repairs("`exit`, because it raises SystemExit inside a handler,\n# which loses the exit code")
def test_exit_without_shutdown(fresh: Plain) -> None:
    fresh.start()
    fresh.send(notification("exit"))
    still(fresh.exit_code() == 0, "`exit`, because it raises SystemExit inside a handler")


@repairs("progress cancel, because it warns about tokens that it does not know")
def test_cancelled_progress(shared: Plain) -> None:
    shared.send(notification("window/workDoneProgress/cancel", {"token": "ended"}))
    shared.log.until("WARNING.*unknown token ended")


@repairs("keeps what belongs to a request that is never answered")
def test_requests_that_are_never_answered(shared: Plain) -> None:
    shared.replies["workspace/configuration"] = lambda params: SILENT
    _, before = shared.ask("test/kept")
    assert shared.ask("test/ask") == "no answer"
    _, after = shared.ask("test/kept")
    shared.replies.clear()
    still(after > before, "keeps what belongs to a request that is never answered")


@repairs("shows a popup and answers nothing")
def test_malformed_json(shared: Plain) -> None:
    shared.send(b'{"jsonrpc": ')
    still(shared.silent_about(None) and shared.popped_up(), "shows a popup and answers nothing")


@repairs("shows a popup for a batch, which LSP does not have, and ignores other versions")
def test_batches_and_other_versions(shared: Plain) -> None:
    shared.send([request("a", "test/ping")])
    still(shared.silent_about("a", None) and shared.popped_up(), "shows a popup for a batch")
    shared.send({"jsonrpc": "1.0", "id": "b", "method": "test/ping"})
    still(shared.silent_about("b"), "ignores other versions")


@repairs("takes it for a response; whoever forgot the method waits for ever")
def test_a_message_without_method_and_result(shared: Plain) -> None:
    shared.send({"jsonrpc": "2.0", "id": "a"})
    still(shared.silent_about("a"), "takes it for a response; whoever forgot the method waits for ever")
    shared.popped_up()


@repairs("response type would leave out an `id` that is null")
def test_an_error_without_id() -> None:
    error = types.ResponseErrorMessage(id=None, error=types.ResponseError(-32700, "x"))
    still("id" not in default_converter().unstructure(error), "response type would leave out an `id` that is null")


@repairs("drops the request, so that its sender waits for ever")
def test_requests_after_shutdown(fresh: Plain) -> None:
    fresh.start()
    fresh.send(request("end", "shutdown"), request("a", "test/ping"), notification("exit"))
    assert fresh.answer("end")["result"] is None
    assert fresh.exit_code() == 0
    still(fresh.channel.read(0.0) == b"", "drops the request, so that its sender waits for ever")


@repairs("executes it, or fails with an internal error", "starts over")
def test_requests_before_and_initialize_after_initialize(fresh: Plain) -> None:
    fresh.send(request("a", "test/ping"))
    still(fresh.answer("a").get("result") == "pong", "executes it, or fails with an internal error")
    fresh.start()
    again = {"processId": None, "capabilities": {}, "rootUri": None}
    fresh.send(request("b", "initialize", again))
    still("result" in fresh.answer("b"), "starts over")


@repairs("takes it for the notification, and its sender waits for ever")
def test_a_notification_with_an_id(shared: Plain) -> None:
    item = {"uri": "file:///nowhere.dlm", "languageId": "dlm", "version": 1, "text": ""}
    shared.send(request("a", "textDocument/didOpen", {"textDocument": item}))
    still(shared.silent_about("a"), "takes it for the notification, and its sender waits for ever")
    shared.popped_up()


@repairs("looks at the params first, and shows a popup if they are unfit", "answers nothing and shows a popup")
def test_params_that_do_not_fit(shared: Plain) -> None:
    shared.send(request("a", "textDocument/completion", {"a": 1}))
    still(shared.silent_about("a") and shared.popped_up(), "looks at the params first")
    shared.send(request("b", "textDocument/hover", {"a": 1}))
    still(shared.silent_about("b") and shared.popped_up(), "answers nothing and shows a popup")


@repairs("drops responses after shutdown")
def test_responses_after_shutdown() -> None:
    server = LanguageServer("plain", "1")
    server.protocol._shutdown = True
    asked = server.protocol.send_request("test/question", msg_id="a")
    server.protocol.handle_message(JsonRPCResponseMessage("a", "2.0", None))  # type: ignore[arg-type]
    still(not asked.done(), "drops responses after shutdown")


@repairs("keeps\n        the request waiting for ever when the response is unfit")
def test_a_response_that_does_not_fit(shared: Plain) -> None:
    shared.replies["workspace/configuration"] = lambda params: 5
    told = shared.ask("test/ask")
    shared.replies.clear()
    shared.popped_up()
    still(told == "no answer", "keeps the request waiting for ever when the response is unfit")


@repairs("offers kinds of code actions also to clients that know commands only")
def test_code_action_kinds(shared: Plain) -> None:
    offered = shared.result["capabilities"]["codeActionProvider"]
    still(isinstance(offered, dict), "offers kinds of code actions also to clients that know commands only")


@repairs("walks through the pending requests while cancelling them removes them")
def test_shutdown_while_a_command_goes_on(fresh: Plain) -> None:
    fresh.start()
    fresh.send(request("forever", "workspace/executeCommand", {"command": "test.forever", "arguments": []}))
    assert fresh.ask("test/ping") == "pong"
    fresh.send(request("end", "shutdown"))
    still("error" in fresh.answer("end"), "walks through the pending requests while cancelling them removes them")


@repairs("keeps the future of every asynchronous notification and nested handler for ever")
def test_asynchronous_notifications(shared: Plain) -> None:
    before, _ = shared.ask("test/kept")
    shared.send(*(notification("test/note") for _ in range(20)))
    after, _ = shared.ask("test/kept")
    assert shared.ask("test/ping") == "pong"
    after, _ = shared.ask("test/kept")
    still(after - before >= 20, "keeps the future of every asynchronous notification and nested handler for ever")


@repairs("warns about the usual case, that the request had been answered already", "lets the client\n        cancel")
def test_cancels(shared: Plain) -> None:
    shared.send(notification("$/cancelRequest", {"id": "answered"}))
    shared.log.until('WARNING.*unknown message id "answered"')
    shared.replies["workspace/configuration"] = lambda params: SILENT
    shared.send(request("a", "test/ask"))
    asked = shared.until(lambda message: message.get("method") == "workspace/configuration")["id"]
    shared.send(notification("$/cancelRequest", {"id": asked}))
    told = shared.answer("a").get("result")
    shared.replies.clear()
    still(told == "cancelled by the client", "lets the client cancel the server's requests")


@repairs("shows a popup. An author can do nothing about it")
def test_errors_of_handlers(shared: Plain) -> None:
    shared.send(notification("test/fail"))
    assert shared.ask("test/ping") == "pong"
    still(shared.popped_up(), "shows a popup. An author can do nothing about it")


@repairs("logs whole messages, and so texts")
def test_logs(shared: Plain) -> None:
    shared.log.until("INFO.*Sending data: .*pong")


def test_every_repair_has_its_test_here() -> None:
    source = inspect.getsource(protocol)
    for words, test in REPAIRED.items():
        assert words in source, f"no repair says {words!r}: {test} can go"
    tested = [source.index(words) for words in REPAIRED]
    body = source.partition("import annotations")[2]
    for comment in re.finditer(r"\b[Uu]pstream\b", body):
        at = source.index(body) + comment.start()
        assert any(at < place < at + 200 for place in tested), f"no test for: {source[at : at + 100]!r}"


def test_no_repair_hides_elsewhere() -> None:
    """Only the repairs speak of upstream, and only they and the wiring touch pygls' protocol."""
    folder = Path(dlm_lsp.server.__file__).parent
    for path in folder.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        if path.name != "protocol.py":
            assert not re.search(r"\bupstream\b", source, re.IGNORECASE), path.name
            assert not re.search(r"pygls\.(io_|uris|workspace|server|lsp)", source), path.name
