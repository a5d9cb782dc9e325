"""What makes inputs: atheris (guided by coverage), or a seeded mutator of our own where it cannot be had."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.fuzz.targets.target import LONGEST

Run = Callable[[bytes], None]

_HANG = 30  # seconds after which an input counts as never ending
_MEMORY = 1024  # MiB that a target's process may take
_WORDS = (
    b"\x00", b"\xff", b"\r\n", b"---\n", b"::", b"### Q\n", b"### A\n", b"```\n", b"\x28\xb5\x2f\xfd", b"{", b"[",
    b'"', b": ", b"&a ", b"*a", b"!!", b"Content-Length: ", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\x1b[", b"9" * 40,
    b"null", b"\x80\x00\x00\x00",
)  # fmt: skip


def guided(run: Run, *, seconds: float, seed: int, corpora: Sequence[Path], artifacts: Path) -> None:
    """Fuzzes with atheris; ends the process. The first of `corpora` gains what reaches new code.

    Inputs that hang or take too much memory end the process early, and lie in `artifacts`.
    """
    import atheris

    options = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-seed={seed or 1}",
        f"-max_len={LONGEST}",
        f"-timeout={_HANG}",
        f"-rss_limit_mb={_MEMORY}",
        f"-artifact_prefix={artifacts}/",
        "-verbosity=0",
        "-print_final_stats=0",
    ]
    atheris.Setup(["fuzz", *options, *map(str, corpora)], run)
    atheris.Fuzz()


def plain(run: Run, *, seconds: float, seed: int, corpora: Sequence[Path]) -> None:
    """Fuzzes with `mutated`. The same seed and corpus give the same inputs in the same order."""
    rng = random.Random(seed)
    known = seeds_of(corpora)
    for data in known:
        run(data)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run(mutated(rng, known))


def seeds_of(corpora: Sequence[Path]) -> list[bytes]:
    """Every input in these folders, and a few that grammars grow from."""
    files = sorted(path for folder in corpora if folder.is_dir() for path in folder.iterdir() if path.is_file())
    return [path.read_bytes() for path in files] + [b"", b"\x00", b"\x01"]


def mutated(rng: random.Random, known: Sequence[bytes]) -> bytes:
    """A new input out of old ones."""
    data = bytearray(rng.choice(known))
    if rng.random() < 0.3:
        data += rng.randbytes(rng.choice((4, 40, 400)))
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randint(0, len(data))
        kind = rng.randrange(6)
        if kind == 0:
            data[at:at] = rng.randbytes(rng.randint(1, 8))
        elif kind == 1:
            data[at:at] = rng.choice(_WORDS) * rng.choice((1, 1, 1, 3, 200))
        elif kind == 2:
            del data[at : at + rng.choice((1, 1, 4, 64))]
        elif kind == 3 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 4:
            other = rng.choice(known)
            data[at:at] = other[rng.randint(0, len(other)) :]
        else:
            end = min(len(data), at + rng.randint(1, 64))
            data[at:at] = data[at:end] * rng.choice((1, 2, 50))
    return bytes(data[:LONGEST])
