"""What a session's weights know: greedy exactness, loss and rank of each lesson, and the drift from the base."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.batches import micro_batches
from dlm_lsp.training.rows import Row
from dlm_lsp.training.session import Session

_ROWS, _TOKENS = 32, 8192  # in one forward pass
_NEUTRAL = (
    "The train left the station a few minutes late, and the passengers looked out at the fields.",
    "Water boils at a lower temperature on a mountain than it does beside the sea.",
    "She put the book back on the shelf, closed the window, and went down to the kitchen.",
    "If the door does not open, check whether the key is the right one and try again.",
    "Many birds fly south in autumn and come back when the days grow longer.",
    "To make soup, cut the vegetables, add water and salt, and let it cook for an hour.",
)


@dataclass(frozen=True, slots=True)
class Look:
    """`exact`: greedy generation gives the taught answer and ends. `rank` of the first answer token, from 1."""

    exact: bool
    loss: float  # nats per token of the answer
    rank: int


def look(session: Session, lessons: Iterable[Lesson]) -> dict[str, Look]:
    """By identity. Forward passes only, many rows in each; all else stays as it is.

    Every token of an answer being the most likely one after those before it is what makes greedy generation give it.
    """
    found: dict[str, list[tuple[Row, Look]]] = {}
    for row, losses, ranks in _forward(session, [row for lesson in lessons for row in session.rows(lesson)]):
        seen = Look(bool((ranks == 1).all()), float(losses.mean()), int(ranks[0]))
        found.setdefault(row.identity, []).append((row, seen))
    return {identity: _whole(rows) for identity, rows in found.items()}


def held_out(session: Session, lessons: Iterable[Lesson]) -> float | None:
    """Mean loss per token of texts, in windows that no step has: the last two thirds of each, after its first third."""
    rows = [row for lesson in lessons for row in session.rows(lesson)]
    cut = [Row(row.identity, row.kind, row.index, row.tokens, max(1, len(row.tokens) // 3)) for row in rows]
    losses = [float(loss) for _, found, _ in _forward(session, cut) for loss in found]
    return sum(losses) / len(losses) if losses else None


def drift(session: Session) -> float:
    """Mean divergence KL(base ‖ adapted) per token of neutral text, in nats."""
    import torch

    encode, model = session.base.tokenizer, session.model
    begin = session.base.tokenizer.bos_token_id
    total, count = 0.0, 0
    model.eval()
    for text in _NEUTRAL:
        ids = [*([begin] if begin is not None else []), *encode(text, add_special_tokens=False)["input_ids"]]
        tokens = torch.tensor([ids], device=session.base.device.kind)
        with torch.inference_mode():
            now = torch.log_softmax(model(input_ids=tokens, use_cache=False).logits[0].float(), -1)
            with model.disable_adapter():
                base = torch.log_softmax(model(input_ids=tokens, use_cache=False).logits[0].float(), -1)
        total += float((base.exp() * (base - now)).sum())
        count += len(ids)
    return total / count


def _forward(session: Session, rows: Sequence[Row]) -> Iterable[tuple[Row, Any, Any]]:
    """(row, loss of each target, rank of each target)."""
    import torch

    stepper = session.stepper
    session.model.eval()
    for batch in micro_batches(rows, _ROWS, _TOKENS, _TOKENS):
        tokens, places, targets, _ = stepper._tensors(batch, len(batch))
        with torch.inference_mode(), stepper.logits_at.places(places):
            logits = session.model(input_ids=tokens, use_cache=False).logits.float()
            own = logits.gather(1, targets[:, None])
            ranks = (logits > own).sum(1) + 1
            losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        counts = [row.targets for row in batch]
        yield from zip(batch, torch.split(losses, counts), torch.split(ranks, counts), strict=True)


def _whole(rows: Sequence[tuple[Row, Look]]) -> Look:
    tokens = sum(row.targets for row, _ in rows)
    loss = sum(seen.loss * row.targets for row, seen in rows) / tokens
    return Look(all(seen.exact for _, seen in rows), loss, rows[0][1].rank)
