"""Answers of a session's adapter, piece by piece, with the keys and values of earlier tokens kept."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from typing import TYPE_CHECKING

from dlm_lsp.training.protocol import Control, GenerateRequest, LearnerError
from dlm_lsp.training.session import Session

if TYPE_CHECKING:
    import torch

_UNFINISHED = "\ufffd"  # what a tokenizer makes of the first bytes of a character whose last ones are to come


def generate(session: Session, request: GenerateRequest, control: Control) -> Iterator[str]:
    """Yields the answer until an end token, the number of tokens or the end of the context.

    A stop ends it after the token in flight. Raises LearnerError.
    """
    import torch

    tokens = session.row_maker.prompt(request.prompt, request.session.system_prompt)
    room = session.base.context_length - len(tokens)
    if room <= 0:
        raise LearnerError(
            f"The question has {len(tokens)} tokens, but the base model reads {session.base.context_length} "
            "at most, answer included. Ask a shorter one.",
            code="question-too-long",
        )
    end_tokens = session.row_maker.end_tokens
    generator = torch.Generator().manual_seed(request.seed)
    session.model.eval()
    answer: list[int] = []
    told = 0  # characters of the answer already yielded
    name, cache = _cache_name(session), None
    coming = tokens
    for _ in range(min(request.max_new_tokens, room)):
        if control.stop_requested():
            return
        last = torch.tensor([len(coming) - 1], device=session.base.device.kind)
        ids = torch.tensor([coming], device=session.base.device.kind)
        # Generators suspend between tokens: no mode may be left on while somebody else's code runs.
        with torch.no_grad(), session.stepper.logits_at.places(last):
            out = session.model(input_ids=ids, use_cache=True, **{name: cache})
        cache = getattr(out, name)
        token = _choose(out.logits[0].float().cpu(), request, generator)
        if token in end_tokens:
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
