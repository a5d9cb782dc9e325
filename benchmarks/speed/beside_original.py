"""A save of one added section beside the original tool's cycle for it: the same base, document and section.

Both go on from one version, in which the document is learned, and take turns, each warm in a process of its own; no
debounce is counted. The original never begins a cycle by itself, so its watch loop's cycle is called (see
`in_original.py`), in the environment that `make interop` makes. Two races:

- a capped number of steps. Our document has a rate so low that nothing is "learned" before the cap.
- until the added exchange is answered greedily word for word. A save of ours ends when that is so; the original is
  trained in cycles of its 100 steps, and asked after each.

Processor time stands beside seconds: it holds on a machine that is busy with other things, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from benchmarks.documents import DLM_ID, document, exchange
from benchmarks.figures import spread
from benchmarks.speed.bases import SIZES, base
from benchmarks.speed.table import Row, show
from dlm_lsp.document import parse
from dlm_lsp.runs.events import Event, Failed, Finished
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.training.bases import ResolvedBase, resolve
from dlm_lsp.training.learner import create
from dlm_lsp.training.protocol import BaseRequest
from tests.interop import environment

LOG = Path(tempfile.gettempdir()) / "dlm-benchmark-original.log"
STEPS_MEASURE = "save → version beside the original's cycle"
LEARNED_MEASURE = "save → learned beside the original's cycles"
TARGETS = {1: 20.0, 10: 15.0, 100: 13.0}  # times our seconds, by steps
LEARNED_TARGET = 40.0
CYCLE = 100  # steps of the original's cycle, as shipped
DOCUMENTS = ("exchanges", "starter")
_TRAINING = (
    "training:\n  precision: fp32\n"  # else the original computes in fp16, which takes a CPU three times as long
)
_SLOW = "  learning_rate: 1.0e-7\n"
_NAME = "benchmarks/base"  # of the base in the hub's cache: the original knows no directories
_IN_ORIGINAL = Path(__file__).with_name("in_original.py")
_TEMPLATES = Path(__file__).parents[2] / "dlm_lsp" / "templates"


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds on the clock, and of processor time."""

    seconds: float
    processor: float


@dataclass
class Pairs:
    """What both sides took, by repetition."""

    ours: list[Took] = field(default_factory=list)
    theirs: list[Took] = field(default_factory=list)

    def ratio(self) -> tuple[float, float]:
        """Their time as a multiple of ours, median of pairs: seconds, processor time."""
        pairs = list(zip(self.theirs, self.ours, strict=True))
        return (
            statistics.median(its.seconds / our.seconds for its, our in pairs),
            statistics.median(its.processor / our.processor for its, our in pairs),
        )


@dataclass
class Learned(Pairs):
    """Until an exchange was known: our steps and their cycles, and whether they knew it after the last of these."""

    steps: list[int] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)
    known: list[bool] = field(default_factory=list)


@dataclass(frozen=True)
class Track:
    """Where a race is run: the base, what kind of document, and a home in which that is learned."""

    reference: str
    kind: str
    home: Path

    def text(self, *, slow: bool = False) -> str:
        return text(self.kind, self.reference, _TRAINING + (_SLOW if slow else ""))


def text(kind: str, reference: str, settings: str) -> str:
    """A document of twenty exchanges of one pattern, or of three starter documents: prose and seventeen exchanges."""
    if kind == "exchanges":
        return document(20, seed=1, settings=settings).replace("base_model: builtin:tiny", f"base_model: {reference}")
    bodies = [
        (_TEMPLATES / f"{name}.dlm").read_text(encoding="utf-8") for name in ("api-helper", "changelog", "notebook")
    ]
    body = "::prose::\n".join(each.split("\n---\n", 1)[1] for each in bodies)
    return f"---\ndlm_id: {DLM_ID}\nbase_model: {reference}\n{settings}---\n{body}"


class Ours:
    """A supervisor with the real learner over one document, that grows by a section with each save."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder, self.text = folder, text
        self.path = folder / "notes.dlm"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.supervisor = Supervisor(learner=create, settings=self._settings(1))
        self.supervisor.subscribe(self._hear)
        self.supervisor.start(asyncio.get_running_loop())
        self._last: Event | None = None

    async def save(self, added: str, steps: int) -> tuple[Took, Finished]:
        """What it takes until the version of a run of at most `steps` is committed."""
        self.text += added
        self.path.write_text(self.text, encoding="utf-8")
        self.supervisor.configure(self._settings(steps))
        began, computed = perf_counter(), process_time()
        self.supervisor.saved(self.path, self.text)
        await self.supervisor.wait_for_idle(self.path)
        took = Took(perf_counter() - began, process_time() - computed)
        if isinstance(self._last, Failed):
            raise SystemExit(self._last.message)
        assert isinstance(self._last, Finished)
        return took, self._last

    async def ask(self, question: str) -> str:
        return (await self.supervisor.ask(self.path, question, max_new_tokens=64).text()).strip()

    async def close(self) -> None:
        await self.supervisor.shutdown()

    def _settings(self, steps: int) -> RunSettings:
        return RunSettings(home=self.folder / "home", debounce_ms=0, max_steps=steps, warm_on_open=False)

    def _hear(self, event: Event | None, status: DocumentStatus) -> None:
        self._last = event or self._last


class Theirs:
    """The original in its process, over a document of its own that grows by the same sections."""

    def __init__(self, process: subprocess.Popen[str], base: ResolvedBase, threads: int, log: Path) -> None:
        self._process = process
        self._base = base
        self._threads = threads
        self._log = log

    def open(self, folder: Path, text: str) -> None:
        """Goes on from the version in `folder`'s home."""
        self.text, self.path = text, folder / "notes.dlm"
        self.path.write_text(self.text, encoding="utf-8")
        base = {
            "key": _NAME,
            "hf_id": _NAME,
            "revision": self._base.revision,
            "architecture": self._base.architecture,
            "params": self._base.parameters,
            "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
            "template": "chatml",
            "gguf_arch": "llama",
            "tokenizer_pre": "default",
            "license_spdx": "MIT",
            "redistributable": True,
            "size_gb_fp16": self._base.parameters * 2 / 2**30,
            "context_length": self._base.context_length,
            "recommended_seq_len": self._base.context_length,
        }
        home = str(folder / "home")
        self._do("open", home=home, document=str(self.path), base=base, threads=self._threads)

    def save(self, added: str, steps: int) -> Took:
        """Its cycle for one more section."""
        self.text += added
        self.path.write_text(self.text, encoding="utf-8")
        return self._trained("cycle", steps)

    def train_on(self, steps: int) -> Took:
        """Its trainer once more, with the text as it is."""
        return self._trained("train", steps)

    def ask(self, question: str) -> str:
        return str(self._do("ask", question=question)["answer"])

    def _trained(self, what: str, steps: int) -> Took:
        done = self._do(what, steps=steps)
        if done["steps"] != steps:
            raise SystemExit(f"the original took {done['steps']} steps, not {steps}")
        return Took(done["seconds"], done["processor"])

    def _do(self, what: str, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the original ended with code {self._process.wait()} at {what!r}; see {self._log}")
        return json.loads(line)  # type: ignore[no-any-return]


def interpreter() -> Path | None:
    """The original's interpreter, if `make interop` has made its environment."""
    python = environment.interpreter(environment.folder())
    return python if python.exists() else None


@contextmanager
def original(python: Path, folder: Path, reference: str, threads: int, *, log: Path) -> Iterator[Theirs]:
    """The original, with the base in a hub's cache of its own; what it prints goes to `log`."""
    base = resolve(BaseRequest(reference, str(folder)), lambda text, share: None, lambda: False)
    models = folder / "models"
    place = models / "hub" / f"models--{_NAME.replace('/', '--')}" / "snapshots" / base.revision
    shutil.copytree(base.directory, place)
    taken = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    env = {name: value for name, value in os.environ.items() if name not in taken}
    env |= {
        "HF_HOME": str(models),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": str(threads),
        "DLM_HOME": str(folder / "nowhere"),
    }
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [str(python), str(_IN_ORIGINAL)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=env, text=True, encoding="utf-8",
        )  # fmt: skip
    try:
        yield Theirs(process, base, threads, log)
    finally:
        process.kill()
        process.wait()


async def begin(folder: Path, reference: str, kind: str, steps: int) -> Track:
    """A version of the document, made in at most `steps`."""
    track = Track(reference, kind, folder / "home")
    ours = Ours(folder, track.text())
    await ours.save("", steps)
    await ours.close()
    return track


async def race(steps: dict[int, int], folder: Path, track: Track, theirs: Theirs) -> dict[int, Pairs]:
    """Saves of one section each: `steps` has for each cap how often."""
    ours, chance = _start(folder, track, theirs, slow=True), random.Random(2)
    added = exchange(chance)
    await ours.save(added, 1)  # imports, loads: not counted
    theirs.save(added, 1)
    found = {count: Pairs() for count in steps}
    for number in range(max(steps.values())):
        for count in (count for count, times in steps.items() if number < times):
            added = exchange(chance)
            took, done = await ours.save(added, count)
            assert done.learned.steps == count
            found[count].ours.append(took)
            found[count].theirs.append(await asyncio.to_thread(theirs.save, added, count))
            _tell(f"{count} steps", found[count])
    await ours.close()
    return found


async def until_learned(exchanges: int, cycles: int, seed: int, folder: Path, track: Track, theirs: Theirs) -> Learned:
    """Our saves of one section each; for each of them the original goes on from the first version anew.

    It may take so many `cycles` for each. `seed` draws the exchanges.
    """
    chance = random.Random(seed)
    ours = _start(folder / "0", track, theirs)
    added = exchange(chance)
    await ours.save(added, 100)  # imports, loads: not counted
    theirs.save(added, 1)
    found = Learned()
    for number in range(1, exchanges + 1):
        added = exchange(chance)
        question, answer = _asked(added)
        took, done = await ours.save(added, 100)
        said = await ours.ask(question)
        if done.learned.end != "learned" or said != answer:
            raise SystemExit(f"a save did not teach {answer!r} ({done.learned.end}): {said!r}")
        found.ours.append(took)
        found.steps.append(done.learned.steps)
        _open(folder / str(number), track, theirs)
        taken = [await asyncio.to_thread(theirs.save, added, CYCLE)]
        while not (known := theirs.ask(question) == answer) and len(taken) < cycles:
            taken.append(await asyncio.to_thread(theirs.train_on, CYCLE))
        found.theirs.append(Took(sum(each.seconds for each in taken), sum(each.processor for each in taken)))
        found.cycles.append(len(taken))
        found.known.append(known)
        _tell(f"learned in {done.learned.steps} steps, {len(taken)} cycles", found)
    await ours.close()
    return found


def _start(folder: Path, track: Track, theirs: Theirs, *, slow: bool = False) -> Ours:
    shutil.copytree(track.home, folder / "ours" / "home")
    _open(folder, track, theirs)
    return Ours(folder / "ours", track.text(slow=slow))


def _open(folder: Path, track: Track, theirs: Theirs) -> None:
    shutil.copytree(track.home, folder / "theirs" / "home")
    theirs.open(folder / "theirs", track.text())


def _asked(section: str) -> tuple[str, str]:
    """Question and answer of a section as `exchange` writes it."""
    sections = parse(f"---\nbase_model: x\n---\n{section}".encode()).sections
    (only,) = [each for section in sections for each in section.exchanges]
    return only.prompt, only.answer


def _tell(what: str, pairs: Pairs) -> None:
    our, its = pairs.ours[-1], pairs.theirs[-1]
    print(f"{what}: {our.seconds:.2f} s, {its.seconds:.2f} s; {our.processor:.2f}, {its.processor:.2f}", flush=True)


def step_row(steps: int, pairs: Pairs, condition: str) -> Row:
    target, (ratio, _) = TARGETS.get(steps), pairs.ratio()
    return Row(
        STEPS_MEASURE,
        f"{steps} step{'s' if steps > 1 else ''}, {condition}",
        _figure(pairs),
        f"≥ {target:.0f} ×" if target else "",
        None if target is None else ratio >= target,
    )


def learned_row(found: Learned, condition: str) -> Row:
    """Where the original did not get there, what it took is less than it needs, and the ratio a lower bound."""
    ratio, _ = found.ratio()
    never = found.known.count(False)
    figure = (
        f"{'≥ ' if never else ''}{_figure(found)}, {_range(found.steps)} steps beside {_range(found.cycles)} cycles"
    )
    if never:
        figure += f"; {never} of {len(found.known)} not known after the last"
    met = ratio >= LEARNED_TARGET
    return Row(LEARNED_MEASURE, condition, figure, f"≥ {LEARNED_TARGET:.0f} ×", met if met or not never else None)


def _figure(pairs: Pairs) -> str:
    ratio, processor = pairs.ratio()
    ours, theirs = (spread([took.seconds for took in side]) for side in (pairs.ours, pairs.theirs))
    return f"{ratio:.1f} × ({theirs} to {ours}), {processor:.1f} × in processor time"


def _range(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return str(least) if least == most else f"{least}–{most}"


async def measure(
    python: Path, size: str, kind: str, steps: dict[int, int], exchanges: int, cycles: int, seed: int, log: Path
) -> list[Row]:
    """Rows of the first race if there are `steps`, and of the second if there are `exchanges`."""
    threads = int(os.environ.setdefault("DLM_THREADS", "1"))  # told to both: measuring what is best is no difference
    condition = f"{size}, {kind}, {threads} thread{'s' if threads > 1 else ''}"
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        reference = "builtin:tiny" if SIZES[size] is None else str(base(size, folder / "bases"))
        # What random weights answer does not matter: there the version only has to be there.
        track = await begin(folder / "begun", reference, kind, 2000 if SIZES[size] is None else 1)
        with original(python, folder, reference, threads, log=log) as theirs:
            if steps:
                pairs = await race(steps, folder / "steps", track, theirs)
                found += [step_row(count, each, condition) for count, each in pairs.items()]
            if exchanges:
                learned = await until_learned(exchanges, cycles, seed, folder / "learned", track, theirs)
                found.append(learned_row(learned, condition))
    return found


def rows(quick: bool) -> list[Row]:
    """Needs the original's environment, and says so where it is missing. `quick` leaves out what takes minutes."""
    python = interpreter()
    if python is None:
        return [Row(STEPS_MEASURE, "", "not measured: `make interop` makes the environment of the original")]
    if quick:
        return asyncio.run(measure(python, "tiny", "exchanges", {1: 3, 10: 1}, 0, 0, 3, LOG))
    return [
        row
        for kind in DOCUMENTS
        for row in asyncio.run(measure(python, "tiny", kind, {1: 7, 10: 3, 100: 1}, 2, 4, 3, LOG))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="tiny", help="the base; all but tiny have random weights")
    parser.add_argument("--document", choices=DOCUMENTS, default="exchanges")
    parser.add_argument("--steps", type=int, nargs="*", default=[1, 10])
    parser.add_argument("--repetitions", type=int, nargs="*", default=[7, 3], help="of each number of steps")
    parser.add_argument("--exchanges", type=int, default=0, help="of the race until learned")
    parser.add_argument("--cycles", type=int, default=4, help="of the original for each of these, at most")
    parser.add_argument("--seed", type=int, default=3, help="of these exchanges")
    parser.add_argument("--log", type=Path, default=LOG, help="where the original's words go")
    options = parser.parse_args()
    python = interpreter()
    if python is None:
        raise SystemExit("the original is not installed: run tests/interop/environment.py, or `make interop`")
    steps = dict(zip(options.steps, options.repetitions, strict=True))
    log = options.log.absolute()
    wanted = measure(
        python, options.size, options.document, steps, options.exchanges, options.cycles, options.seed, log
    )
    print(show(asyncio.run(wanted)))


if __name__ == "__main__":
    main()
