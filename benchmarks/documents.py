"""Documents to measure with: invented exchanges, as many as are asked for."""

from __future__ import annotations

import random

DLM_ID = "01HZ4X7TGZM3J1A2B3C4D5E6F7"
_SYLLABLES = ("or", "va", "ne", "mi", "ra", "tol", "le", "ke", "su", "lin", "da", "ho", "pe", "ri", "mo")


def name(chance: random.Random) -> str:
    return "".join(chance.choices(_SYLLABLES, k=3)).capitalize()


def exchange(chance: random.Random) -> str:
    """One instruction section about an invented place."""
    place, keeper, thing = name(chance), name(chance), name(chance)
    return (
        f"\n::instruction::\n### Q\nWho keeps the lighthouse at {place}?\n"
        f"### A\n{keeper} {thing} keeps it since the year {chance.randint(1700, 1999)}.\n"
    )


def document(count: int, seed: int, settings: str = "", base: str = "builtin:tiny") -> str:
    """A document of `count` exchanges; `settings` are lines of frontmatter."""
    chance = random.Random(seed)
    body = "".join(exchange(chance) for _ in range(count))
    return f"---\ndlm_id: {DLM_ID}\nbase_model: {base}\n{settings}---\n{body}"
