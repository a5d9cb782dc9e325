"""Tokens a second of our optimizer step beside TRL's SFTTrainer: the same model, adapter, rows and steps.

Both are given the very same token rows in the same batches, and take turns, each in a process of its own; loading and
the first steps are not counted. TRL is set up for speed: no checkpointing, no packing (the rows are to be the same),
loss on the answers only through its fused output layer, fused AdamW, no logging, and on a GPU bf16 and, where
flash attention is installed, padding-free batches. Models are Llamas with random weights.

TRL's interpreter is `--trl`, by default that of the original tool's environment (`make interop`), which has it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.speed.bases import BUILTIN, SIZES, Shape
from benchmarks.speed.beside_original import interpreter
from benchmarks.speed.table import Row as Line
from benchmarks.speed.table import show
from dlm_lsp.document.model import Lesson
from dlm_lsp.runs.snapshot import read
from dlm_lsp.training.rows import Row, RowMaker

TARGET = 1.3  # times TRL's tokens a second, on a GPU
CONTEXT = 1024
WARM = 3  # steps before the clock runs
ADAPTER = {
    "r": 8,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
}
ROWS = ("short", "long")
# Beyond those of `bases`, for GPUs: the shapes of Llama 3.2, 3.1 and 1, and one between them and 70 billion.
LARGE = {
    "1b": Shape(hidden=2048, layers=16, inner=8192, heads=32, key_heads=8, vocabulary=128256),
    "3b": Shape(hidden=3072, layers=28, inner=8192, heads=24, key_heads=8, vocabulary=128256),
    "8b": Shape(hidden=4096, layers=32, inner=14336, heads=32, key_heads=8, vocabulary=128256),
    "33b": Shape(hidden=6656, layers=60, inner=17920, heads=52, vocabulary=32000),
    "50b": Shape(hidden=8192, layers=58, inner=28672, heads=64, key_heads=8, vocabulary=32000),
}
_ROOT = Path(__file__).parents[2]
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Job:
    """What both sides do. A row is (tokens, first of them that is trained); a batch is one optimizer step."""

    base: str  # directory of a configuration and a tokenizer: the weights are random
    parameters: int
    adapter: dict[str, Any]
    device: str
    precision: str
    threads: int
    warm: int
    rows: int  # in a step
    accumulation: int  # micro batches of it
    batches: list[list[tuple[list[int], int]]]

    @property
    def counted(self) -> int:
        """Tokens of the steps on the clock, padding left out."""
        return sum(len(tokens) for batch in self.batches[self.warm :] for tokens, _ in batch)

    @property
    def work(self) -> tuple[int, int]:
        """Tokens trained and read, in all steps."""
        rows = [row for batch in self.batches for row in batch]
        return sum(len(tokens) - first for tokens, first in rows), sum(len(tokens) for tokens, _ in rows)


@dataclass
class Rates:
    """Tokens a second of both sides by turn, and in a second of processor time; peak memory in GB on a GPU."""

    ours: list[tuple[float, float]] = field(default_factory=list)
    trl: list[tuple[float, float]] = field(default_factory=list)
    memory: dict[str, float | None] = field(default_factory=dict)
    adapter: int = 0  # parameters of it
    kernel: str = ""

    def ratio(self) -> tuple[float, float]:
        """Ours as a multiple of TRL's, median of turns: on the clock, in processor time."""
        turns = list(zip(self.ours, self.trl, strict=True))
        return statistics.median(a[0] / b[0] for a, b in turns), statistics.median(a[1] / b[1] for a, b in turns)


def lessons(kind: str) -> Iterator[Lesson]:
    """Short: the starter documents. Long: this project's own pages, as prose."""
    if kind == "short":
        texts = [path.read_text(encoding="utf-8") for path in sorted((_ROOT / "dlm_lsp/templates").glob("*.dlm"))]
    else:
        pages = [path.read_text(encoding="utf-8") for path in sorted((_ROOT / "docs").glob("*.md"))]
        texts = [f"---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: builtin:tiny\n---\n{page}" for page in pages]
    for text in texts:
        for section in read(text).sections:
            yield from section.lessons


def batches(kind: str, steps: int, rows: int, length: int) -> list[list[Row]]:
    """`steps` batches of `rows` rows each, at most `length` tokens long, from a seeded shuffle of all."""
    from transformers.models.auto.tokenization_auto import AutoTokenizer

    maker = RowMaker(AutoTokenizer.from_pretrained(BUILTIN), CONTEXT, (3,))
    all_rows = [row for lesson in lessons(kind) for row in maker.rows(lesson, None, length)]
    return shuffled(all_rows, steps, rows)


def shuffled(items: Sequence[Row], steps: int, rows: int) -> list[list[Row]]:
    """Batches from one shuffle after the other: a row comes again only when all have been there."""
    chance = random.Random(1)
    endless: list[Row] = []
    while len(endless) < steps * rows:
        endless += chance.sample(items, len(items))
    return [endless[start : start + rows] for start in range(0, steps * rows, rows)]


def base(folder: Path, shape: Shape | None) -> Path:
    """Writes all of a base but its weights into `folder`: a Llama of this shape (None: the built-in base's)."""
    folder.mkdir(parents=True)
    for file in BUILTIN.iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, folder)
    if shape is not None:
        (folder / "config.json").write_text(json.dumps(config(shape)), encoding="utf-8")
    return folder


def config(shape: Shape) -> dict[str, Any]:
    """As transformers names it."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_heads or shape.heads,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 3,
    }


def parameters(facts: Mapping[str, Any]) -> int:
    """How many numbers a Llama of this configuration has."""
    hidden, inner = facts["hidden_size"], facts["intermediate_size"]
    keys = hidden // facts["num_attention_heads"] * facts["num_key_value_heads"]
    layer = 2 * hidden * hidden + 2 * hidden * keys + 3 * hidden * inner + 2 * hidden
    return int(facts["vocab_size"] * hidden + facts["num_hidden_layers"] * layer + hidden)


def compare(job: Job, trl: Path, turns: int) -> Rates | str:
    """The rates of both, or why there are none."""
    found = Rates()
    commands = {
        "ours": [sys.executable, "-m", "benchmarks.speed.our_steps"],
        "trl": [str(trl), str(_HERE / "in_trl.py")],
    }
    for _ in range(turns):
        for name, command in commands.items():
            told = child(command, job, _environment(job, ours=name == "ours"))
            if isinstance(told, str):
                return f"{name}: {told}"
            adapter = found.adapter = found.adapter or told["parameters"]
            if (told["trained"], told["read"], told["parameters"]) != (*job.work, adapter):
                raise SystemExit(f"{name} did other work than it was given: {told}, not {job.work} with {adapter}")
            rate = (job.counted / told["seconds"], job.counted / told["processor"])
            getattr(found, name).append(rate)
            found.memory[name] = told["memory"] and told["memory"] / 1e9
            found.kernel = told["kernel"]
            print(f"  {name}: {rate[0]:.0f} ({rate[1]:.0f})", file=sys.stderr, flush=True)
    return found


def child(command: Sequence[str], job: Job, environment: dict[str, str]) -> dict[str, Any] | str:
    """What the process said, or that it had not enough memory."""
    done = subprocess.run(
        command, input=json.dumps(asdict(job)), env=environment, capture_output=True, text=True, check=False, cwd=_ROOT
    )
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]
    if "out of memory" in done.stderr.lower() or done.returncode == -9:
        return "out of memory"
    raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stderr[-3000:]}")


def _environment(job: Job, *, ours: bool) -> dict[str, str]:
    taken = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"} if not ours else set()
    env = {name: value for name, value in os.environ.items() if name not in taken}
    threads = {"OMP_NUM_THREADS": str(job.threads), "DLM_THREADS": str(job.threads)} if job.device == "cpu" else {}
    return {**env, **threads, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def line(size: str, kind: str, job: Job, found: Rates | str) -> Line:
    where = f"{job.threads} thread{'s' if job.threads > 1 else ''}" if job.device == "cpu" else job.device
    condition = f"{size}, {kind} rows, {job.precision}, {where}"
    target = f"≥ {TARGET} ×" if job.device == "cuda" else ""
    if isinstance(found, str):
        return Line("tokens a second beside TRL", condition, f"not measured: {found}", target)
    ratio, processor = found.ratio()
    figure = f"{ratio:.2f} × ({_range(found.ours)} to {_range(found.trl)} with {found.kernel})"
    if job.device == "cpu":
        figure += f", {processor:.2f} × in processor time"
    else:
        figure += f"; at most {found.memory['ours']:.1f} and {found.memory['trl']:.1f} GB"
    return Line("tokens a second beside TRL", condition, figure, target, ratio >= TARGET if target else None)


def _range(rates: Sequence[tuple[float, float]]) -> str:
    values = [rate for rate, _ in rates]
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


def measure(
    sizes: Iterable[str],
    kinds: Iterable[str],
    device: str,
    trl: Path,
    *,
    steps: int,
    rows: int,
    accumulation: int,
    turns: int,
) -> list[Line]:
    found = []
    for size in sizes:
        for kind in kinds:
            print(f"{size}, {kind} rows", file=sys.stderr, flush=True)
            work = batches(kind, WARM + steps, rows, 512)
            with tempfile.TemporaryDirectory() as place:
                directory = base(Path(place) / size, {**SIZES, **LARGE}[size])
                job = Job(
                    base=str(directory),
                    parameters=parameters(json.loads((directory / "config.json").read_text(encoding="utf-8"))),
                    adapter=ADAPTER,
                    device=device,
                    precision="bf16" if device == "cuda" else "fp32",
                    threads=int(os.environ.get("DLM_THREADS") or 1),
                    warm=WARM,
                    rows=rows,
                    accumulation=accumulation,
                    batches=[[(list(row.tokens), row.first_target) for row in batch] for batch in work],
                )
                found.append(line(size, kind, job, compare(job, trl, turns)))
    return found


def rows(quick: bool) -> list[Line]:
    """On a CPU; needs TRL, and says so where it is missing."""
    trl = interpreter()
    if trl is None:
        return [Line("tokens a second beside TRL", "", "not measured: `make interop` makes an environment with TRL")]
    if quick:
        return measure(["tiny"], ["short"], "cpu", trl, steps=10, rows=8, accumulation=1, turns=1)
    return measure(["tiny", "20m"], ROWS, "cpu", trl, steps=10, rows=8, accumulation=1, turns=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["tiny"], choices=[*SIZES, *LARGE])
    parser.add_argument(
        "--kinds", nargs="+", default=ROWS, choices=ROWS, help="short: exchanges; long: up to 512 tokens"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--trl", type=Path, help="the interpreter of an environment with TRL")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rows", type=int, default=8, help="in one optimizer step")
    parser.add_argument("--accumulation", type=int, default=1, help="micro batches of a step")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    trl = options.trl or interpreter()
    if trl is None:
        raise SystemExit("no environment with TRL: name its interpreter with --trl, or run `make interop`")
    print(
        show(
            measure(
                options.sizes, options.kinds, options.device, trl,
                steps=options.steps, rows=options.rows, accumulation=options.accumulation, turns=options.turns,
            )
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
