"""The same history of saves gives the same adapter, bit for bit: twice, and with a fresh learner for each save."""

from __future__ import annotations

from pathlib import Path

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.learner import create
from dlm_lsp.training.protocol import AdapterShape, Learner, LearnPlan
from tests.training.learning_helpers import Recorder, commit, exchange, prose, request

# A text, three saves: one more exchange, a corrected one beside a new text, one removed beside a new exchange.
FERRY = exchange("What is the ferry called?", "Blue Heron.")
OPEN = exchange("When does the harbour open?", "At six.")
LATER = exchange("When does the harbour open?", "At seven.")
MAREN = exchange("Who keeps the light?", "Maren.")
MILL = exchange("Where is the market?", "Behind the mill.")
STORY = prose("Vell lies on a cold coast.")
HISTORY: tuple[tuple[list[Lesson], list[Lesson]], ...] = (
    ([FERRY, OPEN], []),
    ([MAREN], [FERRY, OPEN]),
    ([LATER, STORY], [FERRY, MAREN]),
    ([MILL], [FERRY, LATER, STORY]),
)


def written(folder: Path, *, anew: bool, warmed: bool = False) -> list[tuple[bytes, bytes]]:
    """Adapter and training state of each version; `anew`: as if the process had ended after each save.

    `warmed`: as if the document had been opened a while before each.
    """
    versions: list[tuple[bytes, bytes]] = []
    learner: Learner = create()
    before = None
    for number, (fresh, known) in enumerate(HISTORY, 1):
        if anew:
            learner.close()
            learner = create()
        asked = request("builtin:tiny", shape=AdapterShape(), version=before)
        if warmed:
            learner.warm(asked, Recorder(), tuple(known))
        risks = tuple(lesson.identity for lesson in known[1:])
        plan = LearnPlan(asked, "cycle", tuple(fresh), tuple(known), 6, risks=risks)
        learned = learner.learn(plan, Recorder())
        before = commit(learner, learned, folder / f"v{number:04}")
        versions.append((learned.files["adapter_model.safetensors"], learned.files["training_state.pt"]))
    learner.close()
    return versions


def test_the_same_history_gives_the_same_adapter_also_when_each_save_begins_in_a_fresh_learner(tmp_path: Path) -> None:
    once = written(tmp_path / "once", anew=False)
    again = written(tmp_path / "again", anew=False)
    cold = written(tmp_path / "cold", anew=True)
    warm = written(tmp_path / "warm", anew=True, warmed=True)
    assert warm == cold, "what is exercised while nobody waits leaves no trace"
    assert [adapter for adapter, _ in again] == [adapter for adapter, _ in once]
    assert [adapter for adapter, _ in cold] == [adapter for adapter, _ in once]
    assert len({adapter for adapter, _ in once}) == len(HISTORY)
