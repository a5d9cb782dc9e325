"""Draws what `python -m benchmarks.learning` measured: recall and retention over the saves, by method, as SVG files."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

_FIGURES = (("recall", "of what was new so far, known right after its save"), ("retention", "of what was known before"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning.plots", description=__doc__)
    parser.add_argument("lines", type=Path, nargs="?", default=Path("benchmarks/learning/results.jsonl"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    told = [json.loads(line) for line in options.lines.read_text(encoding="utf-8").splitlines()]
    options.out.mkdir(parents=True, exist_ok=True)
    for figure, what in _FIGURES:
        curves = over_saves(told, figure)
        draw(curves, f"{figure}: {what}, %", options.out / f"learning-{figure}.svg")


def over_saves(lines: Iterable[Mapping[str, Any]], figure: str) -> dict[str, list[tuple[int, float]]]:
    """By method, (save, percent) over all histories and seeds; recall is counted up to that save, retention at it."""
    counts: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for line in lines:
        right, asked = line[figure]
        counts[line["method"]][line["save"]][0] += right
        counts[line["method"]][line["save"]][1] += asked
    return {method: list(_shares(saves, summed=figure == "recall")) for method, saves in counts.items()}


def _shares(saves: Mapping[int, Sequence[int]], *, summed: bool) -> Iterable[tuple[int, float]]:
    right = asked = 0
    for save in sorted(saves):
        now_right, now_asked = saves[save]
        right, asked = (right + now_right, asked + now_asked) if summed else (now_right, now_asked)
        if asked:
            yield save, 100 * right / asked


def draw(curves: Mapping[str, Sequence[tuple[int, float]]], title: str, path: Path) -> None:
    """One line a method. The same curves always give the same bytes."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise SystemExit("matplotlib is missing: pip install -e '.[plots]'") from error
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "dlm"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    twenty = mpl.colormaps["tab20"]  # there are more methods than usual colours
    axes.set_prop_cycle(color=[twenty(place) for place in range(20)])
    for method, points in curves.items():
        saves, shares = zip(*points, strict=True) if points else ((), ())
        own = method == "ours"
        axes.plot(saves, shares, label=method, linewidth=2.5 if own else 1.2, zorder=3 if own else 2, marker=".")
    axes.set(title=title, xlabel="save", ylim=(-3, 103))
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main()
