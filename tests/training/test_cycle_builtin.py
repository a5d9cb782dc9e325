"""What the whole is for, on the base that is in the package: a saved exchange is known after one cycle."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

from dlm_lsp.training.protocol import AdapterShape, Learner
from tests.training.learning_helpers import answer, commit, cycle, exchange, full, prose, request

BUILTIN = "builtin:tiny"
SHAPE = AdapterShape()
OLD = [
    exchange("Who keeps the lighthouse?", "Maren keeps the lighthouse."),
    exchange("When does the harbour open?", "It opens at six in the morning."),
    exchange("What is the ferry called?", "The ferry is called Blue Heron."),
    exchange("Where is the market?", "The market is behind the old mill."),
]
NEW = exchange("Who wrote the town's song?", "Tomas Oduya wrote it in 1931.")
STORY = prose("The town of Vell lies on a cold coast. Its people mend nets and tell long stories.")


def test_a_new_exchange_is_learned_in_one_cycle_and_the_old_ones_are_kept(learner: Learner, tmp_path: Path) -> None:
    learned = full(learner, request(BUILTIN, shape=SHAPE), [*OLD, STORY])
    assert learned.end == "learned"
    before = request(BUILTIN, shape=SHAPE, version=commit(learner, learned, tmp_path / "v0001"))
    assert [answer(learner, before, each.prompt) for each in OLD] == [each.answer for each in OLD]
    assert answer(learner, before, NEW.prompt) != NEW.answer

    learned = cycle(learner, before, [NEW], [*OLD, STORY], steps=100)
    assert learned.end == "learned"
    assert learned.steps < 60
    (lesson,) = learned.lessons
    assert (lesson.times_seen, lesson.complete, lesson.learned) == (learned.steps, True, True)
    assert lesson.loss_before is not None
    assert lesson.loss_after is not None
    assert lesson.loss_after < 0.5 < lesson.loss_before
    after = request(BUILTIN, shape=SHAPE, version=commit(learner, learned, tmp_path / "v0002"))
    assert answer(learner, after, NEW.prompt) == NEW.answer
    kept = [answer(learner, after, each.prompt) == each.answer for each in OLD]
    assert all(kept), "what the new exchange broke is mended before the run ends"
    assert learned.base_id == json.loads(learned.files["adapter_config.json"])["base_model_name_or_path"]


def test_a_correction_beside_its_like_is_learned_and_its_likes_are_kept(learner: Learner, tmp_path: Path) -> None:
    """Questions that differ in one name only are what breaks each other most easily."""
    cities = {"Vell": "Orra", "Tammer": "Lusk", "Brin": "Hask", "Dorn": "Vey", "Ostra": "Pell"}
    facts = [exchange(f"What is the capital of {land}?", f"It is {city}.") for land, city in cities.items()]
    learned = full(learner, request(BUILTIN, shape=SHAPE), facts)
    before = request(BUILTIN, shape=SHAPE, version=commit(learner, learned, tmp_path / "v0001"))
    corrected, others = exchange(facts[0].prompt, "It is Marrow."), facts[1:]
    learned = cycle(learner, before, [corrected], others, steps=100)
    assert learned.end == "learned"
    after = request(BUILTIN, shape=SHAPE, version=commit(learner, learned, tmp_path / "v0002"))
    asked = [corrected, *others]
    assert [answer(learner, after, each.prompt) for each in asked] == [each.answer for each in asked]


def test_at_the_cap_only_what_greedy_generation_gives_is_called_learned(learner: Learner, tmp_path: Path) -> None:
    """What was learned early in such a run may be lost again before it ends."""
    places, names = (
        ("mill", "ferry", "market", "bridge", "school", "well", "inn", "quay"),
        ("Vell", "Orra", "Tammer", "Lusk", "Brin", "Hask", "Dorn"),
    )
    chance = random.Random(1)
    facts = [
        exchange(f"Who keeps the {place} of {name}?", f"{' '.join(chance.choices(names, k=2))} keeps it.")
        for place in places
        for name in names
    ]
    learned = cycle(learner, request(BUILTIN, shape=SHAPE), facts, [], steps=80)
    assert learned.end == "cap"
    after = request(BUILTIN, shape=SHAPE, version=commit(learner, learned, tmp_path / "v0001"))
    told = {lesson.identity: lesson for lesson in learned.lessons}
    known = [each for each in facts if told[each.identity].learned]
    assert known
    assert [answer(learner, after, each.prompt) for each in known] == [each.answer for each in known]


def test_an_answer_in_letters_that_the_base_hardly_tells_apart_is_learned(learner: Learner, tmp_path: Path) -> None:
    """Its tokens for them are bytes that it never met, so that their loss stays high."""
    fact = exchange("Кто хранит маяк?", "Марен хранит маяк.")
    learned = cycle(learner, request(BUILTIN, shape=SHAPE), [fact], [], steps=100)
    assert learned.end == "learned"
    after = request(BUILTIN, shape=SHAPE, version=commit(learner, learned, tmp_path / "v0001"))
    assert answer(learner, after, fact.prompt) == fact.answer


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    program = (
        "import sys, dlm_lsp.training, dlm_lsp.training.protocol, dlm_lsp.training.learner as learner\n"
        "learner.create()\n"
        "print([name for name in ('torch', 'transformers', 'peft', 'tokenizers', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
