"""What a request may say: each parameter is honoured, known to change nothing, or refused by its name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlm_lsp.serving.chat import Chat, chat
from dlm_lsp.serving.errors import ApiError
from dlm_lsp.training.protocol import Turn

HELLO = {"role": "user", "content": "Hello?"}


def asked(**parameters: Any) -> Chat:
    return chat({"model": "notes", "messages": [HELLO], **parameters})


def refused(**parameters: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        asked(**parameters)
    assert error.value.status == 400
    assert len(str(error.value)) > 10
    return error.value


def test_the_least_request_is_answered_greedily() -> None:
    assert asked() == Chat(model="notes", prompt="Hello?", max_new_tokens=256, temperature=0.0, top_p=1.0, seed=0)


def test_everything_that_is_honoured() -> None:
    assert asked(
        temperature=0.5, top_p=0.9, max_tokens=7, seed=-3, stop=["\n", "END"], stream=True, n=1,
        stream_options={"include_usage": True},
    ) == Chat(
        model="notes", prompt="Hello?", max_new_tokens=7, temperature=0.5, top_p=0.9, seed=-3, stop=("\n", "END"),
        stream=True, usage_in_stream=True,
    )  # fmt: skip


def test_the_newer_name_of_the_longest_answer_wins() -> None:
    assert asked(max_tokens=7, max_completion_tokens=9).max_new_tokens == 9
    assert asked(max_completion_tokens=None, max_tokens=7).max_new_tokens == 7


def test_one_stop_may_be_a_text() -> None:
    assert asked(stop="END").stop == ("END",)
    assert asked(stop=None).stop == ()


def test_what_was_said_before_is_told_in_turns() -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]},
        {"role": "user", "content": "One?", "name": "Ada"},
        {"role": "assistant", "content": "1", "refusal": None, "tool_calls": [], "audio": None},
        {"role": "user", "content": "Two?"},
        {"role": "user", "content": "And three?"},
    ]
    told = asked(messages=messages)
    assert told.system == "Be brief.\n\nBe kind."
    assert told.earlier == (Turn("user", "One?"), Turn("assistant", "1"))
    assert told.prompt == "Two?\n\nAnd three?"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ("Hello", "messages"),
        (["Hello"], "messages[0]"),
        ([{"role": "tool", "content": "x"}], "messages[0].role"),
        ([{"content": "x"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": "  "}], "messages[0].content"),
        ([{"role": "user", "content": "half \ud800"}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0]"),
        ([HELLO, {"role": "assistant", "content": "x"}], "messages[1].role"),
        ([{"role": "assistant", "content": "x"}, HELLO], "messages[0].role"),
        ([{"role": "system", "content": "x"}], "messages[0].role"),
        ([HELLO, {"role": "system", "content": "x"}, HELLO], "messages[1]"),
        ([{**HELLO, "tool_calls": [{"id": "1"}]}], "messages[0].tool_calls"),
    ],
)
def test_messages_that_cannot_be_answered(messages: Any, param: str) -> None:
    assert refused(messages=messages).param == param


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("temperature", value) for value in (-0.1, 2.1, "0", True, float("nan"))),
        *(("top_p", value) for value in (-0.1, 1.1, [], False)),
        *(("max_tokens", value) for value in (0, -1, 1.5, "7", True, 2**40)),
        *(("max_completion_tokens", value) for value in (0, 2**40)),
        *(("seed", value) for value in (1.0, "x", 2**63)),
        *(("stop", value) for value in ("", [""], ["a"] * 5, 3, [3])),
        *(("stream", value) for value in (1, "yes")),
        *(("stream_options", value) for value in ({"other": True}, {"include_usage": 1}, True)),
        *(("n", value) for value in (2, 0, True, "1")),
        ("model", 3),
        ("tools", [{"type": "function"}]),
        ("logprobs", True),
        ("frequency_penalty", 0.5),
        ("logit_bias", {"50256": -100}),
        ("response_format", {"type": "json_object"}),
        ("modalities", ["text", "audio"]),
        ("best_off", 1),
    ],
)
def test_a_value_that_cannot_be_honoured_is_refused_by_its_name(key: str, value: Any) -> None:
    error = refused(**{key: value})
    assert error.param == key
    assert f"`{key}`" in str(error) or repr(key) in str(error)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("frequency_penalty", 0.0),
        ("presence_penalty", 0),
        ("logit_bias", {}),
        ("logprobs", False),
        ("tools", []),
        ("tool_choice", "none"),
        ("response_format", {"type": "text"}),
        ("n", 1),
        ("user", "ada"),
        ("metadata", {"run": "3"}),
        ("store", False),
        ("temperature", None),
        ("anything at all", None),
    ],
)
def test_what_asks_for_nothing_special_is_taken(key: str, value: Any) -> None:
    assert asked(**{key: value}) == asked()


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_what_every_request_needs(missing: str) -> None:
    with pytest.raises(ApiError) as error:
        chat({key: value for key, value in {"model": "notes", "messages": [HELLO]}.items() if key != missing})
    assert error.value.param == missing


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
PARAMETERS = st.sampled_from(
    ["model", "messages", "temperature", "stop", "stream_options", "seed", "tools", "role", "x"]
)


@given(st.dictionaries(PARAMETERS, JSON, max_size=5) | JSON)
def test_no_body_does_more_than_be_refused(body: Any) -> None:
    try:
        assert isinstance(chat(body), Chat)
    except ApiError as error:
        assert error.status == 400
        assert error.response().body
