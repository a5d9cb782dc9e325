"""How much of a step is arithmetic: its matrix products, done plainly at the same shapes, beside the step itself.

Counted is what the step cannot do without: of each frozen layer the product forward and the one for the gradient of
its input (none for its weights, and none where the input is the embedding's), all six of its LoRA, logits at the
targets only, and the lower half of attention. The same products are then done one after the other with the model's own
weights, without anything in between, by torch's usual library and by the faster one that frozen layers use. All in
processor time, so that what else the machine does hardly matters.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.documents import document
from benchmarks.speed.bases import SIZES, base, reference
from benchmarks.speed.table import Row, show
from dlm_lsp.document import parse
from dlm_lsp.training.bases import resolve
from dlm_lsp.training.learner import InProcessLearner
from dlm_lsp.training.protocol import AdapterShape, BaseRequest, SessionRequest, TrainingSettings, Unwatched

if TYPE_CHECKING:
    from dlm_lsp.training.rows import Row as TokenRow
    from dlm_lsp.training.session import Session

_TARGET = 0.60  # from 50 million parameters on
_RATE = 1e-7


@dataclass(frozen=True, slots=True)
class Product:
    """One matrix product of a step: does it, and the floating point operations that it takes."""

    run: Callable[[], object]
    operations: float


def warm_session(size: str, folder: Path) -> Session:
    """A session over a base of that size, with the usual adapter."""
    learner = InProcessLearner(resolve)
    named = reference(base(size, folder))
    request = SessionRequest(
        "one", BaseRequest(named, str(folder)), AdapterShape(), TrainingSettings(learning_rate=_RATE, precision="fp32")
    )
    learner.warm(request, Unwatched())
    return learner._residents["one"].session


def usual_rows(session: Session) -> list[TokenRow]:
    """A usual step's: eight short exchanges."""
    lessons = [lesson for section in parse(document(8, seed=1)).sections for lesson in section.lessons]
    return [row for lesson in lessons for row in session.rows(lesson)][: session.step_rows]


def products(session: Session, rows: list[TokenRow]) -> list[Product]:
    """All of a step over `rows` in one micro batch, forward and then backward, for a Llama."""
    longest = max(len(row.tokens) for row in rows)
    model = session.model.get_base_model()
    layers = model.model.layers
    forward: list[Product] = []
    backward: list[Product] = []
    for number, layer in enumerate(layers):
        attention, mlp = layer.self_attn, layer.mlp
        modules = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
        for module in (*modules, mlp.gate_proj, mlp.up_proj, mlp.down_proj):
            first = number == 0 and module in modules[:3]
            ahead, back = _layer(module, len(rows) * longest, first=first)
            forward += ahead
            backward = back + backward
        ahead, back = _attention(model.config, len(rows), longest)
        forward += ahead
        backward = back + backward
    ahead, back = _layer(model.lm_head, sum(row.targets for row in rows), first=False)
    return [*forward, *ahead, *back, *backward]


def _layer(module: Any, tokens: int, *, first: bool) -> tuple[list[Product], list[Product]]:
    """Forward and backward of a linear layer and its LoRA. `first`: its input needs no gradient."""
    weight = getattr(module, "base_layer", module).weight.detach()
    x, g = _like(tokens, weight.shape[1]), _like(tokens, weight.shape[0])
    forward, backward = [_product(x, weight.t())], [] if first else [_product(g, weight)]
    if hasattr(module, "lora_A"):
        a, b = module.lora_A["default"].weight.detach(), module.lora_B["default"].weight.detach()
        low = _like(tokens, a.shape[0])
        forward += [_product(x, a.t()), _product(low, b.t())]
        backward += [_product(g.t(), low), _product(g, b), _product(low.t(), x)]
        backward += [] if first else [_product(low, a)]
    return forward, backward


def _attention(config: Any, rows: int, longest: int) -> tuple[list[Product], list[Product]]:
    """Two products forward and four backward; causal attention needs half of each."""
    shape = (rows, config.num_attention_heads, longest)
    heads, scores = _like(*shape, config.head_dim), _like(*shape, longest)
    wide, narrow = _product(heads, heads.transpose(-1, -2), 0.5), _product(scores, heads, 0.5)
    return [wide, narrow], [wide, wide, narrow, narrow]


def _product(left: Any, right: Any, share: float = 1.0) -> Product:
    operations = share * 2 * left.numel() * right.shape[-1]
    return Product(lambda: left @ right, operations)


def _like(*shape: int) -> Any:
    import torch

    return torch.randn(shape)


def lines(size: str, rounds: int) -> list[Row]:
    """Beside torch's usual products, and beside the faster library's."""
    from dlm_lsp.training.linear import onednn, onednn_pays

    with tempfile.TemporaryDirectory() as place:
        session = warm_session(size, Path(place).resolve())
    rows = usual_rows(session)
    done = products(session, rows)
    operations = sum(product.operations for product in done)
    found = []
    libraries: list[tuple[str, Callable[[], Any]]] = [("torch's usual products", contextlib.nullcontext)]
    if onednn_pays():
        libraries.append(("the faster library's", onednn))
    for _ in range(2):  # the first ones allocate
        session.step(rows, _RATE)
    step: list[float] = []
    plain: list[list[float]] = [[] for _ in libraries]
    for _ in range(rounds):
        step.append(_seconds(lambda: session.step(rows, _RATE)))
        for (_, library), seconds in zip(libraries, plain, strict=True):
            with library():
                seconds.append(_seconds(lambda: [product.run() for product in done]))
    for (name, _), seconds in zip(libraries, plain, strict=True):
        shares = sorted(own / whole for own, whole in zip(seconds, step, strict=True))
        share = statistics.median(shares)
        achieved, possible = (operations / statistics.median(each) / 1e9 for each in (step, seconds))
        figure = (
            f"{share:.0%} ({shares[0]:.0%}–{shares[-1]:.0%}): {achieved:.0f} of {possible:.0f} GFLOP/s, "
            f"a step {1000 * statistics.median(step):.0f} ms"
        )
        threads = f"{session.threads} thread{'s' if session.threads > 1 else ''}"
        small = size in ("tiny", "20m")
        met = None if small else share >= _TARGET
        found.append(Row(f"a step beside {name}", f"{size}, {threads}", figure, "" if small else "≥ 60 %", met))
    return found


def _seconds(work: Callable[[], object]) -> float:
    """Of processor time."""
    began = time.process_time()
    work()
    return time.process_time() - began


def rows(quick: bool) -> list[Row]:
    if quick:
        return lines("tiny", 5)
    return [*lines("tiny", 15), *lines("50m", 9)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="50m")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print(show(lines(options.size, options.rounds)))


if __name__ == "__main__":
    main()
