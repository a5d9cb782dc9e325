"""The fuzzer of messages can say everything that the server answers, so that it gets behind the door."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dlm_lsp.server.framing import FrameDecoder
from tests.fuzz.choices import Choices
from tests.fuzz.targets import messages

SIMPLEST = Choices(b"")
UNFIT = (-32601, -32602, -32700, -32600)
REFUSED = {"textDocument/rename": "Only the names of adapters can be renamed."}  # understood, and no place for it


@pytest.mark.parametrize("method", [method for method in messages.served() if messages.is_request(method)])
def test_each_request_of_the_server_is_said_in_a_way_that_it_takes(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[bytes] = []
    monkeypatch.setattr(messages, "_answered", lambda bodies, data: said.append(data))
    opened = messages.params_of(SIMPLEST, "textDocument/didOpen")
    before = [
        ("initialize", messages.params_of(SIMPLEST, "initialize"), 0),
        ("initialized", {}, None),
        ("textDocument/didOpen", opened, None),
    ]
    asked = [*before, (method, messages.params_of(SIMPLEST, method), 1)]
    bodies = [_body(*each) for each in (asked if method != "initialize" else before[:1])]
    messages._loop().run_until_complete(messages._spoken(bodies))

    answers = [each for each in map(json.loads, FrameDecoder().feed(said[0])) if "method" not in each]
    assert len(answers) == len([body for body in bodies if b'"id"' in body])
    error = answers[-1].get("error", {})
    assert error.get("code") not in UNFIT or error["message"] == REFUSED.get(method), answers[-1]


def test_every_method_that_is_registered_is_fuzzed() -> None:
    assert {"dlm/ask", "dlm/answers", "dlm/sectionStates", "dlm/history"} <= set(messages.served())
    assert set(messages.served()) <= set(messages._methods())


def _body(method: str, params: Any, identity: int | None) -> bytes:
    return messages._encoded(messages._request(method, params, identity))
