"""The curve of a run: small whatever the run's length, and true at both ends."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from dlm_lsp.runs.curves import MAX_POINTS, Trace, told
from dlm_lsp.store import Curve, Store, lines
from dlm_lsp.store import curves as pictures
from tests.store.store_helpers import DLM_ID, a_commit, held

AT = 1_770_000_000.0


def test_a_curve_holds_steps_tokens_phases_and_sections() -> None:
    trace = Trace(3, "cycle", AT, ("abc",))
    trace.phase("load", AT + 0.5)
    trace.phase("train", AT + 1)
    trace.step(1, 2.5, 100, AT + 2)
    trace.phase("train", AT + 2)
    trace.step(2, 1.25, 50, AT + 3)
    assert trace.curve(ended_at=AT + 4, version=7, outcome="finished") == Curve(
        run=3,
        kind="cycle",
        version=7,
        started_at=AT,
        ended_at=AT + 4,
        points=((1, 2.5, 100, 2.0), (2, 1.25, 150, 3.0)),
        phases=(("load", 0.5), ("train", 1.0)),
        sections=("abc",),
        outcome="finished",
    )


@pytest.mark.parametrize("steps", [1, 511, 512, 5_001])
def test_a_long_run_keeps_its_shape_its_newest_step_and_all_its_tokens(steps: int) -> None:
    trace = Trace(1, "full", AT)
    for step in range(1, steps + 1):
        trace.step(step, 1 / step, 10, AT + step)
    points = trace.curve().points
    assert len(points) <= 2 * MAX_POINTS + 1
    assert points[-1] == (steps, round(1 / steps, 5), 10 * steps, float(steps))
    assert [point[0] for point in points] == sorted({point[0] for point in points})
    gaps = {after[0] - before[0] for before, after in pairwise(points[1:-1])}
    assert len(gaps) <= 1


def test_a_loss_that_is_no_number_is_no_point() -> None:
    trace = Trace(1, "cycle", AT)
    trace.step(1, float("nan"), 10, AT)
    assert trace.curve().points == ()


def test_curves_lie_in_the_store_and_what_is_damaged_is_passed_over(tmp_path: Path) -> None:
    store = Store(tmp_path, DLM_ID)
    with held(store) as lock:
        store.commit(lock, a_commit(1))
        store.keep_curve(lock, Curve(1, "cycle", 1, AT, AT + 3, ((1, 2.0, 5, 0.1),)))
        with store.layout.curves.open("ab") as file:
            file.write(b'{"run": 2, "kind": "cy')
        store.keep_curve(lock, Curve(3, "cycle", 2, AT, AT + 3))
    assert [curve.run for curve in store.curves()] == [1, 3]
    assert "text 1" not in store.layout.curves.read_text()


def test_the_file_of_curves_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_BYTES", 2_000)
    path = tmp_path / "curves.jsonl"
    for run in range(100):
        pictures.append(path, Curve(run, "cycle", run, AT, AT))
        assert path.stat().st_size <= 2_000
    assert [curve.run for curve in pictures.read(path)][-1] == 99


def test_a_document_without_a_store_has_no_history(tmp_path: Path) -> None:
    assert told(None, []) == told(Store(tmp_path, DLM_ID), []) == {"versions": [], "runs": []}
    assert not list(tmp_path.iterdir())


def test_versions_are_told_with_their_figures_and_a_run_of_this_process_once(tmp_path: Path) -> None:
    store = Store(tmp_path, DLM_ID)
    with held(store) as lock:
        for step in (1, 2):
            store.commit(lock, a_commit(step))
            store.keep_curve(lock, Curve(step, "cycle", step, AT, AT + 3, ((1, 2.0, 5, 0.1),)))
    here = Trace(9, "cycle", AT).curve(version=2, outcome="finished")
    history = told(store, [here])
    assert [(each["version"], each["steps"], each["loss"], each["current"]) for each in history["versions"]] == [
        (1, 1, 1.0, False),
        (2, 2, 0.5, True),
    ]
    assert [(run["run"], run["version"]) for run in history["runs"]] == [(None, 1), (9, 2)]
