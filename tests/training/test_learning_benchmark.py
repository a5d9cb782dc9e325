"""The benchmark of learning measures what it says: its histories are consistent, its looks are what answers say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.learning.histories import History, facts, generated, starter
from benchmarks.learning.measuring import look
from benchmarks.learning.methods import METHODS
from benchmarks.learning.plots import draw, over_saves
from benchmarks.learning.running import Desk, Figures, run
from dlm_lsp.runs.snapshot import read
from dlm_lsp.training.generate import greedy

HISTORIES = [generated(10, 30, seed=1), generated(40, 30, seed=2), starter("tutor", 20, seed=1)]


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: f"{history.name}-{history.seed}")
def test_each_save_differs_from_the_one_before_by_what_it_says(history: History) -> None:
    before = {fact.question: fact.answer for fact in facts(history.saves[0].text)}
    for save in history.saves[1:]:
        expected = dict(before)
        expected |= {fact.question: fact.answer for fact in save.added}
        for fact, old in save.corrected:
            assert before[fact.question] == old != fact.answer
            expected[fact.question] = fact.answer
        for fact in save.removed:
            assert expected.pop(fact.question) == fact.answer
        before = {fact.question: fact.answer for fact in facts(save.text)}
        assert before == expected
        assert read(save.text).trainable


def test_the_same_seed_is_the_same_history_and_another_one_is_not() -> None:
    assert generated(10, 30, seed=1) == HISTORIES[0]
    assert generated(10, 30, seed=2).saves != HISTORIES[0].saves
    kinds = [bool(save.corrected) * 1 + bool(save.removed) * 2 + bool(save.added) * 4 for save in HISTORIES[1].saves]
    assert {0, 1, 2, 4} <= set(kinds)


def test_a_look_is_what_greedy_answers_say_and_a_method_runs_through_the_real_path(tmp_path: Path) -> None:
    history = generated(2, 1, seed=3)
    told: list[Figures] = []
    desk = Desk(tmp_path / "begun", 30)
    desk.save(history.saves[0].text)
    lessons = [each for each in read(history.saves[0].text).sections for each in each.lessons]
    session = desk.session()
    seen = look(session, lessons)
    for lesson in lessons:
        assert seen[lesson.identity].exact == (greedy(session, lesson.prompt, None) == lesson.answer)
    desk.close()
    run(history, METHODS["no replay"], tmp_path / "run", 2, desk.home, told.append)
    (figures,) = told
    assert (figures.method, figures.steps, figures.end) == ("no replay", 2, "cap")
    assert figures.recall[1] + figures.correction[1] + figures.retention[1] == figures.exchanges
    assert figures.drift > 0


def test_curves_are_counted_over_histories_and_drawn_the_same_each_time(tmp_path: Path) -> None:
    lines = [
        {"method": "ours", "save": 1, "recall": [1, 2], "retention": [4, 4]},
        {"method": "ours", "save": 2, "recall": [2, 2], "retention": [0, 0]},
        {"method": "ours", "save": 2, "recall": [0, 0], "retention": [3, 6]},
    ]
    assert over_saves(lines, "recall") == {"ours": [(1, 50.0), (2, 75.0)]}
    assert over_saves(lines, "retention") == {"ours": [(1, 100.0), (2, 50.0)]}
    pytest.importorskip("matplotlib")
    for name in ("one.svg", "two.svg"):
        draw(over_saves(lines, "recall"), "recall", tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_matplotlib_is_not_imported_by_the_benchmark_itself() -> None:
    program = "import sys, benchmarks.learning.plots, benchmarks.learning.histories; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
