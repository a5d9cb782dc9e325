"""Does once, on nothing, what a run does, so that the first save after opening is no slower than the tenth.

What is slow the first time: modules that are imported late, the chat template that is compiled, kernels that are chosen
and memory that is taken when they are first needed. Neither weights nor moments nor random generators change.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.optimizer import adamw
from dlm_lsp.training.protocol import LearnerError
from dlm_lsp.training.session import Session
from dlm_lsp.training.speaking import aside

log = logging.getLogger(__name__)

# A usual step; of a base of more than so many parameters fewer rows, as what counts is that it was made.
_ROWS, _LENGTH, _SMALL = 8, 48, 20_000_000
_TIMES = 2  # what the first one takes from the system, the second one finds in the process
_LESSON = Lesson("", "", "exchange", "Is this an exercise?", "Yes.")


def exercise(session: Session) -> None:
    """To be called on a prepared session, while nobody waits."""
    from dlm_lsp.training import guard, loop  # noqa: F401 - a run would import them

    with suppress(LearnerError):  # a base for texts only has no template: the run says so, if there is an exchange
        session.rows(_LESSON)
        session.keep_rows_of(())
    with aside(session):
        try:
            _steps(session)
        except (MemoryError, RuntimeError) as error:  # a run has smaller steps for that
            log.info("a usual step could not be exercised: %s", str(error).splitlines()[0][:200])
        session.stepper.optimizer.zero_grad(set_to_none=True)
    session.files(0.0)


def _steps(session: Session) -> None:
    """Forward, backward and, on a number of its own, the optimizer."""
    import torch

    session.model.train()
    rows = max(1, min(_ROWS, _ROWS * _SMALL // session.base.parameters))
    tokens = torch.zeros((rows, min(_LENGTH, session.base.context_length)), dtype=torch.long)
    tokens = tokens.to(session.base.device.kind)
    answers = torch.arange(0, tokens.numel(), 4, device=tokens.device)
    for _ in range(_TIMES):
        with session.stepper.logits_at.places(answers):
            logits = session.model(input_ids=tokens, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.float(), torch.zeros_like(answers), reduction="none")
        torch.autograd.backward(loss.sum())
    spare = torch.nn.Parameter(torch.zeros(1, device=tokens.device))
    spare.grad = torch.zeros_like(spare)
    torch.nn.utils.clip_grad_norm_([spare], 1.0)
    adamw([[spare]]).step()
