"""The learner in this process: warm sessions behind the protocol."""

from __future__ import annotations

import gc
import logging
import sys
import time
import weakref
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.base_files import read_config
from dlm_lsp.training.memory import configured
from dlm_lsp.training.protocol import (
    BaseRequest,
    Control,
    GenerateRequest,
    Learned,
    Learner,
    LearnerError,
    LearningCancelled,
    LearnPlan,
    PhaseName,
    Question,
    Revision,
    SessionInfo,
    SessionRequest,
    Spoken,
    TrainingSettings,
    Unwatched,
    run_stopped,
    unforeseen,
)
from dlm_lsp.training.quantised import qlora_obstacle
from dlm_lsp.training.stack import import_stack, switching_quickly

if TYPE_CHECKING:
    from dlm_lsp.training.bases import ResolvedBase
    from dlm_lsp.training.device import Device
    from dlm_lsp.training.loading import LoadedBase
    from dlm_lsp.training.loop import Outcome
    from dlm_lsp.training.session import Session
    from dlm_lsp.training.speaking import Voice, Voices

log = logging.getLogger(__name__)

Resolve = Callable[[BaseRequest, Callable[[str, float | None], None], Callable[[], bool]], "ResolvedBase"]
Teach = Callable[["Session", LearnPlan, Control, Callable[[], None]], "Outcome"]


def create() -> Learner:
    """The learner of this process.

    Nothing heavy is imported before the first `warm`, `learn` or `generate`.
    """
    from dlm_lsp.training import bases

    return InProcessLearner(bases.resolve)


@dataclass(slots=True)
class _Resident:
    """A session and the base request it was opened with, resolved."""

    session: Session
    asked: BaseRequest
    precision: str | None  # as it was written then


class InProcessLearner:
    """Keeps one session per document; documents on the same base share its weights.

    `_guests` are the models of versions whose adapters have another shape than their document's has now.
    """

    def __init__(self, resolve: Resolve, teach: Teach | None = None) -> None:
        """`teach` is how a prepared session is taught, None for `loop.learn`."""
        self._resolve = resolve
        self._teach = teach
        self._residents: dict[str, _Resident] = {}
        self._guests: dict[str, Session] = {}
        self._voices: Voices | None = None
        self._answer: weakref.ref[Generator[str, None, Spoken]] | None = None

    def warm(self, request: SessionRequest, control: Control, lessons: tuple[Lesson, ...] = ()) -> SessionInfo:
        self._hush()
        with switching_quickly():
            session = self._open(request, _Clock(control))
            session.prepare(request)
            from dlm_lsp.training.exercise import exercise

            exercise(session, lessons)
            return session.info()

    def learn(self, plan: LearnPlan, control: Control) -> Learned:
        self._hush()
        if not plan.fresh:
            raise LearnerError("There is nothing to learn.", code="nothing-to-learn")
        clock = _Clock(control)
        with switching_quickly():
            session = self._open(plan.session, clock)
            session.prepare(plan.session, anew=plan.kind == "full")
            return _learn(session, plan, clock, lambda: self._answer_questions(control), self._teach)

    def committed(self, key: str, version_dir: str) -> None:
        self._hush()
        if key in self._residents:
            self._residents[key].session.committed(version_dir)

    def generate(self, request: GenerateRequest, control: Control) -> Generator[str, None, Spoken]:
        self._hush()
        answer = self._speak(request, control)
        self._answer = weakref.ref(answer)
        return answer

    def release(self, key: str) -> None:
        self._hush()
        self._forget(key)

    def close(self) -> None:
        self._hush()
        self._residents.clear()
        self._guests.clear()
        self._voices = None
        _give_back()

    def _hush(self) -> None:
        """Ends an answer that nobody has read to its end: it keeps a session's weights aside."""
        answer = self._answer() if self._answer is not None else None
        if answer is not None:
            answer.close()
        self._answer = None

    def _answer_questions(self, control: Control) -> None:
        """Answers what is asked of a run at its step boundary. Raises LearningCancelled when the run is to stop."""
        while (question := control.question()) is not None:
            resident = self._residents.get(question.request.session.key)
            if resident is None or not _same_base(resident, question.request.session):
                question.later()  # no other base is loaded in the middle of a run
            else:
                self._answer_one(question, control)

    def _answer_one(self, question: Question, control: Control) -> None:
        answer = self._speak(question.request, _Listener(question))
        try:
            while True:
                question.piece(next(answer))
                if control.stop_requested():
                    break
        except StopIteration as spoken:
            question.end(spoken.value)
            return
        except LearnerError as error:
            question.end(error)
            return
        except Exception as error:
            log.exception("a question was not answered")
            question.end(unforeseen(error))
            return
        answer.close()
        if question.request.live:
            question.end(run_stopped())
        else:
            question.later()
        raise LearningCancelled

    def _speak(self, request: GenerateRequest, control: Control) -> Generator[str, None, Spoken]:
        session, voice = self._speaker(request, _Clock(control))
        from dlm_lsp.training.generate import generate
        from dlm_lsp.training.speaking import aside, speaking_as

        asis = request.live or (voice is not None and session.holds(str(request.session.version_dir)))
        with aside(session) if asis else speaking_as(session, voice):
            return (yield from generate(session, request, control))

    def _speaker(self, request: GenerateRequest, clock: _Clock) -> tuple[Session, Voice | None]:
        """The model that answers, and what it speaks as: None for the bare base. Raises LearnerError."""
        asked = request.session
        resident = self._residents.get(asked.key)
        at_hand = resident is not None and _same_base(resident, asked)
        session = resident.session if resident is not None and at_hand else self._open(asked, clock)
        if request.live or asked.version_dir is None:
            return session, None
        from dlm_lsp.training.session import Session
        from dlm_lsp.training.speaking import Voices, aside, suits

        self._voices = self._voices or Voices()
        voice = self._voices.of(asked.version_dir)
        if suits(session, voice):
            return session, voice
        guest = self._guests.get(asked.key)
        if guest is None or guest.base is not session.base or not suits(guest, voice):
            with aside(session):  # making an adapter draws
                guest = self._guests[asked.key] = Session(session.base, replace(asked, shape=voice.shape))
        return guest, voice

    def _forget(self, key: str) -> None:
        self._guests.pop(key, None)
        if self._residents.pop(key, None) is not None:
            _give_back()

    def _open(self, request: SessionRequest, clock: _Clock) -> Session:
        """The warm session of `request`, opened if there is none.

        Raises LearnerError or LearningCancelled.
        """
        _check(request)
        clock.check()
        resident = self._residents.get(request.key)
        if resident is not None and self._fits(resident, request):
            return resident.session
        clock.phase("import")
        import_stack(lambda module, fraction: clock.moved("import", module.split(".")[0], fraction))
        from dlm_lsp.training.device import choose_device
        from dlm_lsp.training.session import Session

        precision = request.settings.precision
        choose_device(precision)  # refuses what can't be before anything is fetched
        clock.phase("load", request.base.reference)
        resolved = self._resolve(request.base, clock.download, clock.stop_requested)
        clock.check()
        _check_revision(request, resolved)
        self._forget(request.key)
        sizes = configured(read_config(resolved.directory, resolved.hf_id), resolved.parameters)
        base = self._loaded(resolved, choose_device(precision, sizes), request.shape.kind == "qlora")
        clock.check()
        self._residents[request.key] = _Resident(Session(base, request), request.base, precision)
        return self._residents[request.key].session

    def _fits(self, resident: _Resident, request: SessionRequest) -> bool:
        """What is chosen where nothing is written stays chosen; what is written may be what was chosen."""
        held = resident.session
        return (
            _same_base(resident, request)
            and request.shape == held.request.shape
            and request.settings.precision in (resident.precision, held.base.device.precision)
        )

    def _loaded(self, resolved: ResolvedBase, device: Device, quantised: bool) -> LoadedBase:
        """The base in memory, shared with another session that has the same."""
        for resident in self._residents.values():
            base = resident.session.base
            if (base.resolved.directory, base.resolved.revision, base.device, base.quantised) == (
                resolved.directory,
                resolved.revision,
                device,
                quantised,
            ):
                return base
        from dlm_lsp.training.loading import load_base

        return load_base(resolved, device, quantised)


def _same_base(resident: _Resident, request: SessionRequest) -> bool:
    asked, wanted = resident.asked, request.base
    same = (wanted.reference, wanted.document_dir) == (asked.reference, asked.document_dir)
    return same and wanted.revision in (asked.revision, resident.session.base.resolved.revision)


class _Listener(Unwatched):
    """The control of an answer in the middle of a run."""

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question = question

    def stop_requested(self) -> bool:
        return self._question.stop_requested()


class _Clock:
    """Passes phases on to the control and takes their time; looks at the stop flag."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.seconds: dict[str, float] = {}
        self._name: PhaseName | None = None
        self._since = time.perf_counter()

    def stop_requested(self) -> bool:
        return self.control.stop_requested()

    def check(self) -> None:
        if self.control.stop_requested():
            raise LearningCancelled

    def phase(self, name: PhaseName, detail: str = "", fraction: float | None = None) -> None:
        self.stop()
        self._name, self._since = name, time.perf_counter()
        self.control.phase(name, detail, fraction)

    def stop(self) -> None:
        """The last phase is over."""
        if self._name is not None:
            self.seconds[self._name] = self.seconds.get(self._name, 0.0) + time.perf_counter() - self._since
            self._name = None

    def moved(self, name: PhaseName, detail: str, fraction: float | None) -> None:
        """The phase went on. Raises LearningCancelled."""
        self.check()
        self.phase(name, detail, fraction)

    def download(self, detail: str, fraction: float | None) -> None:
        self.phase("download", detail, fraction)

    def step(self, step: int, total: int, loss: float, learning_rate: float, tokens: int) -> None:
        self.control.step(step, total, loss, learning_rate, tokens)

    def question(self) -> Question | None:
        return self.control.question()

    def revision(self) -> Revision | None:
        return self.control.revision()

    def finish_requested(self) -> bool:
        return self.control.finish_requested()


def _learn(
    session: Session, plan: LearnPlan, clock: _Clock, between: Callable[[], None], teach: Teach | None
) -> Learned:
    from dlm_lsp.training.guard import look
    from dlm_lsp.training.loop import learn
    from dlm_lsp.training.session import clamped, pinned_versions

    if clamped(plan.session.settings, session.base.context_length):
        log.info("rows are at most %d tokens long, as the base reads no more", session.base.context_length)
    session.begin_run()
    outcome = (teach or learn)(session, plan, clock, between)
    between()
    clock.check()
    clock.stop()
    began = time.perf_counter()
    scores = look(session, plan, outcome.read, clock)
    clock.seconds["guard"] = time.perf_counter() - began
    clock.phase("write")
    info = session.info()
    files = session.files(outcome.rate)
    versions = dict(pinned_versions(quantised=session.base.quantised))
    clock.stop()
    return Learned(
        files=files,
        end=outcome.end,
        steps=outcome.steps,
        tokens=outcome.tokens,
        final_loss=outcome.final_loss,
        lessons=outcome.lessons,
        rehearsed=outcome.rehearsed,
        base_id=info.base_id,
        base_revision=info.base_revision,
        device=info.device,
        seed=plan.session.settings.seed,
        pinned_versions=versions,
        phases=clock.seconds,
        torch_version=versions["torch"],
        scores=scores,
    )


def _check(request: SessionRequest) -> None:
    """Refuses what is not trained here before anything heavy is done. Raises LearnerError."""
    if request.shape.kind == "qlora" and (why := qlora_obstacle()) is not None:
        raise LearnerError(why, code="unsupported-setting", key="training.adapter")
    _check_optimizer(request.settings)


def _check_revision(request: SessionRequest, resolved: ResolvedBase) -> None:
    """An adapter learned on other weights would answer nonsense on these. Raises LearnerError."""
    learned_on = request.base.revision
    if request.version_dir is not None and learned_on not in (None, resolved.revision):
        raise LearnerError(
            f"The base model {request.base.reference} is not the one that the adapter was learned on "
            f"(revision {resolved.revision}, was {learned_on}). Run Full Retrain to learn it anew on this base, "
            "or bring the former base back.",
            code="base-changed",
            key="base_model",
        )


def _check_optimizer(settings: TrainingSettings) -> None:
    if settings.optimizer != "adamw_torch":
        raise LearnerError(
            f"The optimizer {settings.optimizer!r} is not available here. Set `training.optimizer` to adamw_torch.",
            code="unsupported-setting",
            key="training.optimizer",
        )


def _give_back() -> None:
    """Returns the memory of forgotten sessions now, rather than when the collector comes by."""
    gc.collect()
    if "torch" in sys.modules:
        from dlm_lsp.training.device import empty_caches

        empty_caches()
