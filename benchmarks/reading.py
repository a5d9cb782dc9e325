"""What a keystroke costs to read: `python -m benchmarks.reading`, processor time, documents of 10 to 5,000 sections."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

from benchmarks.documents import document
from benchmarks.figures import table
from dlm_lsp.document import parse
from dlm_lsp.document.outline import outline

SIZES = (10, 100, 1_000, 5_000)
ROUNDS = 9


def median_ms(work: Callable[[], object]) -> str:
    """The median of the processor time of `work`, in milliseconds."""
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return f"{statistics.median(taken) * 1000:.1f}"


def measured(sections: int) -> list[str]:
    text = document(sections, seed=1)
    before = parse(text)
    middle = text.index("keeps it", len(text) // 2)
    letter, line = (f"{text[:middle]}{typed}{text[middle:]}" for typed in ("x", "\n"))
    return [
        f"{sections:,}",
        f"{len(text) / 1000:,.0f} kB",
        median_ms(partial(parse, text)),
        median_ms(partial(parse, letter, before)),
        median_ms(partial(parse, line, before)),
        median_ms(partial(outline, before)),
    ]


def main() -> None:
    head = ("sections", "text", "read anew, ms", "after a letter", "after a new line", "outline")
    print(table(head, [measured(sections) for sections in SIZES]))


if __name__ == "__main__":
    main()
