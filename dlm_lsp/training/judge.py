"""When a row counts as learned, judged by what its own training steps measured. No passes of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.protocol import LessonResult
from dlm_lsp.training.rows import Row

CONFIRMATIONS = 2  # so often in a row must an exchange be exact
EXACT_LOSS = 0.5  # nats per token: above it, twice as often
PROSE_FALL = 0.6  # of its first loss
PROSE_TIMES = 12  # or so often seen


@dataclass(frozen=True, slots=True)
class Measured:
    """What one step saw of one row, before it changed the weights: `loss` in nats per target token."""

    row: Row
    loss: float
    exact: bool  # each target token was the most likely one


@dataclass(slots=True)
class _Seen:
    targets: int
    kind: str
    times: int = 0
    first_loss: float | None = None
    last_loss: float | None = None
    streak: int = 0  # confirmations in a row that it is exact

    def add(self, measured: Measured) -> None:
        self.times += 1
        if self.first_loss is None:
            self.first_loss = measured.loss
        self.last_loss = measured.loss
        self.streak = self.streak + 1 if measured.exact else 0

    def look(self, measured: Measured) -> None:
        """What the weights say without dropout is the truth of it: worth as much as confirmations by steps."""
        self.last_loss = measured.loss
        self.streak = self.streak + CONFIRMATIONS if measured.exact else 0

    @property
    def learned(self) -> bool:
        if self.first_loss is None or self.last_loss is None:
            return False
        # Where a base hardly tells some characters from others the loss stays high, however surely the right one leads.
        sure = self.streak >= (CONFIRMATIONS if self.last_loss <= EXACT_LOSS else 2 * CONFIRMATIONS)
        if self.kind == "exchange" or sure:
            return sure
        return self.times >= PROSE_TIMES or self.last_loss <= PROSE_FALL * self.first_loss


@dataclass(slots=True)
class Judge:
    """Keeps what was measured: of the fresh rows, which it judges, and of those that were rehearsed beside them."""

    rows: tuple[Row, ...]
    _seen: dict[tuple[str, int], _Seen] = field(init=False)
    _rehearsed: dict[str, dict[int, _Seen]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._seen = {(row.identity, row.index): _Seen(row.targets, row.kind) for row in self.rows}

    def revise(self, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        """Judges `rows` from now on; what was measured of rows before stays. Returns those that are new."""
        new = tuple(row for row in rows if (row.identity, row.index) not in self._seen)
        for row in new:
            self._seen[row.identity, row.index] = _Seen(row.targets, row.kind)
        self.rows = rows
        return new

    def add(self, step: Iterable[Measured]) -> None:
        """Takes in what one optimizer step measured."""
        for measured in step:
            seen = self._seen.get((measured.row.identity, measured.row.index))
            if seen is None:
                row = measured.row
                rows = self._rehearsed.setdefault(row.identity, {})
                seen = rows.setdefault(row.index, _Seen(row.targets, row.kind))
            seen.add(measured)

    def look(self, seen: Iterable[Measured]) -> None:
        """Takes in what a look at fresh rows measured, without dropout and without changing the weights."""
        for measured in seen:
            self._seen[measured.row.identity, measured.row.index].look(measured)

    def learned(self, row: Row) -> bool:
        return self._seen[row.identity, row.index].learned

    def nearly(self, measured: Measured) -> bool:
        """Whether it is a new exchange that is not learned yet, and so near that a look is worth its cost."""
        seen = self._seen.get((measured.row.identity, measured.row.index))
        near = measured.exact or measured.loss <= EXACT_LOSS
        return near and seen is not None and seen.kind == "exchange" and not seen.learned

    def pending(self) -> list[Row]:
        """The rows that are not learned yet."""
        return [row for row in self.rows if not self.learned(row)]

    def rehearsed(self, held: Mapping[str, int]) -> tuple[LessonResult, ...]:
        """What was measured of known lessons; `held` counts the steps of each. They stay as learned as they were."""
        return tuple(
            _rehearsed(identity, tuple(rows.values()), held[identity]) for identity, rows in self._rehearsed.items()
        )

    def result(self, lesson: Lesson, times_seen: int) -> LessonResult:
        """What the run did for `lesson`; `times_seen` counts the steps that held one of its rows."""
        seen = [each for key, each in self._seen.items() if key[0] == lesson.identity]
        return LessonResult(
            identity=lesson.identity,
            times_seen=times_seen,
            complete=all(each.times for each in seen),
            learned=all(each.learned for each in seen),
            loss_before=_mean([(each.first_loss, each.targets) for each in seen]),
            loss_after=_mean([(each.last_loss, each.targets) for each in seen]),
        )


def _rehearsed(identity: str, seen: Collection[_Seen], times_seen: int) -> LessonResult:
    return LessonResult(
        identity=identity,
        times_seen=times_seen,
        complete=True,
        learned=True,
        loss_before=_mean([(each.first_loss, each.targets) for each in seen]),
        loss_after=_mean([(each.last_loss, each.targets) for each in seen]),
    )


def _mean(losses: list[tuple[float | None, int]]) -> float | None:
    """Per token, over the rows that were seen."""
    known = [(loss, targets) for loss, targets in losses if loss is not None]
    tokens = sum(targets for _, targets in known)
    return sum(loss * targets for loss, targets in known) / tokens if tokens else None
