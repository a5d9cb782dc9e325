"""A warm model for one document: base, adapter, optimizer and token rows, kept between runs."""

from __future__ import annotations

import functools
import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.adapter import (
    WEIGHTS_FILE,
    adapter_files,
    make_adapter,
    read_shape,
    read_weights,
    target_modules,
)
from dlm_lsp.training.device import Device, choose_threads
from dlm_lsp.training.judge import Measured
from dlm_lsp.training.loading import LoadedBase
from dlm_lsp.training.memory import Load, Pass, fitting
from dlm_lsp.training.protocol import SessionInfo, SessionRequest, TrainingSettings
from dlm_lsp.training.quantised import PACKAGE
from dlm_lsp.training.rows import Row, RowMaker
from dlm_lsp.training.state import TrainingState, read_state, state_files
from dlm_lsp.training.stepping import Limits, StepDone, Stepper, make_optimizer

log = logging.getLogger(__name__)

_STEP_ROWS = 8  # rows in one optimizer step when neither micro_batch_size nor grad_accum is written
_UNLIMITED = 1 << 62
_PINNED = ("torch", "transformers", "peft")


class Session:
    """One document's model. Its weights are those of a version, or of an unfinished or uncommitted run.

    `global_step` counts optimizer steps since the adapter began, `moments_step` those that the optimizer's
    moments have seen (fewer, when the state of a version could not be read), `settled` those that they had seen when
    everything was learned last.
    """

    def __init__(self, base: LoadedBase, request: SessionRequest) -> None:
        self.base = base
        self.request = request
        self.row_maker = RowMaker(base.tokenizer, base.context_length, base.end_tokens)
        self.global_step = 0
        self.moments_step = self.settled = 0
        self.epoch = 0.0
        self._holds: Stamp | None = None  # the version that the weights are, when they are one
        self._dirty = False  # whether the weights are neither a version's nor a new adapter's
        self._seed = request.settings.seed
        self._limits_of: tuple[int | None, int | None] | None = None
        self._make_adapter()
        self._fit_limits()
        self.threads = self._choose_threads()

    def prepare(self, request: SessionRequest, *, anew: bool = False) -> None:
        """Makes the weights those of `request.version_dir`, or (when None, or `anew`) those of a new adapter.

        Nothing is read when they are already in memory. Raises LearnerError.
        """
        self.request = request
        self.threads = self._choose_threads()
        if anew or request.version_dir is None:
            unused = self._holds is None and not self._dirty and self._seed == request.settings.seed
            unused = unused and self._modules is None
            if not unused:
                self._make_adapter()
            self._fit_limits()
            return
        asked = stamp(request.version_dir)
        if self._holds != asked or self._dirty:
            self._take_modules_of(Path(request.version_dir))
            self._read(Path(request.version_dir))
            self._holds, self._dirty = asked, False
        self._fit_limits()

    def holds(self, version_dir: str) -> bool:
        """Whether the weights in memory are that version's."""
        return not self._dirty and self._holds == stamp(version_dir)

    def begin_run(self) -> None:
        """From here on the weights are those of no version, until `committed`."""
        self._dirty = True

    def committed(self, version_dir: str) -> None:
        """The weights in memory were written as this version."""
        self._holds, self._dirty = stamp(version_dir), False

    def rows(self, lesson: Lesson) -> Sequence[Row]:
        return self.row_maker.rows(lesson, self.request.system_prompt, self.request.settings.sequence_len)

    def keep_rows_of(self, identities: Iterable[str]) -> None:
        """Forgets the rows of lessons that left the document."""
        self.row_maker.keep_only(frozenset(identities))

    @property
    def step_rows(self) -> int:
        """Rows of one optimizer step: micro batch times accumulation, 8 where both are "auto"."""
        micro, accum = self.request.settings.micro_batch_size, self.request.settings.grad_accum
        if micro is None and accum is None:
            return _STEP_ROWS
        return (micro or max(1, _STEP_ROWS // (accum or 1))) * (accum or max(1, _STEP_ROWS // (micro or 1)))

    def step(self, rows: Sequence[Row], rate: float) -> StepDone:
        """One optimizer step; its randomness follows from the seed and the number of the step.

        Raises LearnerError.
        """
        if not self.model.training:
            self.model.train()
        seed = random.Random(f"step {self.request.settings.seed} {self.global_step}").getrandbits(63)
        done = self.stepper.step(rows, rate, self._limits, seed)
        self.global_step += 1
        self.moments_step += 1
        return done

    def exercise(self, rows: Sequence[Row]) -> None:
        """Does what a step on `rows` and a look at them do, and leaves weights and moments as they are."""
        self.model.train()
        self.stepper.exercise(rows, self._limits)
        self.stepper.measure(rows, self._limits)

    def measure(self, rows: Sequence[Row]) -> list[Measured]:
        """What the weights say of `rows` now; changes neither them nor what the next step draws."""
        return self.stepper.measure(rows, self._limits)

    def files(self, rate: float) -> dict[str, bytes]:
        """The files of a version that holds the weights as they are now; `rate` is the last step's."""
        settings = self.request.settings
        state = TrainingState(
            optimizer=self.stepper.optimizer.state_dict(),
            scheduler={
                "last_epoch": self.global_step,
                "_last_lr": [rate],
                "moments_step": self.moments_step,
                "settled": self.settled,
            },
            scaler=self.stepper.scaler.state_dict() if self.stepper.scaler.is_enabled() else None,
            global_step=self.global_step,
            epoch=self.epoch,
        )
        written = state_files(
            state,
            seed=settings.seed,
            base_revision=self.base.resolved.revision,
            pinned_versions=pinned_versions(quantised=self.base.quantised),
            quantised=self.base.quantised,
        )
        return {**adapter_files(self.model), **self.base.tokenizer_files, **written}

    def info(self) -> SessionInfo:
        return SessionInfo(
            base_id=self.base.resolved.hf_id,
            base_revision=self.base.resolved.revision,
            parameters=self.base.parameters,
            trainable=sum(each.numel() for each in self.stepper.parameters),
            context_length=self.base.context_length,
            device=self.base.device.describe(self.threads, self.base.quantised),
        )

    def _take_modules_of(self, version_dir: Path) -> None:
        """Where the document leaves them open, a version goes on with its own modules, whatever made it."""
        if self.request.shape.target_modules is not None:
            return
        modules = read_shape(version_dir).target_modules
        if modules != target_modules(self.model):
            self._make_adapter(modules)

    def _make_adapter(self, modules: tuple[str, ...] | None = None) -> None:
        self._seed = self.request.settings.seed
        self._modules = modules
        shape = self.request.shape if modules is None else replace(self.request.shape, target_modules=modules)
        self.model: Any = make_adapter(self.base, shape, self._seed)
        self.stepper = Stepper(self.model, self.base.device)
        self.global_step = self.moments_step = self.settled = 0
        self.epoch = 0.0
        self._holds, self._dirty = None, False

    def _read(self, version_dir: Path) -> None:
        """Adapter and training state of a version. Without usable state the moments begin anew."""
        read_weights(self.model, version_dir)
        self._dirty = True
        self.stepper.optimizer = make_optimizer(self.stepper.parameters)
        self.global_step = self.moments_step = self.settled = 0
        self.epoch = 0.0
        state = read_state(version_dir)
        if state is None:
            return
        self.global_step, self.epoch = state.global_step, state.epoch
        try:
            self._restore(state)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            log.warning("the moments in %s do not fit this adapter, they begin anew: %s", version_dir.name, error)
            self.stepper.optimizer = make_optimizer(self.stepper.parameters)
            self.moments_step = self.settled = 0

    def _restore(self, state: TrainingState) -> None:
        optimizer = self.stepper.optimizer
        # The groups (rate, betas, which kernel) are this optimizer's own, only the moments are taken over.
        own = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state.optimizer["state"], "param_groups": own})
        for parameter, moments in optimizer.state.items():
            if moments["exp_avg"].shape != parameter.shape or moments["exp_avg_sq"].shape != parameter.shape:
                raise ValueError("their shapes are others")
        if len(optimizer.state) != len(self.stepper.parameters):
            raise ValueError("their number is another")
        if state.scaler:
            self.stepper.scaler.load_state_dict(dict(state.scaler))
        self.moments_step = int(state.scheduler.get("moments_step", state.global_step))
        self.settled = int(state.scheduler.get("settled", self.moments_step))

    def _fit_limits(self) -> None:
        """A written micro batch is taken as it is; "auto" goes as far as memory does.

        What running out of memory has taught is kept until the settings change.
        """
        micro, accum = written = (self.request.settings.micro_batch_size, self.request.settings.grad_accum)
        if written != self._limits_of:
            self._limits_of = written
            rows = self.step_rows if written == (None, None) else micro or max(1, self.step_rows // (accum or 1))
            self._limits = Limits(rows, _UNLIMITED, _UNLIMITED)
        if written == (None, None):
            room = self._room()
            if (room.tokens, room.places) != (self._limits.tokens, self._limits.places):
                log.info("a micro batch is at most %d tokens, %d of them targets", room.tokens, room.places)
            self._limits.tokens, self._limits.places = room.tokens, room.places

    def _room(self) -> Pass:
        """The most that fits into the memory that is free now, once the optimizer has its gradients and moments."""
        base, shape = self.base, self.request.shape
        # Fused attention keeps no scores. torch has none with a way back for MPS, nor on CUDA for fp32 where several
        # queries share a key, as transformers asks for it (github.com/pytorch/pytorch/pull/181528).
        keeps_scores = (
            self.model.config._attn_implementation == "eager"
            or base.device.kind == "mps"
            or (base.device == Device("cuda", "fp32") and base.sizes.keys < base.sizes.queries)
        )
        load = Load(
            shape.rank,
            target_modules(self.model),
            base.device.dtype.itemsize,
            shape.kind,
            base.device.kind,
            longest_row=min(self.request.settings.sequence_len, base.context_length),
            keeps_scores=keeps_scores,
        )
        trained = sum(each.numel() for each in self.stepper.parameters)
        return fitting(base.sizes, load, base.device.free_memory() - 12 * trained)

    def _choose_threads(self) -> int:
        """Times a step of usual size, once for each size of base; nothing that is kept is changed."""
        import torch

        if self.base.device.kind != "cpu":
            return torch.get_num_threads()
        # A large base takes seconds for a usual step, and shows with fewer rows what threads are worth.
        rows = max(1, min(_STEP_ROWS, _STEP_ROWS * 20_000_000 // self.base.parameters))
        tokens = torch.zeros((rows, min(48, self.base.context_length)), dtype=torch.long)
        answers = torch.arange(0, tokens.numel(), 4)

        def step() -> None:
            with self.stepper.logits_at.places(answers):
                logits = self.model(input_ids=tokens, use_cache=False).logits
            torch.autograd.backward(logits.float().sum())
            self.stepper.optimizer.zero_grad(set_to_none=True)

        sort = f"2^{self.base.parameters.bit_length()} parameters in {self.base.device.precision}"
        return choose_threads(sort + " over four bits" * self.base.quantised, step)


Stamp = tuple[str, int, int]


def stamp(version_dir: str) -> Stamp:
    """Tells a version from another one that was later written under the same name."""
    try:
        found = (Path(version_dir) / WEIGHTS_FILE).stat()
    except OSError:
        return version_dir, 0, 0  # reading it will say what is wrong
    return version_dir, found.st_mtime_ns, found.st_ino


@functools.cache
def pinned_versions(*, quantised: bool = False) -> Mapping[str, str]:
    """The packages that a version was trained with, which stay what they are while they are imported.

    bitsandbytes among them says to other tools that it was QLoRA.
    """
    return MappingProxyType({name: version(name) for name in (*_PINNED, *((PACKAGE,) if quantised else ()))})


def clamped(settings: TrainingSettings, context_length: int) -> bool:
    """Whether the written row length is longer than the base can read."""
    return settings.sequence_len > context_length
