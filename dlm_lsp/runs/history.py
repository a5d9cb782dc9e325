"""The story of a section or an exchange, version by version, from what the store remembers. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from dlm_lsp.runs.telling import count, learned_or_read
from dlm_lsp.store import Chronicle, Past, version_name
from dlm_lsp.store.history import EventKind

MAX_CHAPTERS = 8


@dataclass(frozen=True, slots=True)
class Chapter:
    """What one version (or, of rehearsals, a row of versions up to `until`) did to some lessons.

    `earlier`: it was about another answer to the same question, or another text below the same first line.
    `undone`: a revert went back behind it. Losses are means in nats per token, None where nobody recorded them.
    """

    version: int
    until: int
    event: EventKind
    lessons: int = 1
    times: int = 1
    at: str | None = None  # ISO 8601, UTC
    loss_before: float | None = None
    loss_after: float | None = None
    earlier: bool = False
    full: bool = False
    undone: bool = False


def story(lessons: Iterable[tuple[str, str]], chronicle: Chronicle, present: Collection[str]) -> tuple[Chapter, ...]:
    """What happened to these lessons (identity, anchor), oldest first; of long stories the begin and the newest.

    What an anchor's other wordings went through belongs to it, unless the document holds them too (`present`).
    """
    groups: dict[tuple[int, str, bool, bool, bool], list[Past]] = {}
    for identity, anchor in lessons:
        wordings = chronicle.wordings.get(anchor, ())
        others = [each for each in wordings if each != identity and each not in present]
        for each in (identity, *others):
            for past in chronicle.past.get(each, ()):
                key = (past.version, past.kind, each != identity, past.full, past.undone)
                groups.setdefault(key, []).append(past)
    chapters = [_chapter(key[2], pasts) for key, pasts in sorted(groups.items(), key=lambda item: _order(*item[0][:3]))]
    told = _rows(chapters)
    if len(told) > MAX_CHAPTERS:
        told = [told[0], *told[1 - MAX_CHAPTERS :]]
    return tuple(told)


def chapter_sentence(chapter: Chapter, kind: str, *, many: bool = False) -> str:
    """Such as `v0003 learned · loss 2.91 → 0.04`, of a section's kind; with `many`, how many exchanges it was about."""
    name = version_name(chapter.version)
    if chapter.until != chapter.version:
        name = f"{name}–{version_name(chapter.until)}"
    known = learned_or_read(kind)
    verb = {"learned": known, "partly": f"partly {known}", "rehearsed": "rehearsed"}[chapter.event]
    what = f" {count(chapter.lessons, 'exchange')}" if many else ""
    text = f"{name} {verb}{what}"
    if chapter.earlier:
        text += " (an earlier text)"
    if chapter.times > 1:
        text += f" {chapter.times} times"
    if chapter.loss_before is not None and chapter.loss_after is not None:
        text += f" · loss {chapter.loss_before:.2f} → {chapter.loss_after:.2f}"
    elif chapter.loss_after is not None:
        text += f" · {chapter.loss_after:.2f}"
    elif chapter.loss_before is not None:
        text += f" · loss was {chapter.loss_before:.2f}"
    notes = [note for note, holds in (("full retrain", chapter.full), ("undone by a revert", chapter.undone)) if holds]
    return f"{text} ({', '.join(notes)})" if notes else text


def story_sentence(chapters: Sequence[Chapter], kind: str, *, many: bool = False) -> str:
    """All of them in one line."""
    return "; ".join(chapter_sentence(chapter, kind, many=many) for chapter in chapters)


def _order(version: int, event: str, earlier: bool) -> tuple[int, int, bool]:
    return version, ("learned", "partly", "rehearsed").index(event), not earlier


def _chapter(earlier: bool, pasts: Sequence[Past]) -> Chapter:
    first = pasts[0]
    return Chapter(
        version=first.version,
        until=first.version,
        event=first.kind,
        lessons=len(pasts),
        at=max((past.at for past in pasts if past.at), default=None),
        loss_before=mean([past.loss_before for past in pasts]),
        loss_after=mean([past.loss_after for past in pasts]),
        earlier=earlier,
        full=first.full,
        undone=first.undone,
    )


def _rows(chapters: Iterable[Chapter]) -> list[Chapter]:
    """Rehearsals in a row become one chapter, with the loss of the last."""
    told: list[Chapter] = []
    for chapter in chapters:
        last = told[-1] if told else None
        alike = last is not None and (last.earlier, last.undone) == (chapter.earlier, chapter.undone)
        if last is not None and alike and last.event == chapter.event == "rehearsed":
            told[-1] = replace(chapter, version=last.version, times=last.times + 1, lessons=chapter.lessons)
        else:
            told.append(chapter)
    return told


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that are known; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
