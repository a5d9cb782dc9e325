"""A request for an answer: every parameter of the API is honoured, known to change nothing, or refused by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dlm_lsp.serving.errors import ApiError
from dlm_lsp.training.protocol import Turn

MAX_NEW_TOKENS = 256  # where a request does not say, as `dlm-lsp prompt` has it
_MOST_NEW_TOKENS = 2**31 - 1  # the base ends an answer long before
_MOST_STOPS = 4

# What these say changes no answer here.
_WITHOUT_EFFECT = {
    *("user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    *("store", "service_tier", "parallel_tool_calls"),
}
# What these ask for is not done here: they may only say that it is not wanted.
_NOT_WANTED: dict[str, tuple[object, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "web_search_options": (),
}


@dataclass(frozen=True, slots=True)
class Chat:
    """What is asked for. `system` None: what the document says. `earlier` is oldest first."""

    model: str
    prompt: str
    earlier: tuple[Turn, ...] = ()
    system: str | None = None
    max_new_tokens: int = MAX_NEW_TOKENS
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    stream: bool = False
    usage_in_stream: bool = False


def chat(body: Any) -> Chat:
    """What the JSON value `body` asks for. Raises ApiError 400, naming the parameter."""
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be one JSON object.")
    given = {key: value for key, value in body.items() if value is not None}
    _refuse_unsupported(given)
    for required in ("model", "messages"):
        if required not in given:
            raise ApiError(400, f"`{required}` is missing.", code="missing_required_parameter", param=required)
    system, earlier, prompt = _messages(given["messages"])
    longest = "max_completion_tokens" if "max_completion_tokens" in given else "max_tokens"
    return Chat(
        model=_taken(given, "model", _text, ""),
        prompt=prompt,
        earlier=earlier,
        system=system,
        max_new_tokens=_taken(given, longest, _whole(1, _MOST_NEW_TOKENS), MAX_NEW_TOKENS),
        temperature=_taken(given, "temperature", _number(0, 2), 0.0),
        top_p=_taken(given, "top_p", _number(0, 1), 1.0),
        seed=_taken(given, "seed", _whole(-(2**63), 2**63 - 1), 0),
        stop=_taken(given, "stop", _stops, ()),
        stream=_taken(given, "stream", _flag, False),
        usage_in_stream=_taken(given, "stream_options", _usage_wanted, False),
    )


_HONOURED = {
    *("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop"),
    *("stream", "stream_options", "n"),
}


def _refuse_unsupported(given: dict[str, Any]) -> None:
    for key, value in given.items():
        if key in _HONOURED or key in _WITHOUT_EFFECT or any(_same(value, each) for each in _NOT_WANTED.get(key, ())):
            continue
        if key in _NOT_WANTED:
            raise ApiError(
                400, f"`{key}` is not supported here: leave it out.", code="unsupported_parameter", param=key
            )
        shown = key[:100]
        raise ApiError(400, f"There is no parameter {shown!r}.", code="unknown_parameter", param=shown)
    if "n" in given and not _same(given["n"], 1):
        raise ApiError(400, "`n` must be 1: there is one answer to a request.", code="unsupported_parameter", param="n")


def _same(one: object, other: object) -> bool:
    """Equal, where True is not 1; numbers may be whole or not."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


# -- messages


def _messages(value: Any) -> tuple[str | None, tuple[Turn, ...], str]:
    """The system prompt, what was said before, and the question; messages of one role in a row are joined."""
    if not isinstance(value, list) or not value:
        raise ApiError(400, "`messages` must be a list of at least one message.", param="messages")
    said: list[tuple[str, str]] = []
    for index, message in enumerate(value):
        role, text = _message(message, f"messages[{index}]")
        if role == "system" and any(earlier != "system" for earlier, _ in said):
            raise ApiError(
                400,
                "System messages must stand before all others.",
                code="unsupported_value",
                param=f"messages[{index}]",
            )
        if role == "assistant" and (not said or said[-1][0] == "system"):
            raise ApiError(
                400, "The first message after the system's must be the user's.", param=f"messages[{index}].role"
            )
        if said and said[-1][0] == role:
            said[-1] = (role, f"{said[-1][1]}\n\n{text}")
        else:
            said.append((role, text))
    system = said.pop(0)[1] if said[0][0] == "system" else None
    if not said or said[-1][0] != "user":
        raise ApiError(400, "The last message must be the user's.", param=f"messages[{len(value) - 1}].role")
    earlier = tuple(Turn("user" if role == "user" else "assistant", text) for role, text in said[:-1])
    return system, earlier, said[-1][1]


def _message(message: Any, place: str) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise ApiError(400, "A message must be an object with `role` and `content`.", param=place)
    role = message.get("role")
    if role == "developer":  # the newer name
        role = "system"
    if role not in ("system", "user", "assistant"):
        raise ApiError(
            400,
            "The role of a message must be system, user or assistant.",
            code="unsupported_value",
            param=f"{place}.role",
        )
    for key, value in message.items():
        # Other tools send an answer back with all that it might have had, empty.
        if key not in ("role", "content", "name") and value not in (None, [], {}):
            shown = f"{place}.{key[:100]}"
            raise ApiError(400, f"`{shown}` is not supported here.", code="unsupported_parameter", param=shown)
    text = _content(message.get("content"), f"{place}.content")
    if role == "user" and not text.strip():
        raise ApiError(400, "A question must not be empty.", param=f"{place}.content")
    return role, text


def _content(value: Any, place: str) -> str:
    if isinstance(value, str):
        return _encodable(value, place)
    if not isinstance(value, list):
        raise ApiError(400, "The content of a message must be a text, or a list of parts of type text.", param=place)
    texts = []
    for index, part in enumerate(value):
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise ApiError(
                400,
                "Only parts of type text are supported.",
                code="unsupported_value",
                param=f"{place}[{index}]",
            )
        texts.append(_encodable(part["text"], f"{place}[{index}].text"))
    return "".join(texts)


def _encodable(text: str, place: str) -> str:
    """JSON can name halves of a character, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ApiError(400, "The text holds half a character (a lone surrogate).", param=place) from None
    return text


# -- values


def _taken(given: dict[str, Any], key: str, take: Callable[[Any], Any], default: Any) -> Any:
    """What `take` makes of the value; `take` returns a sentence's end in a ValueError."""
    if key not in given:
        return default
    try:
        return take(given[key])
    except ValueError as error:
        raise ApiError(400, f"`{key}` must be {error}.", code="invalid_value", param=key) from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a string")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def take(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return value

    return take


def _number(least: float, most: float) -> Callable[[Any], float]:
    def take(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise ValueError(f"a number from {least:g} to {most:g}")
        return float(value)

    return take


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value
    if (
        not isinstance(stops, list)
        or len(stops) > _MOST_STOPS
        or not all(isinstance(each, str) and each for each in stops)
    ):
        raise ValueError(f"a text that is not empty, or a list of at most {_MOST_STOPS} such")
    return tuple(stops)


def _usage_wanted(value: Any) -> bool:
    known = {"include_usage", "include_obfuscation"}
    if not isinstance(value, dict) or not value.keys() <= known or not all(isinstance(v, bool) for v in value.values()):
        raise ValueError("an object with nothing but `include_usage`")
    return bool(value.get("include_usage", False))
