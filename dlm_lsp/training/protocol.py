"""The one small protocol between deciding (`runs`) and learning (`training`). Plain data, no torch.

The learner in this process, the one in a child process, a fake for tests, and later one on another machine are
interchangeable behind it: requests and results are plain values, weights travel as the bytes of their files.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from dlm_lsp.document.model import Lesson
from dlm_lsp.store.versions import RunKind as RunKind

LearnerMode = Literal["thread", "process"]
PhaseName = Literal["import", "load", "download", "tokenise", "train", "write"]
LearnEnd = Literal["learned", "cap", "epochs", "stopped"]
AnswerEnd = Literal["end", "length", "stopped"]


class LearnerError(Exception):
    """Learning failed for a reason the author can act on; the message is one clear sentence (or two)."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "learning-failed",
        key: str | None = None,
        suggestions: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.key = key  # dotted frontmatter key that the message is about, such as "base_model"
        self.suggestions = suggestions  # values for that key that were probably meant, the likeliest first


def unforeseen(error: BaseException) -> LearnerError:
    """What is told of an error that nobody foresaw: its kind and first line. The log has the traceback."""
    return LearnerError(f"{type(error).__name__}: {error}".splitlines()[0][:300], code="internal-error")


def run_stopped() -> LearnerError:
    """Why the weights of a run that goes on give no more of an answer."""
    return LearnerError("The run was stopped, and with it what it had learned.", code="run-stopped")


class LearnerLostError(LearnerError):
    """The learner itself is gone: killed, crashed or hung. The next call starts a new one."""


class LearningCancelled(Exception):  # noqa: N818 - the author asked for it; nothing went wrong
    """A stop was requested and the learner stopped before the next optimizer step; nothing is to be committed.

    The message, if there is one, says what the stop has cost.
    """


@dataclass(frozen=True, slots=True)
class BaseRequest:
    """Which base model, as the document names it; relative directories are relative to `document_dir`."""

    reference: str
    document_dir: str
    revision: str | None = None  # the revision recorded at the first resolution, so that it stays pinned


@dataclass(frozen=True, slots=True)
class AdapterShape:
    """What fixes the adapter's tensors.

    `target_modules` None: those of the version that is continued; of a new adapter all linear layers but the output.
    """

    kind: Literal["lora", "dora", "qlora"] = "lora"
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05
    target_modules: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Every effective training setting. None stands for "auto" or "not written": the learner decides.

    `learning_rate` and `num_epochs` are None when the document does not write them: a cycle and a full retrain
    then follow the documented rules of `docs/learning.md`; written values are taken as they are.
    """

    learning_rate: float | None = None
    num_epochs: int | None = None
    sequence_len: int = 2048
    micro_batch_size: int | None = None
    grad_accum: int | None = None
    optimizer: str = "adamw_torch"
    lr_scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: float = 0.1
    precision: Literal["bf16", "fp16", "fp32"] | None = None
    seed: int = 42


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """Which warm model: a session is reused while all of this stays equal."""

    key: str  # one session per document: its dlm_id
    base: BaseRequest
    shape: AdapterShape
    settings: TrainingSettings
    version_dir: str | None = None  # the committed version to continue from, None for a new adapter
    system_prompt: str | None = None


@dataclass(frozen=True, slots=True)
class LearnPlan:
    """What one run has to learn.

    A cycle continues `session.version_dir` (or begins a new adapter when there is none), trains `fresh` mixed
    with rows drawn from `known`, and stops after `max_steps` optimizer steps or when `fresh` is learned.
    A full retrain begins a new adapter from the base and trains `fresh` (the whole document) without cap.
    `guarded` names lessons of `known` by identity: how well the new weights still know them is measured at the
    end, in this order, as far as the guard's budget goes. `risks` names lessons of `known`, those most in danger of
    being forgotten first: they are rehearsed, and looked at, before others.
    """

    session: SessionRequest
    kind: RunKind
    fresh: tuple[Lesson, ...]
    known: tuple[Lesson, ...] = ()
    max_steps: int | None = 100
    guarded: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LessonResult:
    """What one run did for one lesson. `times_seen` counts optimizer steps that held one of its rows.

    `complete` is False when some of its tokens were in no step (the cap came first). Losses are mean negative
    log likelihoods per trained token, in nats, measured in the first and the last step that held it.
    """

    identity: str
    times_seen: int
    complete: bool
    learned: bool
    loss_before: float | None
    loss_after: float | None


@dataclass(frozen=True, slots=True)
class LessonScore:
    """What the new weights say of a lesson that the run did not have to learn; measured without dropout.

    `loss` in nats per trained token; `exact`: each of its tokens is the most likely one after those before it.
    """

    identity: str
    loss: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Learned:
    """The outcome of a run: the files of the new version and what is true of it.

    `lessons` are the fresh ones; `rehearsed` tells of known ones that were in a step.
    """

    files: Mapping[str, bytes]
    end: LearnEnd
    steps: int
    tokens: int
    final_loss: float | None
    lessons: tuple[LessonResult, ...]
    base_id: str  # `base_model_name_or_path` as written into the adapter
    base_revision: str | None
    device: str  # such as "cpu (1 thread, fp32)"
    seed: int
    pinned_versions: Mapping[str, str] = field(default_factory=dict)
    phases: Mapping[str, float] = field(default_factory=dict)  # seconds per phase
    torch_version: str = ""
    scores: tuple[LessonScore, ...] = ()
    rehearsed: tuple[LessonResult, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What is warm: said in hover and status."""

    base_id: str
    base_revision: str | None
    parameters: int
    trainable: int
    context_length: int
    device: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said before in a conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """A question to version `session.version_dir` of a document's adapter, or to the bare base when that is None.

    `live`: to the weights as they are in memory, whatever run they belong to. `temperature` 0 is greedy. The shape and
    the settings of `session` do not matter to a committed version, which has its own shape.
    """

    session: SessionRequest
    prompt: str
    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    earlier: tuple[Turn, ...] = ()
    live: bool = False


@dataclass(frozen=True, slots=True)
class Spoken:
    """How an answer ended: at its end, at the number of tokens (or the base's context), or by a stop."""

    end: AnswerEnd
    prompt_tokens: int
    tokens: int  # of the answer


class Question(Protocol):
    """A question that comes while a run goes on. Called on the learner's thread; ended by `end` or by `later`, once."""

    @property
    def request(self) -> GenerateRequest: ...

    def stop_requested(self) -> bool:
        """Whether nobody waits for more of the answer: polled at least once per token."""

    def piece(self, text: str) -> None:
        """The next piece of the answer."""

    def end(self, outcome: Spoken | LearnerError) -> None:
        """The answer is whole, or there will be none."""

    def later(self) -> None:
        """It can't be answered during this run, or not to its end; it is asked again after it, from its beginning."""


class Revision(Protocol):
    """A newer text of what a run learns. Called on the learner's thread."""

    @property
    def plan(self) -> LearnPlan:
        """What the rest of the run has to learn; session, kind and cap are those of the run."""

    def taken(self) -> None:
        """From here on the run learns this; to be called once, unless the run ends before."""


class Control(Protocol):
    """What a learner is handed to be controlled by, and to tell its progress. Called on the learner's thread."""

    def stop_requested(self) -> bool:
        """Whether to stop before the next step: polled at least once per optimizer step and loading phase."""

    def phase(self, name: PhaseName, detail: str = "", fraction: float | None = None) -> None:
        """A phase began, or moved on (`fraction` 0..1 where known)."""

    def step(self, step: int, total: int, loss: float, learning_rate: float, tokens: int) -> None:
        """Optimizer step `step` (from 1) of at most `total` is done. `loss` in nats per trained token."""

    def question(self) -> Question | None:
        """The next question to answer before the run goes on, if there is one: polled where a stop is.

        Whoever takes it ends it. Answering it changes nothing in what is learned.
        """

    def revision(self) -> Revision | None:
        """The newest text to go on with, if there is one: polled at each step boundary of a run."""

    def finish_requested(self) -> bool:
        """Whether to end the run at this step boundary and keep what it has learned: polled there, and then done."""


class Unwatched:
    """The control of work that nobody watches; it stops when `stop` is set, if there is one."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop

    def stop_requested(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    def phase(self, name: PhaseName, detail: str = "", fraction: float | None = None) -> None:
        """Nobody is told."""

    def step(self, step: int, total: int, loss: float, learning_rate: float, tokens: int) -> None:
        """Nobody is told."""

    def question(self) -> None:
        """Nobody asks."""

    def revision(self) -> None:
        """Nobody writes on."""

    def finish_requested(self) -> bool:
        return False


class Learner(Protocol):
    """Learns adapters. All methods are called on one thread; none of them writes to a store."""

    def warm(self, request: SessionRequest, control: Control, lessons: tuple[Lesson, ...] = ()) -> SessionInfo:
        """Loads what the next `learn` or `generate` of this session needs, and reads `lessons`. Raises LearnerError."""

    def learn(self, plan: LearnPlan, control: Control) -> Learned:
        """Runs `plan` to its end. Raises LearnerError or LearningCancelled; the session stays usable."""

    def committed(self, key: str, version_dir: str) -> None:
        """The last `learn` of session `key` was committed as `version_dir`; its weights are that version now."""

    def generate(self, request: GenerateRequest, control: Control) -> Generator[str, None, Spoken]:
        """Yields the answer in pieces of text as they are generated; it ends when another call begins.

        What the session has learned is as before afterwards, to the bit. Raises LearnerError and LearningCancelled.
        """

    def release(self, key: str) -> None:
        """Forgets the session `key` and gives its memory back."""

    def close(self) -> None:
        """Forgets everything."""


@runtime_checkable
class LivesElsewhere(Protocol):
    """A learner whose work is done outside of this process, and may end there."""

    @property
    def alive(self) -> bool:
        """Whether anything can be in memory there. From any thread."""

    def abandon(self) -> None:
        """Ends that work at once and for good, whatever it is doing. From any thread; this process is about to end."""
