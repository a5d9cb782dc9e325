"""What the tests of learning share: lessons, requests, a recording control, and a version directory."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.protocol import (
    AdapterShape,
    BaseRequest,
    GenerateRequest,
    Learned,
    Learner,
    LearnerError,
    LearnPlan,
    Question,
    SessionRequest,
    Spoken,
    TrainingSettings,
)

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TEXT = "The harbour of the old town opens at six. Who keeps the lighthouse? Nobody knows, they say.\n"


class Recorder:
    """A control that remembers everything, and stops after `stop_after` steps."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.phases: list[str] = []
        self.steps: list[tuple[int, int, float, float, int]] = []
        self.questions: list[Question] = []

    def stop_requested(self) -> bool:
        return self.stop_after is not None and len(self.steps) >= self.stop_after

    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        self.phases.append(name)

    def step(self, step: int, total: int, loss: float, learning_rate: float, tokens: int) -> None:
        self.steps.append((step, total, loss, learning_rate, tokens))

    def question(self) -> Question | None:
        return self.questions.pop(0) if self.questions else None

    @property
    def rates(self) -> list[float]:
        return [rate for _, _, _, rate, _ in self.steps]


class Asked:
    """A question in the middle of a run that remembers everything; `stop_after` pieces nobody wants more."""

    def __init__(self, session: SessionRequest, prompt: str = "Who?", stop_after: int | None = None, **options: Any):
        self.request = GenerateRequest(session, prompt, options.pop("tokens", 12), **options)
        self.stop_after = stop_after
        self.pieces: list[str] = []
        self.outcome: Spoken | LearnerError | None = None
        self.put_off = 0

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def stop_requested(self) -> bool:
        return self.stop_after is not None and len(self.pieces) >= self.stop_after

    def piece(self, text: str) -> None:
        assert self.outcome is None
        self.pieces.append(text)

    def end(self, outcome: Spoken | LearnerError) -> None:
        assert self.outcome is None
        self.outcome = outcome

    def later(self) -> None:
        assert self.outcome is None
        self.put_off += 1


def exchange(prompt: str, answer: str) -> Lesson:
    return _lesson("exchange", prompt, answer)


def prose(text: str) -> Lesson:
    return _lesson("prose", "", text)


def _lesson(kind: Any, prompt: str, answer: str) -> Lesson:
    digest = hashlib.sha256(f"{kind}\n{prompt}\n{answer}".encode()).hexdigest()
    return Lesson(digest[:16], digest[16:32], kind, prompt, answer)


def request(
    base: Path | str,
    *,
    key: str = "document",
    version: Path | None = None,
    shape: AdapterShape | None = None,
    system_prompt: str | None = None,
    **settings: Any,
) -> SessionRequest:
    return SessionRequest(
        key=key,
        base=BaseRequest(str(base), str(Path.cwd())),
        shape=shape or AdapterShape(rank=4, alpha=8),
        settings=TrainingSettings(**settings),
        version_dir=str(version) if version else None,
        system_prompt=system_prompt,
    )


def commit(learner: Learner | None, learned: Learned, directory: Path, key: str = "document") -> Path:
    """Writes what was learned as the store would, and tells the learner."""
    directory.mkdir(parents=True)
    for name, data in learned.files.items():
        (directory / name).write_bytes(data)
    digest = hashlib.sha256(learned.files["training_state.pt"]).hexdigest()
    (directory / "training_state.pt.sha256").write_text(digest + "\n")
    if learner is not None:
        learner.committed(key, str(directory))
    return directory


def cycle(
    learner: Learner,
    session: SessionRequest,
    fresh: list[Lesson],
    known: list[Lesson] | None = None,
    *,
    steps: int = 3,
    control: Recorder | None = None,
) -> Learned:
    plan = LearnPlan(session, "cycle", tuple(fresh), tuple(known or ()), steps)
    return learner.learn(plan, control or Recorder())


def full(learner: Learner, session: SessionRequest, lessons: list[Lesson], control: Recorder | None = None) -> Learned:
    return learner.learn(LearnPlan(session, "full", tuple(lessons), (), None), control or Recorder())


def answer(learner: Learner, session: SessionRequest, prompt: str, tokens: int = 60, **options: Any) -> str:
    asked = GenerateRequest(session, prompt, tokens, **options)
    return "".join(learner.generate(asked, Recorder()))


def weights(learned: Learned) -> bytes:
    return learned.files["adapter_model.safetensors"]


def make_base(directory: Path, *, template: str | None = CHATML, **config: Any) -> Path:
    """A random Llama of a few thousand parameters with a byte-level tokenizer, as a snapshot directory."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers.models.llama.configuration_llama import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaForCausalLM
    from transformers.tokenization_utils_tokenizers import PreTrainedTokenizerFast

    special = ["<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [TEXT],
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=special[1], eos_token=special[3], pad_token=special[0]
    )
    if template is not None:
        fast.chat_template = template
    sizes = {
        "vocab_size": len(fast),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.3,
        "bos_token_id": 1,
        "eos_token_id": 3,
        "pad_token_id": 0,
    }
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**sizes | config))
    model.save_pretrained(directory)
    fast.save_pretrained(directory)
    return directory


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
