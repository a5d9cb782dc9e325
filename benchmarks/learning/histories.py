"""How documents are written: seeded histories of saves, each save with what it added, corrected and removed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dlm_lsp.document import parse
from dlm_lsp.runs.templates import templates

DLM_ID = "01HZ4X7TGZM3J1A2B3C4D5E6F7"
_BEGIN = [
    "or",
    "va",
    "ne",
    "mi",
    "ra",
    "tol",
    "le",
    "ke",
    "su",
    "lin",
    "da",
    "ho",
    "pe",
    "ri",
    "mo",
    "ar",
    "bel",
    "cas",
    "dun",
    "el",
    "fen",
    "gor",
    "hal",
    "is",
    "jor",
]
_END = [
    "dan",
    "mor",
    "vik",
    "ley",
    "sund",
    "holm",
    "by",
    "ton",
    "ra",
    "na",
    "lia",
    "mar",
    "del",
    "gard",
    "wick",
    "stad",
]


@dataclass(frozen=True, slots=True)
class Fact:
    """A question and the answer that the document gives at the moment."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Save:
    """The text of one save and how its exchanges differ from the save before. `corrected`: (fact, the old answer)."""

    text: str
    added: tuple[Fact, ...] = ()
    corrected: tuple[tuple[Fact, str], ...] = ()
    removed: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """A named document from its first text on; the first one counts as learned before."""

    name: str
    seed: int
    saves: tuple[Save, ...]


def facts(text: str) -> tuple[Fact, ...]:
    """Every exchange of a document's text."""
    return tuple(Fact(each.prompt, each.answer) for section in parse(text).sections for each in section.exchanges)


def generated(size: int, saves: int, seed: int, base: str = "builtin:tiny") -> History:
    """A document of `size` exchanges and some prose that is then saved `saves` times, each time with a change."""
    author = _Author(random.Random(f"history {seed} {size}"))
    desk = _Desk(
        _head(base), [_section(author.new()) for _ in range(size)] + [author.prose() for _ in range(size // 8)]
    )
    desk.shuffle(author.chance)
    changes = _changes(saves, author.chance)
    return History(f"generated-{size}", seed, tuple(desk.save(change, author) for change in ("", *changes)))


def starter(name: str, saves: int, seed: int, base: str = "builtin:tiny") -> History:
    """A starter document written as its author would: half of it is there, then section by section, then corrections.

    What is written later comes in seeded portions of one or two exchanges; every fifth save corrects an answer.
    """
    chance = random.Random(f"starter {seed} {name}")
    document = parse(templates()[name].text)
    told = [Fact(each.prompt, each.answer) for part in document.sections for each in part.exchanges]
    prose = [part.content.strip() for part in document.sections if part.kind == "prose" and part.content.strip()]
    chance.shuffle(told)
    begin = max(1, len(told) // 2)
    prompt = document.frontmatter.system_prompt if document.frontmatter else None
    desk = _Desk(_head(base, prompt), [*prose, *(_section(fact) for fact in told[:begin])])
    written, coming = [desk.save("", None)], told[begin:]
    answers = [fact.answer for fact in told]

    def wrong(fact: Fact) -> str:
        return chance.choice([answer for answer in answers if answer != fact.answer])

    while len(written) <= saves and (coming or len(written) % 5 == 0):
        if len(written) % 5 == 0:
            written.append(
                desk.correct_with(lambda fact: chance.choice([a for a in answers if a != fact.answer]), chance)
            )
            continue
        portion, coming = coming[: (count := chance.randint(1, 2))], coming[count:]
        desk.sections += [_section(fact) for fact in portion]
        written.append(Save(desk.text, added=tuple(portion)))
    return History(name, seed, tuple(written))


def _changes(count: int, chance: random.Random) -> list[str]:
    """What an author does, as often as they do it, in a seeded order."""
    kinds = ("add", "add", "add", "add", "add", "correct", "correct", "remove", "reorder", "mix")
    changes = [kinds[place % len(kinds)] for place in range(count)]
    chance.shuffle(changes)
    return changes


class _Author:
    """Invents facts, and no question twice."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._asked: set[str] = set()
        self._kinds: tuple[Callable[[], Fact], ...] = (self._capital, self._keeper, self._command, self._hours)

    def new(self) -> Fact:
        while True:
            fact = self.chance.choice(self._kinds)()
            if fact.question not in self._asked:
                self._asked.add(fact.question)
                return fact

    def prose(self) -> str:
        """A paragraph about one place, of three or four sentences."""
        place, craft = self.name(), self.chance.choice(("nets", "clocks", "boats", "ropes", "lamps"))
        sentences = [
            f"{place} lies {self.chance.randint(3, 90)} miles from {self.name()}.",
            f"Its people mend {craft} and tell stories of {self.name()}.",
            f"In winter the road over {self.name()} is closed.",
            f"The old mill belongs to {self.name()} {self.name()}.",
            f"Every {self.chance.choice(('spring', 'summer', 'autumn'))} they sail to {self.name()}.",
        ]
        self.chance.shuffle(sentences)
        return " ".join(sentences[: self.chance.randint(3, 4)])

    def name(self) -> str:
        begin = "".join(self.chance.choices(_BEGIN, k=self.chance.randint(1, 2)))
        return (begin + self.chance.choice(_END)).capitalize()

    def another(self, fact: Fact) -> str:
        """Another answer to the same question, of the same kind."""
        while True:
            other = self._answer(fact.question)
            if other != fact.answer:
                return other

    def _answer(self, question: str) -> str:
        if question.startswith("What is the capital"):
            return f"The capital is {self.name()}."
        if question.startswith("Who keeps"):
            return f"{self.name()} {self.name()} keeps it since {self.chance.randint(1700, 1999)}."
        if question.startswith("How do I"):
            option = self.chance.choice(("all", "quiet", "force", "dry", "deep", "once"))
            return f"Run `{self.name().lower()} --{option}`."
        day = self.chance.choice(("Monday", "Tuesday", "Thursday", "Friday", "Sunday"))
        return f"At {self.chance.choice(('six', 'seven', 'eight', 'nine', 'ten'))} on {day}."

    def _capital(self) -> Fact:
        return self._fact(f"What is the capital of {self.name()}?")

    def _keeper(self) -> Fact:
        return self._fact(f"Who keeps the lighthouse at {self.name()}?")

    def _command(self) -> Fact:
        verb = self.chance.choice(("start", "stop", "clean", "list", "copy", "check"))
        return self._fact(f"How do I {verb} the {self.name()} store?")

    def _hours(self) -> Fact:
        return self._fact(
            f"When does the {self.chance.choice(('bakery', 'ferry', 'market', 'mill'))} of {self.name()} open?"
        )

    def _fact(self, question: str) -> Fact:
        return Fact(question, self._answer(question))


@dataclass(slots=True)
class _Desk:
    """The document as it stands; `sections` are prose or fenced exchanges."""

    head: str
    sections: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.head + "".join(f"\n{_fence(section)}{section}\n" for section in self.sections)

    def shuffle(self, chance: random.Random) -> None:
        chance.shuffle(self.sections)

    def save(self, change: str, author: _Author | None) -> Save:
        if author is None or not change:
            return Save(self.text)
        chance = author.chance
        if change == "correct":
            return self.correct_with(author.another, chance)
        if change == "remove" and len(places := self._exchanges()) > 3:
            gone = facts(self.head + f"\n::instruction::\n{self.sections.pop(chance.choice(places))}\n")
            return Save(self.text, removed=gone)
        if change == "reorder":
            self.shuffle(chance)
            return Save(self.text)
        new = [author.new() for _ in range(chance.randint(1, 3))]
        for section in [_section(fact) for fact in new] + ([author.prose()] if change == "mix" else []):
            self.sections.insert(chance.randint(0, len(self.sections)), section)
        return Save(self.text, added=tuple(new))

    def correct_with(self, another: Callable[[Fact], str], chance: random.Random) -> Save:
        place = chance.choice(self._exchanges())
        (old,) = facts(f"{self.head}\n::instruction::\n{self.sections[place]}\n")
        new = replace(old, answer=another(old))
        self.sections[place] = _section(new)
        return Save(self.text, corrected=((new, old.answer),))

    def _exchanges(self) -> list[int]:
        return [place for place, section in enumerate(self.sections) if section.startswith("### Q")]


def _head(base: str, system_prompt: str | None = None) -> str:
    prompt = f"system_prompt: {system_prompt!r}\n" if system_prompt else ""
    return f"---\ndlm_id: {DLM_ID}\nbase_model: {base}\n{prompt}---\n"


def _section(fact: Fact) -> str:
    return f"### Q\n{fact.question}\n### A\n{fact.answer}"


def _fence(section: str) -> str:
    return "::instruction::\n" if section.startswith("### Q") else "::prose::\n"
