"""Pretrain the small Llama that ships in the wheel as ``builtin:tiny``.

Everything it reads is on every Python installation: the standard library's docstrings (taken with ``ast``,
nothing is imported), ``pydoc_data/topics.py``, and exchanges that a seeded grammar writes (`builtin_base/`).
See ``docs/builtin-base.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from builtin_base.corpus import Doc, is_held_out, read_docs
from builtin_base.exchanges import EOT, IM_END, IM_START, PAD, SPECIALS, Grammar, render
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
VOCAB_SIZE = 2048
ROW = 256

# --- tokenizer


def train_tokenizer(texts: Sequence[str]) -> Tokenizer:
    """A byte-level BPE of ``VOCAB_SIZE`` entries; newlines and digits always stand alone.

    The lone newline keeps the generation prompt's tokens a prefix of the whole render's tokens whatever the
    answer begins with; lone digits make every number a short, learnable sequence.
    """
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\n"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[AddedToken(t, special=True, normalized=False) for t in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(texts, trainer)
    return tok


# --- batches


class Batches:
    """Rows of token ids (int64, rows x length+1) with a weight per target, half prose and half exchanges."""

    def __init__(self, tok: Tokenizer, docs: Sequence[Doc], grammar: Grammar, seed: int) -> None:
        self.tok, self.grammar, self.rng = tok, grammar, random.Random(seed)
        eot = SPECIALS.index(EOT)
        order = list(docs)
        self.rng.shuffle(order)
        self.stream: list[int] = []
        self.starts: list[int] = []
        for enc in tok.encode_batch([f"{d.name}\n\n{d.text}" for d in order]):
            self.starts.append(len(self.stream))
            self.stream += [*enc.ids, eot]
        self.at = 0
        self.prompt_weight = 0.3

    def prose_row(self, length: int) -> tuple[list[int], list[float]]:
        """The next ``length + 1`` tokens of the shuffled documents, from a random phase in each pass."""
        if self.at + length + 1 >= len(self.stream):
            self.at = self.rng.randrange(length)
        # One row in ten begins where a document begins, as texts do in use.
        start = self.starts[self.rng.randrange(len(self.starts))] if self.rng.random() < 0.1 else self.at
        row = self.stream[start : start + length + 1]
        if start == self.at:
            self.at += length
        if len(row) <= length:
            row = self.stream[-(length + 1) :]
        return row, [1.0] * length

    def chat_row(self, length: int) -> tuple[list[int], list[float]]:
        """Whole conversations until the row is full; targets outside the answers weigh less."""
        ids: list[int] = []
        weights: list[float] = []
        while len(ids) <= length:
            for role, content in self.grammar.chat():
                header = self.tok.encode(f"{IM_START}{role}\n").ids
                body = self.tok.encode(content).ids
                tail = self.tok.encode(f"{IM_END}\n").ids
                answer = role == "assistant"
                ids += header + body + tail
                weights += [self.prompt_weight] * len(header)
                weights += [1.0 if answer else self.prompt_weight] * (len(body) + 1) + [self.prompt_weight]
        return ids[: length + 1], weights[1 : length + 1]

    def batch(self, tokens: int, length: int, chat_share: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
        """``tokens // length`` rows: ids (rows, length + 1) and target weights (rows, length)."""
        rows = tokens // length
        chats = round(rows * chat_share)
        made = [self.chat_row(length) for _ in range(chats)]
        made += [self.prose_row(length) for _ in range(rows - chats)]
        return torch.tensor([r for r, _ in made]), torch.tensor([w for _, w in made])


# --- optimiser and loop


@torch.no_grad()
def orthogonalised(update: torch.Tensor) -> torch.Tensor:
    """The nearest matrices with singular values near one, for a stack (k, m, n): five Newton-Schulz steps."""
    x = update.bfloat16()
    tall = x.size(1) > x.size(2)
    if tall:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    result: torch.Tensor = (x.transpose(1, 2) if tall else x).float()
    return result


class Muon:
    """Momentum with orthogonalised matrix updates; it needs fewer tokens than AdamW on the inner matrices."""

    def __init__(self, params: Sequence[torch.Tensor], momentum: float = 0.95, decay: float = 0.05) -> None:
        self.momentum, self.decay = momentum, decay
        groups: dict[tuple[int, ...], list[torch.Tensor]] = {}
        for p in params:
            groups.setdefault(tuple(p.shape), []).append(p)
        self.groups = [(ps, torch.zeros(len(ps), *shape)) for shape, ps in groups.items()]

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Apply the gradients that the parameters hold."""
        for params, velocity in self.groups:
            grads = torch.stack([p.grad for p in params if p.grad is not None])
            velocity.lerp_(grads, 1 - self.momentum)
            update = orthogonalised(grads.lerp(velocity, self.momentum))
            # The factor gives updates the root mean square of AdamW's, so that one learning rate serves both.
            scale = lr * 0.2 * math.sqrt(max(update.shape[1:]))
            for p, u in zip(params, update, strict=True):
                p.mul_(1 - lr * self.decay).sub_(u, alpha=scale)


def build_model(seed: int) -> LlamaForCausalLM:
    """The untrained model in float32."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.03,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=3,
        attention_dropout=0.0,
    )
    return LlamaForCausalLM(config)


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean cross-entropy in nats; ids (rows, length + 1), weights (rows, length)."""
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits
    losses = cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none")
    flat = weights.flatten()
    mean: torch.Tensor = (losses * flat).sum() / flat.sum()
    return mean


@torch.no_grad()
def evaluate(model: LlamaForCausalLM, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Mean loss over held-out batches."""
    return sum(float(loss_of(model, ids, weights)) for ids, weights in batches) / len(batches)


def rate(step: int, steps: int, peak: float, warmup: int = 40) -> float:
    """Learning rate: linear warm-up, then a cosine down to 2 % of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def row_length(step: int, steps: int, rng: random.Random) -> int:
    """Mostly short rows; longer ones in the second half, so that every position of the window is trained."""
    if step < steps // 2:
        return ROW
    return rng.choices((ROW, 2 * ROW, 4 * ROW), (0.7, 0.2, 0.1))[0]


@dataclass
class Options:
    """Command-line options."""

    out: Path
    tokens: int
    batch_tokens: int
    lr: float
    seed: int
    threads: int
    precision: str


def train(opt: Options) -> None:
    """Train from scratch and write the model folder."""
    torch.set_num_threads(opt.threads)
    docs = read_docs()
    corpus = hashlib.sha256("\0".join(f"{d.name}\n\n{d.text}" for d in docs).encode()).hexdigest()
    kept = [d for d in docs if not is_held_out(d.text)]
    held = [d for d in docs if is_held_out(d.text)]
    sample = Grammar(opt.seed + 1, kept)
    exchanges = [render(sample.chat()) for _ in range(16000)]
    plain = [t.replace(IM_START, "").replace(IM_END, "") for t in exchanges]
    tok = train_tokenizer([d.text for d in kept] + plain)
    feed = Batches(tok, kept, Grammar(opt.seed + 2, kept), opt.seed + 3)
    held_feed = Batches(tok, held, Grammar(opt.seed + 4, held), opt.seed + 5)
    held_text = [held_feed.batch(4096, ROW, 0.0) for _ in range(3)]
    held_feed.prompt_weight = 0.0
    held_chat = [held_feed.batch(4096, ROW, 1.0) for _ in range(3)]
    print(f"{len(docs)} texts, {len(feed.stream)} tokens of prose, corpus sha256 {corpus}", flush=True)

    master = build_model(opt.seed)
    # In bfloat16 the forward and backward passes run on a copy; the weights themselves stay float32.
    worker = master
    if opt.precision == "bfloat16":
        worker = build_model(opt.seed).to(torch.bfloat16)
    pairs = list(zip(master.parameters(), worker.parameters(), strict=True))
    inner = [p for n, p in master.named_parameters() if p.ndim == 2 and "embed" not in n]
    outer = [p for n, p in master.named_parameters() if not (p.ndim == 2 and "embed" not in n)]
    muon = Muon(inner)
    adamw = torch.optim.AdamW(outer, lr=opt.lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True)

    steps = max(1, opt.tokens // opt.batch_tokens)
    rng = random.Random(opt.seed + 6)
    seen, began = 0, time.monotonic()
    recent: list[float] = []
    for step in range(steps):
        lr = rate(step, steps, opt.lr)
        ids, weights = feed.batch(opt.batch_tokens, row_length(step, steps, rng))
        loss = loss_of(worker, ids, weights)
        loss.backward()  # type: ignore[no-untyped-call]
        for whole, half in pairs:
            if half is not whole and half.grad is not None:
                whole.grad = half.grad.float()
                half.grad = None
        torch.nn.utils.clip_grad_norm_([p for p, _ in pairs], 1.0)
        muon.step(lr)
        adamw.param_groups[0]["lr"] = lr
        adamw.step()
        master.zero_grad(set_to_none=True)
        if worker is not master:
            with torch.no_grad():
                for whole, half in pairs:
                    half.copy_(whole)
        seen += weights.numel()
        recent = [*recent[-49:], float(loss.detach())]
        if step % 50 == 49 or step == steps - 1:
            speed = seen / (time.monotonic() - began)
            mean = sum(recent) / len(recent)
            line = f"step {step + 1}/{steps} loss {mean:.3f} lr {lr:.2e} {speed:.0f} tokens/s"
            if step % 200 == 199:
                line += f" held-out text {evaluate(worker, held_text):.3f}"
                line += f" answers {evaluate(worker, held_chat):.3f}"
            print(line, flush=True)
    shipped = master.to(torch.bfloat16).float()
    facts: dict[str, Any] = {
        "seed": opt.seed,
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "precision": opt.precision,
        "threads": opt.threads,
        "corpus_sha256": corpus,
        "corpus_texts": len(docs),
        "corpus_characters": sum(len(d.text) for d in docs),
        "prose_tokens": len(feed.stream),
        "tokens_seen": seen,
        "steps": steps,
        "batch_tokens": opt.batch_tokens,
        "peak_lr": opt.lr,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "parameters": sum(p.numel() for p in shipped.parameters()),
        "train_loss": round(sum(recent) / len(recent), 4),
        "held_out_text_loss": round(evaluate(shipped, held_text), 4),
        "held_out_answer_loss": round(evaluate(shipped, held_chat), 4),
    }
    print(json.dumps(facts), flush=True)
    write_folder(opt.out, shipped, tok, facts)


# --- the shipped folder

CONFIG_KEYS = frozenset(
    [
        "attention_bias",
        "attention_dropout",
        "bos_token_id",
        "eos_token_id",
        "head_dim",
        "hidden_act",
        "hidden_size",
        "initializer_range",
        "intermediate_size",
        "max_position_embeddings",
        "mlp_bias",
        "model_type",
        "num_attention_heads",
        "num_hidden_layers",
        "num_key_value_heads",
        "pad_token_id",
        "rms_norm_eps",
        "rope_parameters",
        "tie_word_embeddings",
        "use_cache",
        "vocab_size",
    ]
)
LICENCE_NOTE = """\
The weights in this folder were trained from scratch by scripts/train_builtin_base.py on two sources:

- the docstrings of the Python standard library and pydoc_data/topics.py, copyright the Python Software
  Foundation, under the PSF License Version 2 (code examples in it also under the Zero-Clause BSD licence);
- question-and-answer exchanges that the script itself generates, under this project's own licence.

No other text and no other model's weights went into them.
"""


def _write(path: Path, data: bytes) -> None:
    """Replace a file in one step: a reader sees the old file or the new one, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def write_folder(out: Path, model: LlamaForCausalLM, tok: Tokenizer, facts: dict[str, Any]) -> None:
    """Write weights (bfloat16), configuration, tokenizer, template and facts in Hugging Face layout."""
    out.mkdir(parents=True, exist_ok=True)
    config = {"architectures": ["LlamaForCausalLM"], "dtype": "bfloat16"}
    config |= {k: v for k, v in model.config.to_dict().items() if k in CONFIG_KEYS}
    ids = {t: tok.token_to_id(t) for t in SPECIALS}
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 1024,
        "pad_token": PAD,
        "bos_token": EOT,
        "eos_token": IM_END,
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "padding_side": "right",
    }
    generation = {
        "bos_token_id": ids[EOT],
        "eos_token_id": [ids[IM_END], ids[EOT]],
        "pad_token_id": ids[PAD],
        "do_sample": False,
    }
    state = {n: t.bfloat16().contiguous() for n, t in model.state_dict().items() if n != "lm_head.weight"}
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / "model.safetensors"
        save_file(state, weights, metadata={"format": "pt"})
        _write(out / "model.safetensors", weights.read_bytes())
    _write(out / "tokenizer.json", tok.to_str(pretty=False).encode())
    _write(out / "tokenizer_config.json", _json(tokenizer_config))
    _write(out / "chat_template.jinja", CHAT_TEMPLATE.encode())
    _write(out / "config.json", _json(config))
    _write(out / "generation_config.json", _json(generation))
    _write(out / "training.json", _json(facts))
    _write(out / "LICENSE-NOTE", LICENCE_NOTE.encode())


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("dlm_lsp/training/builtin/tiny"))
    parser.add_argument("--tokens", type=int, default=6_400_000, help="length of the training")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--lr", type=float, default=6e-3)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    train(Options(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
