"""How long a save takes until its version is committed, beside a bare PyTorch and peft loop on the same rows.

A document of twenty exchanges is learned, then one section is added for each measurement. The rate is written so
low that nothing is ever "learned", so that a run takes exactly its cap of steps. The bare loop gets the very rows
of the run's steps, the same adapter and optimizer, and writes adapter and moments to disk (fsynced) at its end.
Both take turns in one process; the debounce is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.documents import document, exchange
from benchmarks.figures import spread, table
from dlm_lsp.runs.events import Event, Failed, Finished
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.training import learner as learning
from dlm_lsp.training.rows import Row
from dlm_lsp.training.session import Session

_SLOW = "training:\n  learning_rate: 1.0e-7\n"


@dataclass
class Measured:
    """Seconds of each repetition, and the rows of the last run's steps."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


class Desk:
    """A supervisor with the real learner, and a record of the rows that its steps were given."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notes.dlm"
        self.text = document(20, seed=1, settings=_SLOW)
        self.home = folder / "home"
        self.learner = learning.create()
        self.supervisor = Supervisor(learner=lambda: self.learner, settings=self._settings(1))
        self.supervisor.subscribe(self._hear)
        self.last: Event | None = None
        self.steps: list[list[Row]] = []
        self._chance = random.Random(2)

    def _settings(self, steps: int) -> RunSettings:
        return RunSettings(home=self.home, debounce_ms=0, max_steps=steps, warm_on_open=False)

    def _hear(self, event: Event | None, status: DocumentStatus) -> None:
        self.last = event or self.last

    async def save(self, steps: int) -> float:
        """Adds a section and saves; seconds until its version is committed."""
        self.text += exchange(self._chance)
        self.path.write_text(self.text, encoding="utf-8")
        self.supervisor.configure(self._settings(steps))
        self.steps.clear()
        began = time.perf_counter()
        self.supervisor.saved(self.path, self.text)
        await self.supervisor.wait_for_idle(self.path)
        seconds = time.perf_counter() - began
        if isinstance(self.last, Failed):
            raise SystemExit(self.last.message)
        assert isinstance(self.last, Finished)
        assert self.last.learned.steps == steps
        return seconds

    def record(self) -> None:
        """From here on the rows of every step are kept."""
        take = Session.step

        def step(session: Session, rows: Sequence[Row], rate: float) -> Any:
            self.steps.append(list(rows))
            return take(session, rows, rate)

        Session.step = step  # type: ignore[method-assign, assignment]


class Bare:
    """What one would write by hand: the base, `get_peft_model`, AdamW, pad, forward, backward, step, save."""

    def __init__(self, folder: Path) -> None:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import LlamaForCausalLM

        base = Path(learning.__file__).parent / "builtin" / "tiny"
        torch.manual_seed(0)
        self.folder = folder / "bare"
        targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
        config = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.05, target_modules=targets, task_type="CAUSAL_LM")
        self.model: Any = get_peft_model(LlamaForCausalLM.from_pretrained(base, dtype=torch.float32), config)
        self.parameters = [each for each in self.model.parameters() if each.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-7, weight_decay=0.0)

    def run(self, steps: Sequence[Sequence[Row]]) -> float:
        """Seconds for these steps and the writing of their outcome."""
        import torch

        began = time.perf_counter()
        self.model.train()
        for rows in steps:
            longest = max(len(row.tokens) for row in rows)
            tokens = torch.zeros((len(rows), longest), dtype=torch.long)
            mask = torch.zeros_like(tokens)
            labels = torch.full_like(tokens, -100)
            for place, row in enumerate(rows):
                tokens[place, : len(row.tokens)] = torch.tensor(row.tokens)
                mask[place, : len(row.tokens)] = 1
                labels[place, row.first_target : len(row.tokens)] = torch.tensor(row.tokens[row.first_target :])
            self.model(input_ids=tokens, attention_mask=mask, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.model.save_pretrained(self.folder)
        torch.save(self.optimizer.state_dict(), self.folder / "optimizer.pt")
        for written in self.folder.iterdir():
            with written.open("rb") as file:
                os.fsync(file.fileno())
        return time.perf_counter() - began


async def measure(steps: Sequence[int], repetitions: int, folder: Path) -> dict[int, Measured]:
    desk = Desk(folder)
    desk.supervisor.start(asyncio.get_running_loop())
    await desk.save(1)  # imports, loads, writes the first version
    desk.record()
    await desk.save(2)
    bare = Bare(folder)
    bare.run(desk.steps)
    found = {count: Measured() for count in steps}
    for _ in range(repetitions):
        for count in steps:
            found[count].ours.append(await desk.save(count))
            found[count].bare.append(await asyncio.to_thread(bare.run, list(desk.steps)))
    await desk.supervisor.shutdown()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = asyncio.run(measure(options.steps, options.repetitions, Path(place).resolve()))
    rows = [
        [
            str(count),
            spread(each.ours),
            spread(each.bare),
            f"{statistics.median(ours / bare for ours, bare in zip(each.ours, each.bare, strict=True)):.2f}",
        ]
        for count, each in found.items()
    ]
    print(table(["steps", "save → version", "bare loop", "ratio (median of pairs)"], rows))


if __name__ == "__main__":
    main()
