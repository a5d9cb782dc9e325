"""A learner that learns nothing and does everything else: deterministic, and paced by the test."""

from __future__ import annotations

import ctypes
import json
import os
import select
import struct
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.protocol import (
    Control,
    GenerateRequest,
    Learned,
    LearnEnd,
    LearnerError,
    LearningCancelled,
    LearnPlan,
    LessonResult,
    LessonScore,
    SessionInfo,
    SessionRequest,
    Spoken,
)

BASE_ID = "fake:tiny"
DEVICE = "cpu (fake)"

# A lesson that contains one of these words makes the run do what it says.
FAIL = "FAIL"  # a LearnerError about `base_model`
BREAK = "BREAK"  # an exception that nobody foresaw
QUIT = "QUIT"  # the end of the interpreter, as a library may ask for it
NOISE = "NOISE"  # writes to standard output in every way that a library may, and reads standard input
FORGET = "FORGET"  # the adapter loses what it learned before
UNKNOWN = "I do not know."  # what is answered to a question that was not learned
STUBBORN = "STUBBORN"  # does not look at the stop flag any more once it has begun to train


class Stopping(Protocol):
    def stop_requested(self) -> bool: ...


class Gate:
    """Lets a learner in another process (or thread) go on step by step: one byte in a named pipe each.

    Without a gate a fake run goes through at once. The learner waits on the pipe, never on time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reached = threading.Semaphore(0)  # how often a learner of this process came to it
        if not path.exists():
            os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def allow(self, steps: int) -> None:
        """Lets the learner take `steps` steps."""
        os.write(self._fd, b"s" * steps)

    def take(self, stop: Stopping | None) -> None:
        """Waits for one step; raises LearningCancelled when `stop` says so."""
        self.reached.release()
        while not select.select([self._fd], [], [], 0.01)[0]:
            if stop is not None and stop.stop_requested():
                raise LearningCancelled
        os.read(self._fd, 1)

    def drain(self) -> None:
        """Takes back what nobody has used."""
        while select.select([self._fd], [], [], 0)[0]:
            os.read(self._fd, 4096)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _said(plan: LearnPlan) -> str:
    """All that `plan` wants to be learned, as one text. Raises LearnerError where that asks for it."""
    said = " ".join(f"{lesson.prompt} {lesson.answer}" for lesson in plan.fresh)
    if FAIL in said:
        raise LearnerError("The base can't be had. Choose another one.", code="base-missing", key="base_model")
    return said


class FakeLearner:
    """`steps` optimizer steps a run, fewer under a lower cap; every fresh lesson is learned unless capped."""

    def __init__(
        self, *, steps: int = 5, gate: Gate | None = None, tongue: Gate | None = None, diary: bool = True
    ) -> None:
        self.steps = steps
        self.gate = gate
        self.tongue = tongue  # paces the words of answers
        self.asked: list[GenerateRequest] = []
        self.base_revision: str | None = None  # on what it learns, as it says
        self.diary = diary  # whether what was asked is kept, for a test to look at
        self.plans: list[LearnPlan] = []
        self.commits: list[tuple[str, str]] = []
        self._sessions: dict[str, dict[str, str]] = {}

    def warm(self, request: SessionRequest, control: Control, lessons: tuple[Lesson, ...] = ()) -> SessionInfo:
        control.phase("load")
        self._sessions.setdefault(request.key, {})
        return SessionInfo(BASE_ID, None, 1_000, 10, 2048, DEVICE)

    def learn(self, plan: LearnPlan, control: Control) -> Learned:
        if self.diary:
            self.plans.append(plan)
        control.phase("load")
        control.phase("tokenise", fraction=1.0)
        said = _said(plan)
        if BREAK in said:
            raise ZeroDivisionError("nobody foresaw this")
        if QUIT in said:
            raise SystemExit(3)
        if NOISE in said:
            make_noise()
        control.phase("train")
        begun = {lesson.identity: 0 for lesson in plan.fresh}  # the steps made before each lesson came
        total = most = min(self.steps, plan.max_steps or self.steps)
        end: LearnEnd = "cap" if plan.max_steps is not None and plan.max_steps < self.steps else "learned"
        step = 0
        while True:
            self._answer_questions(control)
            if STUBBORN not in said and control.stop_requested():
                raise LearningCancelled
            if (revision := control.revision()) is not None:
                plan = revision.plan
                total = step + most
                begun.update({each.identity: step for each in plan.fresh if each.identity not in begun})
                if self.diary:
                    self.plans.append(plan)
                revision.taken()
                _said(plan)
            if step == total:
                break
            if step and control.finish_requested():
                end = "stopped"
                break
            if self.gate is not None:
                self.gate.take(None if STUBBORN in said else control)
            step += 1
            control.step(step, total, loss=round(3.0 / step, 4), learning_rate=2e-3, tokens=16)
        self._remember(plan.session.key, plan.fresh)
        learned = end == "learned"
        wanted = {lesson.identity for lesson in plan.fresh}
        return Learned(
            files=version_files(),
            end=end,
            steps=step,
            tokens=16 * step,
            final_loss=round(3.0 / step, 4),
            lessons=tuple(
                LessonResult(
                    identity,
                    step - before,
                    step > before and (learned or end == "stopped"),
                    learned and identity in wanted,
                    3.0,
                    round(3.0 / step, 4),
                )
                for identity, before in begun.items()
            ),
            base_id=BASE_ID,
            base_revision=self.base_revision,
            device=DEVICE,
            seed=plan.session.settings.seed,
            torch_version="0",
            scores=tuple(
                LessonScore(identity, 5.0 if FORGET in said else 0.1, FORGET not in said) for identity in plan.guarded
            ),
        )

    def committed(self, key: str, version_dir: str) -> None:
        if self.diary:
            self.commits.append((key, version_dir))

    def generate(self, request: GenerateRequest, control: Control) -> Generator[str, None, Spoken]:
        """Word by word; a lesson that it learned word for word, otherwise it does not know."""
        if self.diary:
            self.asked.append(request)
        answer = self._sessions.get(request.session.key, {}).get(request.prompt, UNKNOWN)
        words = answer.split(" ")[: request.max_new_tokens]
        for number, word in enumerate(words):
            if self.tongue is not None:
                with suppress(LearningCancelled):
                    self.tongue.take(control)
            if control.stop_requested():
                return Spoken("stopped", 1, number)
            yield word if number == 0 else f" {word}"
        return Spoken("end" if len(words) == len(answer.split(" ")) else "length", 1, len(words))

    def _answer_questions(self, control: Control) -> None:
        while (question := control.question()) is not None:
            pieces = self.generate(question.request, question)
            try:
                while True:
                    question.piece(next(pieces))
                    if control.stop_requested():
                        question.later()
                        raise LearningCancelled
            except StopIteration as end:
                question.end(end.value)

    def release(self, key: str) -> None:
        self._sessions.pop(key, None)

    def close(self) -> None:
        self._sessions.clear()

    def _remember(self, key: str, lessons: tuple[Lesson, ...]) -> None:
        if not self.diary:
            return
        session = self._sessions.setdefault(key, {})
        session.update({lesson.prompt: lesson.answer for lesson in lessons})


def make_noise() -> None:
    """As print, as a system call, through the C library's buffer, and from a child process that also reads."""
    print("noise of a library")  # noqa: T201
    os.write(1, b"Content-Length: 9999\r\n\r\nnoise of a system call\n")
    c_library = ctypes.CDLL(None)
    c_library.printf(b"Content-Length: 5\r\n\r\nnoise of a C library\n")
    c_library.fflush(None)
    child = "import sys; print('noise of a child process', len(sys.stdin.read()))"
    subprocess.run([sys.executable, "-c", child], check=True)


def version_files() -> dict[str, bytes]:
    """The files of a version that is complete as far as a store can see: one small finite tensor."""
    return {
        "adapter_model.safetensors": safetensors({"lora_A.weight": [1.0, 2.0], "lora_B.weight": [0.5, 0.0]}),
        "adapter_config.json": json.dumps({"peft_type": "LORA", "base_model_name_or_path": BASE_ID}).encode(),
        "training_state.pt": b"the moments of a fake",
        "training_state.rng.json": b"{}",
    }


def safetensors(tensors: dict[str, list[float]]) -> bytes:
    """Float32 vectors in the safetensors format: header length, JSON header, data."""
    header: dict[str, object] = {}
    data = b""
    for name, values in tensors.items():
        packed = struct.pack(f"<{len(values)}f", *values)
        offsets = [len(data), len(data) + len(packed)]
        header[name] = {"dtype": "F32", "shape": [len(values)], "data_offsets": offsets}
        data += packed
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + data
