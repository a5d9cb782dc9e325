"""What is late the first time has been done when a session is warm: in a new process, as in an editor's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.learner import create
from dlm_lsp.training.protocol import AdapterShape, LearnPlan
from dlm_lsp.training.rows import Row, RowMaker
from tests.training.learning_helpers import Recorder, exchange, request

PROGRAM = """
import sys
from pathlib import Path
from dlm_lsp.store import Store
from dlm_lsp.training.learner import create
from dlm_lsp.training.protocol import AdapterShape, LearnPlan
from tests.store.store_helpers import DLM_ID, a_commit, held
from tests.training.learning_helpers import Recorder, exchange, request
from dataclasses import replace

learner, store = create(), Store(Path(sys.argv[1]), DLM_ID)
asked = request("builtin:tiny", shape=AdapterShape())
learner.warm(asked, Recorder())
store.exercise()
before = set(sys.modules)
learned = learner.learn(LearnPlan(asked, "cycle", (exchange("Who keeps the light?", "Maren."),), (), 1), Recorder())
with held(store) as lock:
    store.commit(lock, replace(a_commit(1), files=learned.files))
print(sorted(set(sys.modules) - before))
"""


def test_a_run_in_a_warm_process_imports_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_run_reads_none_of_the_lessons_again_that_were_read_when_it_was_warmed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []

    def make(self: RowMaker, lesson: Lesson, system_prompt: str | None, length: int) -> tuple[Row, ...]:
        read.append(lesson.prompt)
        return real(self, lesson, system_prompt, length)

    real = RowMaker._make
    monkeypatch.setattr(RowMaker, "_make", make)
    learner, asked = create(), request("builtin:tiny", shape=AdapterShape())
    known = (exchange("What is the ferry called?", "Blue Heron."), exchange("Who bakes?", "Ulla."))
    learner.warm(asked, Recorder(), known)
    assert {lesson.prompt for lesson in known} <= set(read)
    read.clear()
    learner.learn(LearnPlan(asked, "cycle", (exchange("Who keeps the light?", "Maren."),), known, 1), Recorder())
    assert read == ["Who keeps the light?"]
    learner.close()
