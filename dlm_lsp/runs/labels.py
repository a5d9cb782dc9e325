"""The short words of a state, for hints, lenses and gutters; the summary of a document; what can be done."""

from __future__ import annotations

from collections.abc import Mapping

from dlm_lsp.runs.status import Forgotten, LessonStatus, RemovedLesson, SectionState, SectionStatus
from dlm_lsp.runs.telling import TO_BE_ANSWERED, count, learned_or_read
from dlm_lsp.store import version_name

# In the order in which a summary names them.
_WORDS = {
    SectionState.LEARNED: "learned",
    SectionState.PARTLY: "partly",
    SectionState.FAILED: "failed",
    SectionState.LEARNING: "learning",
    SectionState.WAITING: "waiting",
    SectionState.CHANGED: "changed",
    SectionState.NEW: "new",
    SectionState.UNTRAINED: "not trained",
    SectionState.EMPTY: "empty",
}
_NEXT = {
    SectionState.NEW: "The next save learns it.",
    SectionState.CHANGED: "The next save learns it; until then the adapter answers as before.",
    SectionState.FAILED: "The next save tries again, and Train Now at once.",
    SectionState.WAITING: "Its run begins by itself.",
    SectionState.LEARNING: "It is called learned when its version is committed.",
}

_OF_PROSE = {
    SectionState.LEARNED: f"{TO_BE_ANSWERED[0].upper()}{TO_BE_ANSWERED[1:]}.",
    SectionState.LEARNING: "It is called read when its version is committed.",
}


def label(told: SectionStatus | LessonStatus) -> str:
    """A few words, such as `learned v4 · 0.04`, `read v4 · 2.40`, `partly 3/5`, `forgotten 1/3`, `new`."""
    words = _WORDS[told.state]
    if isinstance(told, SectionStatus) and told.forgotten:
        return f"forgotten {len(told.forgotten)}/{told.lessons}" if told.lessons > 1 else "forgotten"
    if told.state is SectionState.LEARNED and told.version is not None:
        loss = f" · {told.loss_after:.2f}" if told.loss_after is not None else ""
        words = learned_or_read(told.kind) if isinstance(told, SectionStatus) else words
        return f"{words} v{told.version}{loss}"
    if told.state is SectionState.LEARNING:
        return f"{words}…"
    if isinstance(told, SectionStatus) and told.lessons > 1:
        if told.state is SectionState.PARTLY:
            return f"{words} {told.lessons_learned}/{told.lessons}"
        if told.state in (SectionState.CHANGED, SectionState.FAILED) and told.lessons_learned:
            return f"{words} · {told.lessons_learned}/{told.lessons} learned"
    if told.state is SectionState.EMPTY and told.reason:
        return "has an error"
    return words


def what_next(told: SectionStatus) -> str:
    """What happens next to it, or what can be done; empty where the state says it all."""
    if told.kind == "prose" and told.state in _OF_PROSE:
        return _OF_PROSE[told.state]
    return _NEXT.get(told.state, "")


def summary(counts: Mapping[SectionState, int], gone: int, replaced: int, *, read: int = 0) -> str:
    """One line, such as `12 sections: 8 learned, 1 read, 1 partly, 2 new · 2 removed but remembered`.

    `read` of the learned sections are prose. `gone` lessons left the document; of `replaced` ones it has another answer
    or text now.
    """
    learned = counts.get(SectionState.LEARNED, 0) - read
    told = {"learned": learned, "read": read}
    told |= {words: counts.get(state, 0) for state, words in _WORDS.items() if state is not SectionState.LEARNED}
    parts = [f"{number} {words}" for words, number in told.items() if number]
    total = sum(counts.values())
    line = f"{count(total, 'section')}: {', '.join(parts)}" if parts else "no sections"
    if gone:
        line += f" · {gone} removed but remembered"
    if replaced:
        line += f" · {count(replaced, 'earlier text')} remembered"
    return line


def removed_sentence(lesson: RemovedLesson, quotes: str = "“”") -> str:
    """What is known of a lesson that left the document, such as `“When does…” · learned in v0003`."""
    words = f"{quotes[0]}{lesson.words.replace(quotes[0], ' ')}{quotes[1]}"
    what = words if lesson.words else "a lesson whose words are forgotten"
    facts = [
        what,
        f"{learned_or_read(lesson.kind)} in {version_name(lesson.version)}",
        f"seen {count(lesson.times_seen, 'time')}",
    ]
    if lesson.loss_after is not None:
        facts.append(f"loss {lesson.loss_after:.2f}")
    if lesson.replaced:
        facts.append("has another text now")
    return " · ".join(facts)


def lesson_section(told: LessonStatus, section: SectionStatus, forgotten: tuple[Forgotten, ...] = ()) -> SectionStatus:
    """The status of an exchange in the shape of a section's, so that the same sentences fit it."""
    return SectionStatus(
        section_id=section.section_id,
        kind=section.kind,
        range=section.range,
        state=told.state,
        reason=told.reason,
        version=told.version,
        times_seen=told.times_seen,
        loss_before=told.loss_before,
        loss_after=told.loss_after,
        learned_at=told.learned_at,
        lessons=1,
        lessons_learned=int(told.state is SectionState.LEARNED),
        forgotten=forgotten,
    )
