"""The sentences about a run that every view shares: what goes on now, and how the last run ended."""

from __future__ import annotations

from dlm_lsp.runs.status import DocumentStatus, Forgotten, RunState, RunView, SectionState, SectionStatus
from dlm_lsp.store import version_name
from dlm_lsp.training.protocol import Learned

_TRAINS = {
    RunState.TRAINING: "",
    RunState.ABSORBING: "taking in what was saved",
    RunState.SWAPPING: "taking the new hooks",
}
CONFIG_WAITS = "configuration changed, applies from the next cycle"
TO_BE_ANSWERED = "to have a fact of it answered, write it as an exchange"
"""What an author of prose has to know: it is called read when its wording has become likelier, and no more is meant."""
_TOLD = 3  # of a section's forgotten exchanges, in one line

_STATES = {
    RunState.QUEUED: "queued",
    RunState.RESTARTING: "restarting",
    RunState.WAITING: "waiting for the store's lock",
    RunState.LOADING: "loading the model",
    RunState.PREPARING: "tokenising",
    RunState.TRAINING: "training",
    RunState.WRITING: "writing the new version",
    RunState.STOPPING: "stopping after this step",
    RunState.STUCK: "does not stop",
}


def progress_message(run: RunView) -> str:
    """Such as `step 34/100 · loss 0.81 · 12 s left`, or the phase by name; before it, what is trained if not all."""
    return " · ".join(each for each in (run.purpose, _going_on(run), run.hooks) if each)


def _going_on(run: RunView) -> str:
    if run.state in _TRAINS and run.total is not None and run.loss is not None:
        left = f" · {_duration(run.seconds_left)} left" if run.seconds_left is not None and run.step > 1 else ""
        told = _TRAINS[run.state] or run.detail
        news = f" · {told}" if told else ""
        return f"step {run.step}/{run.total} · loss {run.loss:.2f}{left}{news}"
    if run.state is RunState.RESTARTING and run.detail.startswith("restart"):
        return run.detail
    text = _STATES.get(run.state) or _TRAINS.get(run.state) or run.state.value
    if run.state is RunState.STOPPING and run.stop_seconds_left is not None:
        text += f" ({countdown(run.stop_seconds_left)} left)"
    if run.state is RunState.LOADING and run.phase == "import":
        text = "importing torch and transformers"
    elif run.state is RunState.LOADING and run.phase == "download":
        text = "downloading the base model"
    return f"{text}: {run.detail}" if run.detail and run.state not in _TRAINS else text


def headline(status: DocumentStatus) -> str:
    """One line on where a document stands, such as `learned (v0004)` or `training 42 % · step 34/100 …`."""
    if status.run is not None:
        return f"{status.run.percentage} % · {progress_message(status.run)}"
    if status.last is not None and status.last.outcome == "failed":
        return f"failed: {status.last.message}"
    version = version_name(status.version) if status.version else None
    if waiting := len(status.pending):
        since = f" since {version}" if version else ""
        return f"{count(waiting, 'section')} not learned{since}"
    if forgotten := len(status.forgotten):
        return f"learned ({version}); {count(forgotten, 'section')} forgotten"
    kinds = {section.kind for section in status.sections if section.state is SectionState.LEARNED}
    verb = "read" if kinds == {"prose"} else "learned"
    return " · ".join([f"{verb} ({version})", *idle_facts(status)]) if version else "nothing learned yet"


def idle_facts(status: DocumentStatus) -> list[str]:
    """What the text says and the current version does not follow: changed settings, and lessons that left it."""
    facts = [CONFIG_WAITS] if status.config_changed else []
    if status.removed:
        facts.append(still_known(status.removed))
    return facts


def still_known(removed: int) -> str:
    """What became of so many lessons that left the document."""
    return f"the adapter still knows {count(removed, 'removed lesson')} until a full retrain"


def section_sentence(section: SectionStatus) -> str:
    """The truth about a section, such as `learned in v0004 · seen 31 times · loss 2.91 → 0.04`; prose is `read`."""
    facts = []
    if section.state in (SectionState.LEARNED, SectionState.PARTLY) and section.version is not None:
        partly = "" if section.state is SectionState.LEARNED else "partly "
        facts.append(f"{partly}{learned_or_read(section.kind)} in {version_name(section.version)}")
        facts.append(f"seen {count(section.times_seen, 'time')}")
        if section.loss_before is not None and section.loss_after is not None:
            facts.append(f"loss {section.loss_before:.2f} → {section.loss_after:.2f}")
    else:
        facts.append(
            {
                SectionState.NEW: "new: not learned yet",
                SectionState.CHANGED: "changed since it was learned",
                SectionState.WAITING: "waiting for its run",
                SectionState.LEARNING: "being learned now",
                SectionState.EMPTY: "nothing to learn in it",
                SectionState.FAILED: "not learned: the last run failed",
            }.get(section.state, "not trained on save")
        )
    if section.forgotten:
        facts.append("; ".join(forgotten_sentence(each) for each in section.forgotten[:_TOLD]))
    text = " · ".join(facts)
    return f"{text}. {section.reason}" if section.reason else text


def learned_or_read(kind: str | None) -> str:
    """What became of a section or lesson of this kind: an exchange is known word for word, prose is not."""
    return "read" if kind == "prose" else "learned"


def forgotten_sentence(forgotten: Forgotten) -> str:
    """Such as `forgotten: was 0.12, is 1.90 since v0014`, in nats per token."""
    since, was, now = version_name(forgotten.since), forgotten.was, forgotten.now
    wrong = "not word for word any more" if forgotten.exact is False else ""
    if was is not None and now is not None and (now > was or not wrong):
        return f"forgotten: was {was:.2f}, is {now:.2f} since {since}" + (f", {wrong}" if wrong else "")
    return f"forgotten: {wrong or 'not known any more'} since {since}"


def start_message(kind: str, fresh: int, known: int) -> str:
    """What a run begins with, such as `learning 2 lessons (7 known)`."""
    what = "full retrain of" if kind == "full" else "learning"
    return f"{what} {count(fresh, 'lesson')}" + (f" ({known} known)" if known else "")


def end_message(learned: Learned, version: int, *, texts: int = 0, forgotten: int = 0) -> str:
    """How a run ended that committed `version`, such as `learned in 31 steps (v0004)`.

    `texts` of its lessons are prose, and so read.
    """
    return _end(learned, version, texts) + (f"; {count(forgotten, 'lesson')} forgotten by it" if forgotten else "")


def _end(learned: Learned, version: int, texts: int) -> str:
    steps, name = count(learned.steps, "step"), version_name(version)
    if learned.end == "learned" and texts and texts == len(learned.lessons):
        return f"read in {steps} ({name}); {TO_BE_ANSWERED}"
    if learned.end == "learned":
        return f"learned in {steps} ({name})" + (f"; {count(texts, 'text')} read" if texts else "")
    how = {"epochs": "trained all epochs in", "stopped": "ended early, after"}.get(learned.end, "stopped at the cap of")
    unlearned = left_unlearned(learned)
    left = f"; {unlearned} of {count(len(learned.lessons), 'lesson')} not learned yet" if unlearned else ""
    return f"{how} {steps} ({name}){left}"


def left_unlearned(learned: Learned) -> int:
    """How many of the run's lessons are not learned yet."""
    return sum(1 for lesson in learned.lessons if not lesson.learned)


def count(number: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def countdown(seconds: float) -> str:
    """Minutes and seconds, such as `4:12`."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60:02d} s"
