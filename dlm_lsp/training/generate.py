"""Answers of a session's adapter, piece by piece, with the keys and values of earlier tokens kept."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING

from dlm_lsp.training.protocol import AnswerEnd, Control, GenerateRequest, LearnerError, Spoken, Unwatched
from dlm_lsp.training.session import Session
from dlm_lsp.training.speaking import aside

if TYPE_CHECKING:
    import torch

_UNFINISHED = "\ufffd"  # what a tokenizer makes of the first bytes of a character whose last ones are to come


def generate(session: Session, request: GenerateRequest, control: Control) -> Generator[str, None, Spoken]:
    """Yields the answer of the weights as they are, until an end token, the number of tokens or the context's end.

    The model is in the mode for answering (see `speaking.aside`). Of a conversation that does not fit into the context
    its oldest turns are left out. A stop ends the answer after the token in flight. Raises LearnerError.
    """
    import torch

    tokens = _prompt(session, request)
    most = min(request.max_new_tokens, session.base.context_length - len(tokens))
    end_tokens = session.row_maker.end_tokens
    generator = torch.Generator().manual_seed(request.seed)
    answer: list[int] = []
    told = 0  # characters of the answer already yielded
    name, cache = _cache_name(session), None
    coming = tokens
    end: AnswerEnd = "length"
    for _ in range(most):
        if control.stop_requested():
            return Spoken("stopped", len(tokens), len(answer))
        last = torch.tensor([len(coming) - 1], device=session.base.device.kind)
        ids = torch.tensor([coming], device=session.base.device.kind)
        # Generators suspend between tokens: no mode may be left on while somebody else's code runs.
        with torch.no_grad(), session.stepper.logits_at.places(last):
            out = session.model(input_ids=ids, use_cache=True, **{name: cache})
        cache = getattr(out, name)
        token = _choose(out.logits[0].float().cpu(), request, generator)
        if token in end_tokens:
            end = "end"
            break
        answer.append(token)
        coming = [token]
        text = session.base.tokenizer.decode(answer, skip_special_tokens=True)
        if len(text) > told and not text.endswith(_UNFINISHED):
            yield text[told:]
            told = len(text)
    rest = session.base.tokenizer.decode(answer, skip_special_tokens=True)[told:]
    if rest:
        yield rest
    return Spoken(end, len(tokens), len(answer))


def greedy(session: Session, prompt: str, system_prompt: str | None, max_new_tokens: int = 128) -> str:
    """The most likely answer of an open session's weights as they are (inside `speaking_as`: of that version).

    What is learned is as before afterwards. Raises LearnerError.
    """
    request = GenerateRequest(replace(session.request, system_prompt=system_prompt), prompt, max_new_tokens)
    with aside(session):
        return "".join(generate(session, request, Unwatched()))


def _prompt(session: Session, request: GenerateRequest) -> list[int]:
    """The tokens that are read before the answer begins. Raises LearnerError."""
    context = session.base.context_length
    wanted = context - min(request.max_new_tokens, context // 4)
    earlier = request.earlier
    while True:
        tokens = session.row_maker.prompt(request.prompt, request.session.system_prompt, earlier)
        if not earlier or len(tokens) <= wanted:
            break
        earlier = earlier[1:]
        while earlier and earlier[0].role == "assistant":  # a conversation begins with a question
            earlier = earlier[1:]
    if len(tokens) >= context:
        raise LearnerError(
            f"The question has {len(tokens)} tokens, but the base model reads {context} "
            "at most, answer included. Ask a shorter one.",
            code="question-too-long",
        )
    return tokens


def _cache_name(session: Session) -> str:
    """What the model calls its kept keys and values: transformers 5.24 renamed them, and warns of the old name."""
    return "cache" if "cache" in signature(session.base.model.forward).parameters else "past_key_values"


def _choose(logits: torch.Tensor, request: GenerateRequest, generator: torch.Generator) -> int:
    """The most likely token, or one drawn from the smallest set with probability `top_p` (nucleus)."""
    import torch

    if request.temperature <= 0:
        return int(logits.argmax())
    chances, order = torch.softmax(logits / request.temperature, -1).sort(descending=True)
    kept = (chances.cumsum(-1) - chances) < request.top_p
    kept[0] = True
    return int(order[torch.multinomial(chances * kept, 1, generator=generator)])
