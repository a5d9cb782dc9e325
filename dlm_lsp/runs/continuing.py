"""Whether a cycle that its cap ended is gone on with when the document is at rest (`dlm.continueWhenIdle`). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dlm_lsp.runs import events
from dlm_lsp.runs.telling import count, left_unlearned

AFTER = 2.0  # seconds of rest before it goes on: a save that comes meanwhile is taken along
IN_VAIN = 3  # runs in a row that learned nothing more: then it is given up until the next save


GIVEN_UP = (
    f"{IN_VAIN} runs in a row learned nothing more, so it goes on at the next save; "
    "try Full Retrain, a larger lora_r or another base"
)


@dataclass(slots=True)
class Continuing:
    """Of one document: how many lessons the last capped run left, and how often that did not become less."""

    left: int | None = None
    in_vain: int = 0

    @property
    def given_up(self) -> bool:
        """Whether something is left that several runs did not learn."""
        return bool(self.left) and self.in_vain >= IN_VAIN

    def after(self, event: events.Event) -> str:
        """What the next run goes on with, such as `going on with 3 lessons`; empty if there is nothing to go on with.

        Told of every end of a run.
        """
        if not isinstance(event, events.Finished) or event.learned.end != "cap":
            self.left, self.in_vain = None, 0
            return ""
        left = left_unlearned(event.learned)
        self.in_vain = self.in_vain + 1 if self.left is not None and left >= self.left else 0
        self.left = left
        if left == 0 or self.given_up:
            return ""
        return f"going on with {count(left, 'lesson')} that the cap left (dlm.continueWhenIdle)"
