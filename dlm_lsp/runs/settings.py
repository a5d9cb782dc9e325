"""What the deciding side can be told: the values, without the editor's or the command line's names for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlm_lsp.training.protocol import LearnerMode

OnSave = Literal["train", "mark", "off"]
OnShapeChange = Literal["ask", "retrain"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """`debounce_ms` is the quiet time after a save, `max_wait_ms` the longest a burst can put a run off.

    `min_interval_seconds` is the rest between the end of a run and the next one that a save asks for.
    `stop_deadline_seconds`: a run that was asked to stop and has not by then counts as stuck.
    """

    on_save: OnSave = "train"
    train_on_auto_save: bool = False
    max_steps: int = 100
    debounce_ms: int = 400
    max_wait_ms: int = 5000
    min_interval_seconds: float = 0.0
    stop_deadline_seconds: float = 300.0
    home: Path | None = None  # None: $DLM_HOME, or the format's default
    keep_warm_minutes: float = 30.0
    keep_versions: int = 10
    warm_on_open: bool = True
    forgetting_margin: float = 0.3  # nats per token
    learner: LearnerMode = "thread"
    on_shape_change: OnShapeChange = "ask"
    retrain_on_config: bool = False
    hooks: bool = False  # whether the code in hooks files is run
    continue_when_idle: bool = False
