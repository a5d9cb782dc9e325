"""How long a save takes until its version is committed, beside a bare PyTorch and peft loop on the same rows.

A document of twenty exchanges is learned, then one section is added for each measurement. The rate is written so
low that nothing is ever "learned", so that a run takes exactly its cap of steps. The bare loop gets the very rows
of the run's steps, the same adapter and optimizer, and writes adapter and moments to disk (fsynced) at its end: once as
anybody writes it, and once with this program's faster products and dropout, so that the rest is seen. All take turns in
one process with the same number of threads; the debounce is not counted. Beside the ratio on the clock stands that of
processor time, which leaves out waiting for the disk and hardly minds what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import spread
from benchmarks.speed.bases import SIZES, base, reference
from benchmarks.speed.desk import Desk, Took
from benchmarks.speed.table import Row as Line
from benchmarks.speed.table import show
from dlm_lsp.training.rows import Row

TARGETS = {"tiny": 1.10, "20m": 1.10}  # from 50 million parameters on _TARGET
_TARGET = 1.03


@dataclass
class Measured:
    """Each repetition: ours, a bare loop's, and one's with our products and dropout."""

    ours: list[Took] = field(default_factory=list)
    bare: list[Took] = field(default_factory=list)
    quick: list[Took] = field(default_factory=list)


class Bare:
    """What one would write by hand: the base, `get_peft_model`, AdamW, pad, forward, backward, step, save."""

    def __init__(self, folder: Path, directory: Path, *, quick: bool) -> None:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import LlamaForCausalLM

        from dlm_lsp.training import dropout, linear

        torch.manual_seed(0)
        self.folder = folder
        config = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.05, target_modules="all-linear", task_type="CAUSAL_LM")
        model = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)
        if quick:
            linear.quicken(model.requires_grad_(False))
        self.model: Any = get_peft_model(model, config)
        if quick:
            dropout.quicken(self.model)
        self.parameters = [each for each in self.model.parameters() if each.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-7, weight_decay=0.0)

    def run(self, steps: Sequence[Sequence[Row]], threads: int) -> Took:
        """Takes these steps and writes their outcome."""
        import torch

        torch.set_num_threads(threads)
        began = Took.now()
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
        return Took.since(began)


async def measure(size: str, steps: Sequence[int], repetitions: int, folder: Path) -> dict[int, Measured]:
    """By number of steps."""
    directory = base(size, folder)
    desk = Desk(folder, base=reference(directory))
    desk.supervisor.start(asyncio.get_running_loop())
    await desk.save(1)  # imports, loads, writes the first version
    desk.record_rows()
    await desk.save(2)
    bare, quick = (Bare(folder / str(quick), directory, quick=quick) for quick in (False, True))
    for each in (bare, quick):
        await asyncio.to_thread(each.run, desk.rows, desk.threads)
    found = {count: Measured() for count in steps}
    for _ in range(repetitions):
        for count in steps:
            took = found[count]
            took.ours.append((await desk.save(count)).took)
            took.bare.append(await asyncio.to_thread(bare.run, desk.rows, desk.threads))
            took.quick.append(await asyncio.to_thread(quick.run, desk.rows, desk.threads))
    await desk.supervisor.shutdown()
    return found


def lines(size: str, steps: Sequence[int], repetitions: int) -> list[Line]:
    """Two for each number of steps: beside a bare loop, and beside one with our products and dropout."""
    with tempfile.TemporaryDirectory() as place:
        found = asyncio.run(measure(size, steps, repetitions, Path(place).resolve()))
    most = TARGETS.get(size, _TARGET)
    shown = []
    for count, took in found.items():
        for title, others in (("a bare loop", took.bare), ("the same with our products", took.quick)):
            clock, processor = (
                statistics.median(ours[part] / other[part] for ours, other in zip(took.ours, others, strict=True))
                for part in (0, 1)
            )
            ours, theirs = (spread([each.clock for each in all_]) for all_ in (took.ours, others))
            shown.append(
                Line(
                    f"save → version, beside {title}",
                    f"{size}, {count} step{'s' if count > 1 else ''}",
                    f"{clock:.2f}, processor {processor:.2f}: {ours} beside {theirs}",
                    f"≤ {most:.2f}",
                    clock <= most,
                )
            )
    return shown


def rows(quick: bool) -> list[Line]:
    if quick:
        return lines("tiny", [1, 10], 3)
    return [*lines("tiny", [1, 10, 100], 5), *lines("50m", [1, 10], 5)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    print(show(lines(options.size, options.steps, options.repetitions)))


if __name__ == "__main__":
    main()
