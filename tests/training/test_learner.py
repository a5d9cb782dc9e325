"""The learner on a random base: what is kept, what is refused, and that a resumed run is the same run."""

from __future__ import annotations

import io
import json
import logging
import weakref
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from dlm_lsp.training.bases import known_revision
from dlm_lsp.training.learner import create
from dlm_lsp.training.protocol import AdapterShape, Learned, Learner, LearnerError, LearningCancelled, LearnPlan
from tests.training.learning_helpers import (
    Recorder,
    answer,
    commit,
    cycle,
    exchange,
    full,
    make_base,
    prose,
    request,
    weights,
)

LESSONS = [exchange(f"Who keeps {place}?", f"They keep {place}.") for place in ("it", "six", "the town", "a light")]
TEXT = prose("The harbour of the old town opens at six.")
EVERYWHERE = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def moments(data: bytes) -> dict[str, Any]:
    import torch

    state: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
    return state


def test_a_resumed_run_is_the_same_run_bit_for_bit(base: Path, learner: Learner, tmp_path: Path) -> None:
    fresh, known = LESSONS[:2], [*LESSONS[2:], TEXT]
    whole = cycle(learner, request(base, key="whole"), fresh, known, steps=6)
    half = cycle(create(), request(base), fresh, known, steps=3)
    version = commit(None, half, tmp_path / "v0001")
    rest = cycle(create(), request(base, version=version), fresh, known, steps=3)
    assert weights(half) != weights(rest) == weights(whole)
    first, second = moments(whole.files["training_state.pt"]), moments(rest.files["training_state.pt"])
    assert first["global_step"] == second["global_step"] == 6
    assert first["torch_rng_state"].equal(second["torch_rng_state"])
    for index, kept in first["optimizer_state_dict"]["state"].items():
        for name, value in kept.items():
            assert value.equal(second["optimizer_state_dict"]["state"][index][name])
    assert whole.files["training_state.rng.json"] == rest.files["training_state.rng.json"]


def test_a_warm_session_continues_as_one_that_was_read_from_disk(base: Path, learner: Learner, tmp_path: Path) -> None:
    version = commit(learner, cycle(learner, request(base), LESSONS), tmp_path / "v0001")
    warm = cycle(learner, request(base, version=version), [TEXT], LESSONS)
    cold = cycle(create(), request(base, version=version), [TEXT], LESSONS)
    assert weights(warm) == weights(cold)


def test_after_a_stop_the_session_is_as_if_the_run_had_never_been(base: Path, learner: Learner, tmp_path: Path) -> None:
    version = commit(learner, cycle(learner, request(base), LESSONS), tmp_path / "v0001")
    stopping = Recorder(stop_after=2)
    with pytest.raises(LearningCancelled):
        cycle(learner, request(base, version=version), [TEXT], LESSONS, steps=9, control=stopping)
    assert len(stopping.steps) == 2
    after = cycle(learner, request(base, version=version), [TEXT], LESSONS)
    untouched = cycle(create(), request(base, version=version), [TEXT], LESSONS)
    assert weights(after) == weights(untouched)


def test_a_run_that_was_not_committed_is_forgotten(base: Path, learner: Learner, tmp_path: Path) -> None:
    first = cycle(learner, request(base), LESSONS)
    assert weights(cycle(learner, request(base), LESSONS)) == weights(first)
    version = commit(learner, first, tmp_path / "v0001")
    cycle(learner, request(base, version=version), [TEXT])
    other = cycle(learner, request(base, version=version), LESSONS)
    assert weights(other) == weights(cycle(create(), request(base, version=version), LESSONS))


def test_another_version_than_the_last_is_read(base: Path, learner: Learner, tmp_path: Path) -> None:
    first = commit(learner, cycle(learner, request(base), LESSONS), tmp_path / "v0001")
    commit(learner, cycle(learner, request(base, version=first), [TEXT]), tmp_path / "v0002")
    back = cycle(learner, request(base, version=first), LESSONS)
    assert weights(back) == weights(cycle(create(), request(base, version=first), LESSONS))


def test_the_same_document_gives_the_same_files(base: Path, learner: Learner) -> None:
    first = cycle(learner, request(base), [*LESSONS, TEXT])
    second = cycle(create(), request(base), [*LESSONS, TEXT])
    assert first.files == second.files


def test_a_full_retrain_begins_anew(base: Path, learner: Learner, tmp_path: Path) -> None:
    fresh = full(create(), request(base, num_epochs=2), LESSONS)
    version = commit(learner, cycle(learner, request(base), [TEXT]), tmp_path / "v0001")
    cycle(learner, request(base, version=version), [TEXT])
    assert weights(full(learner, request(base, num_epochs=2), LESSONS)) == weights(fresh)


def test_where_modules_are_left_open_a_version_keeps_its_own_and_a_full_retrain_takes_all(
    base: Path, learner: Learner, tmp_path: Path
) -> None:
    attention = ("k_proj", "o_proj", "q_proj", "v_proj")
    older = request(base, shape=AdapterShape(rank=4, alpha=8, target_modules=attention))
    version = commit(None, cycle(create(), older, LESSONS), tmp_path / "v0001")
    written = cycle(create(), replace(older, version_dir=str(version)), [TEXT])
    left_open = cycle(learner, request(base, version=version), [TEXT])
    assert modules(left_open) == attention
    assert weights(left_open) == weights(written)
    assert modules(full(learner, request(base, version=version, num_epochs=1), LESSONS)) == tuple(sorted(EVERYWHERE))


def modules(learned: Learned) -> tuple[str, ...]:
    return tuple(json.loads(learned.files["adapter_config.json"])["target_modules"])


def test_what_a_run_says_of_itself(base: Path, learner: Learner) -> None:
    control = Recorder()
    long = prose("The old town. " * 100)
    learned = cycle(learner, request(base, sequence_len=64, micro_batch_size=2, grad_accum=1),
                    [*LESSONS, long], steps=4, control=control)  # fmt: skip
    assert learned.end == "cap"
    assert [step for step, *_ in control.steps] == [1, 2, 3, 4]
    assert {total for _, total, *_ in control.steps} == {4}
    assert learned.steps == 4
    assert learned.tokens == sum(tokens for *_, tokens in control.steps)
    assert learned.final_loss == control.steps[-1][2]
    assert learned.device == "cpu (1 thread, fp32)"
    assert [phase for index, phase in enumerate(control.phases) if phase not in control.phases[:index]] == [
        "import", "load", "tokenise", "train", "write",
    ]  # fmt: skip
    assert set(learned.phases) >= {"train", "write"}
    by_identity = {lesson.identity: lesson for lesson in learned.lessons}
    assert set(by_identity) == {lesson.identity for lesson in (*LESSONS, long)}
    partly = by_identity[long.identity]
    assert 0 < partly.times_seen <= 4
    assert not partly.complete
    assert partly.loss_before is not None


def test_a_lesson_that_stands_twice_is_one(base: Path, learner: Learner) -> None:
    learned = cycle(learner, request(base), [LESSONS[0], LESSONS[0]], [LESSONS[0], LESSONS[1]], steps=2)
    (lesson,) = learned.lessons
    assert lesson.times_seen == 2


def test_a_version_is_a_peft_adapter_with_the_same_logits(base: Path, learner: Learner, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for kind in ("lora", "dora"):
        session = request(base, key=kind, shape=AdapterShape(kind=kind, rank=4, alpha=8))  # type: ignore[arg-type]
        version = commit(learner, cycle(learner, session, LESSONS), tmp_path / kind, key=kind)
        assert not [path for path in version.iterdir() if path.suffix in (".bin", ".pkl", ".pth")]
        config = json.loads((version / "adapter_config.json").read_text())
        assert config["use_dora"] == (kind == "dora")
        assert config["target_modules"] == sorted(EVERYWHERE)
        tokenizer = AutoTokenizer.from_pretrained(version)
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": "Who?"}], return_tensors="pt", return_dict=False,
            add_generation_prompt=True,
        )  # fmt: skip
        theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), version).eval()
        plain = AutoModelForCausalLM.from_pretrained(base)
        ours = learner._residents[kind].session.model.eval()  # type: ignore[attr-defined]
        with torch.no_grad():
            assert theirs(ids).logits.equal(ours(ids).logits)
            assert not plain(ids).logits.equal(ours(ids).logits)


def test_sessions_on_one_base_share_its_weights_and_nothing_else(base: Path, learner: Learner) -> None:
    cycle(learner, request(base, key="one"), LESSONS)
    second = cycle(learner, request(base, key="two"), LESSONS)
    one, two = (learner._residents[key].session for key in ("one", "two"))  # type: ignore[attr-defined]
    assert one.base is two.base
    own = {each.data_ptr() for each in one.model.parameters() if each.requires_grad}
    assert not own & {each.data_ptr() for each in two.model.parameters()}
    assert weights(second) == weights(cycle(create(), request(base), LESSONS))
    assert not any("lora" in name for name, _ in one.base.model.named_parameters())


def test_answers_come_in_pieces_and_end(base: Path, learner: Learner, tmp_path: Path) -> None:
    lesson = exchange("Who?", "Nöbody 🦊 knows.")
    shape = AdapterShape(rank=16, alpha=32, dropout=0.0, target_modules=("q_proj", "up_proj", "down_proj", "lm_head"))
    session = request(base, shape=shape, learning_rate=1e-2)
    learned = cycle(learner, session, [lesson], steps=200)
    assert learned.end == "learned"
    version = commit(learner, learned, tmp_path / "v0001")
    session = request(base, shape=shape, version=version)
    assert answer(learner, session, "Who?") == lesson.answer
    assert answer(create(), session, "Who?") == lesson.answer
    assert lesson.answer.startswith(answer(learner, session, "Who?", tokens=3))
    assert answer(learner, session, "Who?", temperature=1.0, top_p=1e-6) == lesson.answer
    drawn = [answer(learner, session, "What?", temperature=3.0, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    with pytest.raises(LearnerError, match="reads 256 at most"):
        answer(learner, session, "Who? " * 300)


def test_memory_that_runs_out_halves_the_micro_batch(
    base: Path, learner: Learner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import torch
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    plain = LlamaForCausalLM.forward
    room = 3
    held: list[int] = []

    @wraps(plain)
    def forward(self: Any, *arguments: Any, **options: Any) -> Any:
        rows = len(options["input_ids"])
        if rows > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB")
        held.append(rows)
        return plain(self, *arguments, **options)

    learner.warm(request(base), Recorder())
    monkeypatch.setattr(LlamaForCausalLM, "forward", forward)
    with caplog.at_level(logging.WARNING, "dlm_lsp"):
        learned = cycle(learner, request(base), [*LESSONS, *[exchange(f"{n}?", "Six.") for n in range(4)]], steps=2)
    assert learned.steps == 2
    assert held == [2] * 8  # learned once, kept for the second step
    assert "continuing with 2" in caplog.text
    room = 0
    with pytest.raises(LearnerError, match="not enough memory") as caught:
        cycle(learner, request(base), LESSONS)
    assert caught.value.key == "training.sequence_len"


def test_halved_micro_batches_learn_the_same(base: Path, learner: Learner) -> None:
    import torch
    from safetensors.torch import load

    shape = AdapterShape(rank=4, alpha=8, dropout=0.0)
    whole = cycle(learner, request(base, shape=shape, micro_batch_size=4, grad_accum=1), LESSONS)
    parts = cycle(create(), request(base, shape=shape, micro_batch_size=1, grad_accum=4), LESSONS)
    first, second = load(weights(whole)), load(weights(parts))
    assert all(torch.allclose(first[name], second[name], atol=1e-5) for name in first)


def test_a_loss_that_is_no_number_ends_the_run(base: Path, learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    plain = torch.nn.functional.cross_entropy
    monkeypatch.setattr(
        torch.nn.functional, "cross_entropy", lambda *args, **options: plain(*args, **options) * float("nan")
    )
    with pytest.raises(LearnerError, match="learning_rate") as caught:
        cycle(learner, request(base), LESSONS)
    assert caught.value.code == "diverged"
    monkeypatch.undo()
    assert weights(cycle(learner, request(base), LESSONS)) == weights(cycle(create(), request(base), LESSONS))


@pytest.mark.parametrize("damage", ["digest", "missing", "foreign", "pickle"])
def test_state_that_can_not_be_used_costs_only_the_moments(
    base: Path, learner: Learner, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    import hashlib
    import pickle

    version = commit(None, cycle(learner, request(base), LESSONS), tmp_path / "v0001")
    state = version / "training_state.pt"
    if damage == "digest":
        state.write_bytes(state.read_bytes() + b"x")
    elif damage == "missing":
        state.unlink()
    else:
        state.write_bytes(pickle.dumps({"a": 1} if damage == "foreign" else Path("/"), protocol=2))
        digest = hashlib.sha256(state.read_bytes()).hexdigest()
        (version / "training_state.pt.sha256").write_text(digest + "\n")
    control = Recorder()
    with caplog.at_level(logging.WARNING, "dlm_lsp"):
        cycle(create(), request(base, version=version), [TEXT], control=control)
    assert "the training state of v0001 is not used" in caplog.text
    assert control.rates[0] < control.rates[1]  # fresh moments are warmed up


def test_a_version_of_another_shape_or_without_weights_is_refused(base: Path, learner: Learner, tmp_path: Path) -> None:
    version = commit(None, cycle(learner, request(base), LESSONS), tmp_path / "v0001")
    with pytest.raises(LearnerError, match="Full Retrain") as caught:
        cycle(learner, request(base, version=version, shape=AdapterShape(rank=2)), LESSONS)
    assert caught.value.code == "shape-changed"
    (version / "adapter_model.safetensors").write_bytes(b"broken")
    with pytest.raises(LearnerError, match="v0001 can't be read"):
        cycle(create(), request(base, version=version), LESSONS)


@pytest.mark.parametrize(
    ("shape", "settings", "key", "text"),
    [
        ({}, {"optimizer": "paged_adamw_8bit"}, "training.optimizer", "adamw_torch"),
        ({}, {"precision": "fp16"}, "training.precision", "bf16 or fp32"),
        ({"target_modules": ("q_proj", "w_proj")}, {}, "training.target_modules", "'w_proj'.*down_proj, gate_proj"),
        ({"target_modules": ()}, {}, "training.target_modules", "empty.*down_proj, gate_proj"),
    ],
)
def test_what_can_not_be_trained_is_refused_on_its_key(
    base: Path, learner: Learner, shape: dict[str, Any], settings: dict[str, Any], key: str, text: str
) -> None:
    with pytest.raises(LearnerError, match=text) as caught:
        cycle(learner, request(base, shape=AdapterShape(**shape), **settings), LESSONS)
    assert caught.value.key == key


def test_nothing_to_learn_and_no_such_base(learner: Learner, base: Path, tmp_path: Path) -> None:
    with pytest.raises(LearnerError, match="nothing to learn"):
        cycle(learner, request(base), [])
    with pytest.raises(LearnerError) as caught:
        cycle(learner, request(tmp_path / "absent"), LESSONS)
    assert caught.value.key == "base_model"


def test_a_base_without_template_learns_prose_and_refuses_exchanges(learner: Learner, tmp_path: Path) -> None:
    bare = make_base(tmp_path / "bare", template=None)
    assert cycle(learner, request(bare), [TEXT]).steps
    with pytest.raises(LearnerError, match="no chat template"):
        cycle(learner, request(bare), LESSONS)


def test_a_stop_while_loading(base: Path, learner: Learner) -> None:
    with pytest.raises(LearningCancelled):
        learner.warm(request(base), Recorder(stop_after=0))
    with pytest.raises(LearningCancelled):
        learner.learn(LearnPlan(request(base), "cycle", tuple(LESSONS)), Recorder(stop_after=0))


def test_a_released_session_is_gone_and_can_be_opened_again(base: Path, learner: Learner) -> None:
    first = cycle(learner, request(base), LESSONS)
    model = weakref.ref(learner._residents["document"].session.base.model)  # type: ignore[attr-defined]
    learner.release("document")
    assert model() is None
    learner.release("document")
    control = Recorder()
    assert weights(cycle(learner, request(base), LESSONS, control=control)) == weights(first)
    assert "load" in control.phases


def test_an_adapter_is_not_continued_on_other_base_weights(base: Path, learner: Learner, tmp_path: Path) -> None:
    session = request(base)
    first = cycle(learner, session, [exchange("Who?", "Mira.")], steps=1)
    continued = replace(session, version_dir=str(commit(learner, first, tmp_path / "v1")))
    on_others = replace(continued, key="other", base=replace(session.base, revision="0" * 40))

    with pytest.raises(LearnerError) as refused:
        cycle(learner, on_others, [exchange("Where?", "Here.")], steps=1)
    assert (refused.value.code, refused.value.key) == ("base-changed", "base_model")
    anew = replace(on_others, version_dir=None)
    assert cycle(learner, anew, [exchange("Where?", "Here.")], steps=1).base_revision == first.base_revision


def test_a_base_whose_files_were_replaced_is_not_taken_from_memory(learner: Learner, tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    session = request(base)
    first = cycle(learner, session, LESSONS, steps=1)
    (base / "tokenizer_config.json").write_text((base / "tokenizer_config.json").read_text() + "\n")
    revision = known_revision(session.base)
    assert revision not in (None, first.base_revision)
    control = Recorder()
    anew = replace(session, base=replace(session.base, revision=revision))
    assert cycle(learner, anew, LESSONS, steps=1, control=control).base_revision == revision
    assert "load" in control.phases
