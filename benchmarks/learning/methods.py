"""Ways to learn a save: the program's own, the baselines, and methods known from the literature, on one loop.

Each is re-created in as few lines as show its idea. What is not said otherwise is as in `training/loop.py`: eight rows
a step, the same rate, kept moments, the loss on answers only, an end when all that is new is learned.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.batches import CycleMix
from dlm_lsp.training.learner import Teach
from dlm_lsp.training.loop import Outcome, Run
from dlm_lsp.training.optimizer import make_optimizer
from dlm_lsp.training.protocol import Control, LearnEnd, LearnPlan, RunKind
from dlm_lsp.training.rates import FullSchedule, warm_up_steps
from dlm_lsp.training.rehearsal import Rehearsal
from dlm_lsp.training.rows import Row
from dlm_lsp.training.session import Session

Between = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Method:
    """`teach` makes what teaches one history; the program's own for None. `kind` is that of each save's run."""

    name: str
    source: str
    teach: Callable[[], Teach | None] = lambda: None
    kind: RunKind = "cycle"

    def measured(self, save: int, last: int) -> bool:
        """Whether a full retrain is done at this save: at some is enough, as none depends on another."""
        return save == last or save % max(1, last // 5) == 0


class Cycle:
    """A cycle as the program's, of which a method changes a part; without its looks and its mending."""

    b_ratio: float | None = None

    def __call__(self, session: Session, plan: LearnPlan, control: Control, between: Between) -> Outcome:
        run = Run(session, plan, control, between)
        self.begin(run)
        most = plan.max_steps or 100
        control.phase("train")
        end: LearnEnd = "cap"
        while run.steps < most:
            run.step(self.rows(run), run.cycle_rate(), most, self.b_ratio or run.b_ratio)
            if run.learned:
                end = "learned"
                break
        self.end(run)
        if end == "learned":
            session.settled = session.moments_step
        return run.outcome(end)

    def begin(self, run: Run) -> None:
        """Before the first step."""
        self.mix = self.mixed(run, self.known(run))

    def known(self, run: Run) -> Sequence[Lesson]:
        """What there is to rehearse."""
        return run.plan.known

    def rows(self, run: Run) -> list[Row]:
        return self.mix.step(run.session.global_step, run.judge.learned)

    def end(self, run: Run) -> None:
        """After the last step."""

    @staticmethod
    def mixed(run: Run, known: Sequence[Lesson]) -> CycleMix:
        settings = run.plan.session.settings
        rehearsal = Rehearsal(known, run.session.rows, settings.seed)
        return CycleMix(run.rows, rehearsal, run.session.step_rows, settings.seed)


class NoReplay(Cycle):
    """Only what is new."""

    def known(self, run: Run) -> Sequence[Lesson]:
        return ()


class Reservoir(Cycle):
    """Experience replay from a small memory: a uniform sample of all that was ever learned and still stands."""

    def __init__(self, size: int = 64) -> None:
        self.size = size
        self.memory: list[str] = []
        self.seen = 0
        self._met: set[str] = set()

    def known(self, run: Run) -> Sequence[Lesson]:
        chance = random.Random(f"reservoir {self.seen}")
        for identity in (each.identity for each in run.plan.known if each.identity not in self._met):
            self._met.add(identity)
            self.seen += 1
            if len(self.memory) < self.size:
                self.memory.append(identity)
            elif (place := chance.randrange(self.seen)) < self.size:
                self.memory[place] = identity
        known = {lesson.identity: lesson for lesson in run.plan.known}
        return [known[identity] for identity in self.memory if identity in known]


class MostInterfered(Cycle):
    """Replay of those old rows whose loss has risen most since the save began, looked for every few steps."""

    every, candidates = 4, 24

    def begin(self, run: Run) -> None:
        super().begin(run)
        self._before: dict[str, float] = {}
        self._chosen: list[Row] = []

    def rows(self, run: Run) -> list[Row]:
        fresh = super().rows(run)
        fresh = [row for row in fresh if row in run.rows]
        room = run.session.step_rows - len(fresh)
        known = [each for each in run.plan.known if each.kind == "exchange"]
        if run.steps % self.every == 0 and known:
            chance = random.Random(f"interfered {run.session.global_step}")
            found = chance.sample(known, min(self.candidates, len(known)))
            measured = run.session.measure([run.session.rows(each)[0] for each in found])
            for each in measured:
                self._before.setdefault(each.row.identity, each.loss)
            measured.sort(key=lambda each: each.loss - self._before[each.row.identity], reverse=True)
            self._chosen = [each.row for each in measured]
        return [*fresh, *self._chosen[:room]]


class NearLast(Cycle):
    """Replay, and a pull of the weights back to the last version's (L2-SP); with `fisher` as strong as they matter."""

    def __init__(self, strength: float, *, fisher: bool = False, replay: bool = True) -> None:
        self.strength, self.fisher, self.replay = strength, fisher, replay
        self._importance: list[Any] | None = None

    def known(self, run: Run) -> Sequence[Lesson]:
        return run.plan.known if self.replay else ()

    def begin(self, run: Run) -> None:
        super().begin(run)
        parameters = run.session.stepper.parameters
        if self.fisher:
            self._importance = _fisher(run.session, run.plan.known)
        self._hooks = []
        for place, parameter in enumerate(parameters):
            anchor = parameter.detach().clone()
            weight = self.strength * (self._importance[place] if self._importance else 1.0)
            self._hooks.append(parameter.register_hook(_pull(parameter, anchor, weight)))

    def end(self, run: Run) -> None:
        for hook in self._hooks:
            hook.remove()


def _pull(parameter: Any, anchor: Any, weight: Any) -> Callable[[Any], Any]:
    return lambda gradient: gradient + weight * (parameter.detach() - anchor)


def _fisher(session: Session, known: Sequence[Lesson], most: int = 32) -> list[Any]:
    """Diagonal of the empirical Fisher information over known rows, scaled to mean 1."""
    import torch

    stepper = session.stepper
    total = [torch.zeros_like(each) for each in stepper.parameters]
    for lesson in random.Random(session.global_step).sample(list(known), min(most, len(known))):
        stepper.optimizer.zero_grad(set_to_none=True)
        session.model.eval()
        stepper._backward([[session.rows(lesson)[0]]], 1)
        for place, parameter in enumerate(stepper.parameters):
            total[place] += parameter.grad**2
    stepper.optimizer.zero_grad(set_to_none=True)
    session.model.train()
    mean = sum(float(each.sum()) for each in total) / sum(each.numel() for each in total)
    return [each / max(mean, 1e-20) for each in total]


class OneMoreLoss(Cycle):
    """A loss beside that of the step's rows; its gradient goes into the step that is taken next."""

    _pending: Sequence[Any] = ()

    def add(self, run: Run, loss: Any) -> None:
        import torch

        parameters = run.session.stepper.parameters
        pairs = zip(parameters, torch.autograd.grad(loss, parameters), strict=True)
        self._pending = [parameter.register_hook(_added(extra)) for parameter, extra in pairs]

    def end(self, run: Run) -> None:
        for hook in self._pending:
            hook.remove()
        self._pending = ()


class Distilled(OneMoreLoss):
    """Replay in which old rows are held to what the last version said of them (dark experience replay)."""

    def __init__(self, strength: float = 0.5) -> None:
        self.strength = strength

    def begin(self, run: Run) -> None:
        super().begin(run)
        self._taught: dict[Row, Any] = {}
        self._former = [each.detach().clone() for each in run.session.stepper.parameters]

    def rows(self, run: Run) -> list[Row]:
        import torch

        self.end(run)  # what was added to the step before
        rows, stepper = super().rows(run), run.session.stepper
        old = [row for row in rows if row not in run.rows]
        if not old:
            return rows
        missing = [row for row in old if row not in self._taught]
        if missing:
            now = [each.detach().clone() for each in stepper.parameters]
            _fill(stepper.parameters, self._former)
            run.session.model.eval()
            with torch.no_grad():
                self._taught |= dict(zip(missing, self._logits(run.session, missing), strict=True))
            _fill(stepper.parameters, now)
        run.session.model.train()
        torch.manual_seed(run.session.global_step)
        logits = torch.cat(self._logits(run.session, old))
        wanted = torch.cat([self._taught[row] for row in old])
        loss = torch.nn.functional.kl_div(
            logits.log_softmax(-1), wanted.log_softmax(-1), log_target=True, reduction="batchmean"
        )
        self.add(run, self.strength * loss * len(old) / len(rows))
        return rows

    @staticmethod
    def _logits(session: Session, rows: list[Row]) -> list[Any]:
        """Of each row, the logits of its targets."""
        tokens, places, _, _ = session.stepper._tensors(rows, len(rows))
        with session.stepper.logits_at.places(places):
            logits = session.model(input_ids=tokens, use_cache=False).logits.float()
        return list(logits.split([row.targets for row in rows]))


def _added(extra: Any) -> Callable[[Any], Any]:
    return lambda gradient: gradient + extra


def _fill(parameters: Sequence[Any], values: Sequence[Any]) -> None:
    import torch

    with torch.no_grad():
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(value)


class Orthogonal(Cycle):
    """A new adapter for each save on top of the merged ones before, kept away from their input directions (O-LoRA)."""

    def __init__(self, strength: float = 0.5, *, replay: bool = False) -> None:
        self.strength, self.replay = strength, replay
        self._merged: dict[str, Any] = {}
        self._past: dict[str, list[Any]] = {}
        self._layers: dict[str, Any] = {}

    def known(self, run: Run) -> Sequence[Lesson]:
        return run.plan.known if self.replay else ()

    def begin(self, run: Run) -> None:
        import torch

        super().begin(run)
        model = run.session.model
        torch.manual_seed(run.session.global_step)
        self._hooks = []
        for name, layer in model.named_modules():
            if not hasattr(layer, "lora_A"):
                continue
            into, out = layer.lora_A["default"], layer.lora_B["default"]
            delta = layer.scaling["default"] * (out.weight @ into.weight).detach()
            if name not in self._layers:
                self._layers[name] = layer
                layer.register_forward_hook(self._hook(name))
            self._merged[name] = self._merged.get(name, 0) + delta
            self._past.setdefault(name, []).append(into.weight.detach().clone())
            torch.nn.init.kaiming_uniform_(into.weight, a=math.sqrt(5))
            torch.nn.init.zeros_(out.weight)
            past = torch.cat(self._past[name])
            self._hooks.append(into.weight.register_hook(self._penalty(into.weight, past.T @ past)))
        run.session.stepper.optimizer = make_optimizer(run.session.model)
        run.session.moments_step = run.session.settled = 0

    def end(self, run: Run) -> None:
        for hook in self._hooks:
            hook.remove()

    def _hook(self, name: str) -> Callable[[Any, Any, Any], Any]:
        def add(layer: Any, inputs: Any, output: Any) -> Any:
            return output if layer.disable_adapters else output + inputs[0] @ self._merged[name].T

        return add

    def _penalty(self, weight: Any, past: Any) -> Callable[[Any], Any]:
        return lambda gradient: gradient + 2 * self.strength * weight.detach() @ past


class OneRate(Cycle):
    """The matrices A and B at one rate, as LoRA had it before LoRA+."""

    b_ratio = 1.0


class RankStabilised(Cycle):
    """rsLoRA: the adapter is scaled by alpha over the square root of its rank. What it had learned stays as it is."""

    def __init__(self) -> None:
        self._done = False

    def begin(self, run: Run) -> None:
        import torch

        super().begin(run)
        if self._done:
            return
        self._done = True
        with torch.no_grad():
            for layer in run.session.model.modules():
                if hasattr(layer, "lora_B"):
                    growth = math.sqrt(layer.r["default"])
                    layer.scaling["default"] *= growth
                    layer.lora_B["default"].weight /= growth


class NearBase(OneMoreLoss):
    """Replay, and a pull of what the model says of the questions' own tokens to what the base says (a KL bound)."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def rows(self, run: Run) -> list[Row]:
        import torch

        self.end(run)  # what was added to the step before
        rows, stepper, model = super().rows(run), run.session.stepper, run.session.model
        read = [Row(row.identity, row.kind, row.index, row.tokens[: row.first_target], 1) for row in rows]
        read = [row for row in read if row.targets > 0]
        if not read:
            return rows
        tokens, places, _, _ = stepper._tensors(read, len(read))
        with torch.no_grad(), model.disable_adapter(), stepper.logits_at.places(places):
            wanted = model(input_ids=tokens, use_cache=False).logits.float().log_softmax(-1)
        with stepper.logits_at.places(places):
            said = model(input_ids=tokens, use_cache=False).logits.float().log_softmax(-1)
        loss = torch.nn.functional.kl_div(said, wanted, log_target=True, reduction="batchmean")
        self.add(run, self.strength * loss)
        return rows


class Original:
    """The original tool's recipe: the whole document and copies of what was ever in it, 100 steps, a cold optimizer.

    A tenth of the rows is held out, the loss is on all tokens, the rate is 2e-4 with warm-up and a cosine, 16 rows a
    step. All snapshots being of the same day, their weights are equal.
    """

    rows_per_step, rate, warm_up, held_out = 16, 2e-4, 0.1, 0.1

    def __init__(self) -> None:
        self.corpus: dict[str, Lesson] = {}
        self.runs = 0

    def __call__(self, session: Session, plan: LearnPlan, control: Control, between: Between) -> Outcome:
        run = Run(session, plan, control, between)
        session.stepper.optimizer = make_optimizer(session.model)
        session.moments_step = 0
        total = plan.max_steps or 100
        schedule = FullSchedule(self.rate, "cosine", warm_up_steps(self.warm_up, total), total)
        rows = self._rows(session, plan)
        chance, coming = random.Random(plan.session.settings.seed), list[Row]()
        control.phase("train")
        for step in range(total):
            while len(coming) < min(self.rows_per_step, len(rows)):
                coming += chance.sample(rows, len(rows))
            held, coming = coming[: self.rows_per_step], coming[self.rows_per_step :]
            run.step(held, schedule.rate(step), total)
        return run.outcome("learned" if run.learned else "cap")

    def _rows(self, session: Session, plan: LearnPlan) -> list[Row]:
        """Those of the text and of the replayed snapshots, less the tenth that is held out."""
        count = max(32, 2 * len(plan.fresh))
        stored = [self.corpus[identity] for identity in sorted(self.corpus)]
        chance = random.Random(plan.session.settings.seed + self.runs)
        replayed = stored if count >= len(stored) else sorted(stored, key=lambda _: chance.random())[:count]
        self.runs += 1
        self.corpus |= {lesson.identity: lesson for lesson in (*plan.fresh, *plan.known)}
        told = [("", lesson) for lesson in (*plan.known, *plan.fresh)] + [("replay:", lesson) for lesson in replayed]
        rows = [
            replace(row, first_target=1)
            for prefix, lesson in told
            for row in session.rows(lesson)
            if not self._is_held_out(f"{prefix}{lesson.identity}", row.index)
        ]
        return rows or [replace(row, first_target=1) for _, lesson in told for row in session.rows(lesson)]

    def _is_held_out(self, identity: str, index: int) -> bool:
        digest = hashlib.sha256(f"42\0{identity}\0{index}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < int(self.held_out * 2**64)


OURS = "ours"
METHODS = {
    method.name: method
    for method in (
        Method(OURS, "docs/learning.md"),
        Method("full retrain", "each save, from the base: the upper bound", kind="full"),
        Method("original", "the recipe of the original tool", lambda: Original()),
        Method("no replay", "fine-tuning on what is new alone", lambda: NoReplay()),
        Method("uniform replay", "Robins 1995; Rolnick et al. 2019", lambda: Cycle()),
        Method("reservoir 64", "Vitter 1985; Chaudhry et al. 2019", lambda: Reservoir()),
        Method("most interfered", "MIR, Aljundi et al. 2019", lambda: MostInterfered()),
        Method("distilled replay", "DER++, Buzzega et al. 2020", lambda: Distilled()),
        Method("L2-SP + replay", "Li et al. 2018", lambda: NearLast(0.01)),
        Method("EWC", "Kirkpatrick et al. 2017", lambda: NearLast(0.1, fisher=True, replay=False)),
        Method("uniform replay, one rate", "Hu et al. 2022", lambda: OneRate()),
        Method("rsLoRA and replay", "Kalajdzievski 2023", RankStabilised),
        Method("KL to the base + replay", "Ouyang et al. 2022", lambda: NearBase(0.05)),
        Method("O-LoRA", "Wang et al. 2023", lambda: Orthogonal()),
        Method("O-LoRA + replay", "Wang et al. 2023", lambda: Orthogonal(replay=True)),
    )
}
