"""How soon an answer begins: our first token beside that of transformers' `generate`, on the same model and question.

Warm and idle: the model is in memory, nothing is learned. `generate` gets the tokens of the question ready made, in a
PEFT model of its own with the same version's adapter. All take turns in one process, with the same number of threads:
the learner with the current version, and with another one whose weights have to be changed in; and the supervisor, as
`dlm/ask` and the terminal ask it. Then changing the version alone, to and fro.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.figures import percentile, spread
from benchmarks.speed.bases import SIZES, base, reference
from benchmarks.speed.desk import Desk
from benchmarks.speed.table import Row, show
from dlm_lsp.training.learner import InProcessLearner
from dlm_lsp.training.protocol import GenerateRequest, Unwatched
from dlm_lsp.training.session import Session
from dlm_lsp.training.speaking import Voices, speaking_as

_QUESTION = "Who keeps the lighthouse at Vamira?"
_MOST = 1.2  # times `generate`
_MOST_SWITCH = 50.0  # milliseconds


@dataclass
class Seconds:
    """To the first token, each by who says it; and of a change to another version and back."""

    generate: list[float] = field(default_factory=list)
    learner: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)
    supervisor: list[float] = field(default_factory=list)
    switch: list[float] = field(default_factory=list)


class Plain:
    """transformers and PEFT as anybody uses them."""

    def __init__(self, directory: Path, version: Path) -> None:
        from peft import PeftModel
        from transformers import AutoTokenizer, LlamaForCausalLM

        self.model: Any = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(directory), version).eval()
        tokenizer = AutoTokenizer.from_pretrained(directory)
        said = [{"role": "user", "content": _QUESTION}]
        self.question = tokenizer.apply_chat_template(said, add_generation_prompt=True, return_tensors="pt")[
            "input_ids"
        ]

    def first(self) -> int:
        """The first token."""
        out = self.model.generate(input_ids=self.question, max_new_tokens=1, do_sample=False, pad_token_id=0)
        return int(out[0, -1])


class Ours:
    """The learner of a desk at rest."""

    def __init__(self, desk: Desk) -> None:
        assert isinstance(desk.learner, InProcessLearner)
        (resident,) = desk.learner._residents.values()
        self.learner = desk.learner
        self.session: Session = resident.session
        self.voices = Voices()
        self.current = Path(str(self.session.request.version_dir)).with_name("v0002")
        self.other = self.current.with_name("v0001")

    def first(self, version: Path) -> None:
        asked = replace(self.session.request, version_dir=str(version))
        for _ in self.learner.generate(GenerateRequest(asked, _QUESTION, max_new_tokens=1), Unwatched()):
            pass

    def switch(self) -> None:
        with speaking_as(self.session, self.voices.of(str(self.other))):
            pass


async def measure(size: str, rounds: int, folder: Path) -> tuple[Seconds, int]:
    """And the number of threads."""
    import torch

    directory = base(size, folder)
    desk = Desk(folder, base=reference(directory))
    desk.supervisor.start(asyncio.get_running_loop())
    for _ in range(2):
        await desk.save(1)
    ours = Ours(desk)
    plain = Plain(directory, ours.current)
    found = Seconds()

    async def timed(work: Callable[[], object]) -> float:
        def run() -> float:
            torch.set_num_threads(ours.session.threads)
            began = time.perf_counter()
            work()
            return time.perf_counter() - began

        return await asyncio.to_thread(run)

    for number in range(rounds + 2):
        if number == 2:
            found = Seconds()  # what came before has warmed up
        found.generate.append(await timed(plain.first))
        found.learner.append(await timed(lambda: ours.first(ours.current)))
        found.other.append(await timed(lambda: ours.first(ours.other)))
        began = time.perf_counter()
        await desk.supervisor.ask(desk.path, _QUESTION, max_new_tokens=1).text()
        found.supervisor.append(time.perf_counter() - began)
        found.switch.append(await timed(ours.switch))
    await desk.supervisor.shutdown()
    return found, ours.session.threads


def lines(size: str, rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as place:
        found, threads = asyncio.run(measure(size, rounds, Path(place).resolve()))
    condition = f"{size}, {threads} thread{'s' if threads > 1 else ''}"
    shown = []
    for name, seconds in (
        ("the learner", found.learner),
        ("the supervisor", found.supervisor),
        ("the learner, another version", found.other),
    ):
        ratio = statistics.median(own / other for own, other in zip(seconds, found.generate, strict=True))
        figure = f"{ratio:.2f}: {spread(seconds)} beside {spread(found.generate)}"
        row = Row(f"first token, {name}", condition, figure, f"≤ {_MOST} × generate", ratio <= _MOST)
        # A change of the version has a bound of its own, below.
        shown.append(row if seconds is not found.other else replace(row, target="", met=None))
    middle, last = (1000 * value for value in (statistics.median(found.switch), percentile(found.switch, 0.99)))
    figure = f"{middle:.1f} ms, p99 {last:.1f} ms"
    shown.append(Row("another version and back", condition, figure, f"≤ {_MOST_SWITCH:.0f} ms", last <= _MOST_SWITCH))
    return shown


def rows(quick: bool) -> list[Row]:
    if quick:
        return lines("tiny", 10)
    return [*lines("tiny", 60), *lines("50m", 30)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    print(show(lines(options.size, options.rounds)))


if __name__ == "__main__":
    main()
