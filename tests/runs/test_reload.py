"""What a save does to the run that goes on: nothing, absorbed, or an early end and a restart; the newest wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlm_lsp.document import parse
from dlm_lsp.runs import events
from dlm_lsp.runs.curves import Curves
from dlm_lsp.runs.reload import Change, difference
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import RunState, SectionState
from dlm_lsp.training.base_files import content_revision
from tests.fakes import FAIL, Gate
from tests.runs.conftest import FERRY, Desk, exchange, finish, frontmatter, save
from tests.training.model_files import write_model

BAKER = exchange("Who bakes the bread?", "Ulla bakes it.")
HARE = exchange("What does the hare eat?", "Clover.")
FASTER = "training:\n  learning_rate: 0.001\n"
WIDER = "training:\n  lora_r: 16\n"


# -- absorbed


async def test_new_sections_join_the_run_that_goes_on(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY + BAKER)
    gate.allow(1)
    absorbed = await desk.until(events.Absorbed)
    assert (absorbed.added, absorbed.removed) == (1, 0)
    assert desk.status.run is not None and desk.status.run.detail == "absorbed 1 section"
    assert [section.state for section in desk.status.sections] == [SectionState.LEARNING] * 2
    await finish(desk, gate)

    assert [event.version for event in desk.of(events.Finished)] == [1], "one run, one version"
    assert [section.state for section in desk.status.sections] == [SectionState.LEARNED] * 2
    assert len(desk.of(events.Started)) == 1


async def test_the_cap_counts_anew_from_where_a_text_is_absorbed(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY + BAKER)
    await finish(desk, gate)
    steps = [event.step for event in desk.of(events.Step)]
    absorbed_after = next(
        sum(isinstance(each, events.Step) for each in desk.events[:place])
        for place, event in enumerate(desk.events)
        if isinstance(event, events.Absorbed)
    )
    assert steps == list(range(1, absorbed_after + desk.learner.steps + 1))


async def test_of_a_burst_of_saves_only_the_newest_is_absorbed(desk: Desk, gate: Gate) -> None:
    for number in range(5):
        save(desk, FERRY + exchange("Which save?", f"Number {number}."))
    await finish(desk, gate)
    assert len(desk.of(events.Absorbed)) == 1
    assert [lesson.answer for lesson in desk.learner.plans[-1].fresh] == ["At seven.", "Number 4."]
    assert len(desk.of(events.Finished)) == 1


async def test_a_section_that_was_trained_and_then_left_is_remembered_as_such(desk: Desk, gate: Gate) -> None:
    save(desk, BAKER)
    await finish(desk, gate)
    assert [section.state for section in desk.status.sections] == [SectionState.LEARNED]
    assert desk.status.removed == 1, "the adapter knows something of the ferry"


async def test_when_nothing_is_left_to_learn_the_run_ends_and_keeps_nothing(desk: Desk, gate: Gate) -> None:
    save(desk, "")
    await finish(desk, gate)
    cancelled = desk.of(events.Cancelled)
    assert [event.detail for event in cancelled] == ["what it was learning has left the document"]
    assert desk.store.current() is None
    skipped = desk.of(events.Skipped)
    assert [event.reason for event in skipped] == ["nothing to train: the document has no prose and no exchanges"]


async def test_a_full_retrain_absorbs_as_well(desk: Desk, tmp_path: Path) -> None:
    await desk.learn(FERRY)
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        desk.supervisor.full_retrain(desk.path)
        gate.allow(1)
        await desk.until(events.Started, 2)
        save(desk, FERRY + BAKER)
        await finish(desk, gate)
    assert [event.kind for event in desk.of(events.Finished)] == ["cycle", "full"]
    assert len(desk.learner.plans[-1].fresh) == 2


async def test_what_was_taken_in_and_then_leaves_the_text_again_is_taken_out(desk: Desk, gate: Gate) -> None:
    """What a run learns is what it took in last, not what it began with."""
    save(desk, FERRY + BAKER)
    gate.allow(1)
    await desk.until(events.Absorbed)
    save(desk, FERRY)
    gate.allow(1)
    back = await desk.until(events.Absorbed, 2)
    assert (back.added, back.removed) == (0, 1)
    await finish(desk, gate)
    assert [len(plan.fresh) for plan in desk.learner.plans] == [1, 2, 1]
    assert (len(desk.of(events.Finished)), desk.status.removed) == (1, 1)


async def test_a_save_before_the_first_step_is_taken_in_and_stops_nothing(desk: Desk, tmp_path: Path) -> None:
    """While a model is loaded there is no step boundary yet: the text waits for the first one."""
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        save(desk, FERRY)
        await desk.until(events.Started)
        save(desk, FERRY + BAKER)
        await finish(desk, gate)
        desk.learner.gate = None
    assert not desk.of(events.Stopping)
    assert [event.version for event in desk.of(events.Finished)] == [1]
    assert [section.state for section in desk.status.sections] == [SectionState.LEARNED] * 2


async def test_after_the_end_nothing_is_begun_and_nothing_told(desk: Desk) -> None:
    await desk.learn(FERRY)
    assert await desk.supervisor.shutdown()
    told = len(desk.events)
    save(desk, FERRY + BAKER)
    desk.clock.advance(60)
    assert desk.events[told:] == []


async def test_the_curve_of_a_run_names_the_sections_that_it_took_in(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY + BAKER)
    await finish(desk, gate)
    ids = tuple(section.section_id for section in desk.status.sections)
    assert len(ids) == 2
    (kept,) = desk.store.curves()
    assert kept.sections == ids, "in the store"


async def test_a_picture_that_is_being_drawn_names_what_was_taken_in(desk: Desk, tmp_path: Path) -> None:
    curves = Curves()
    desk.supervisor.subscribe(curves.on)
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        save(desk, FERRY)
        gate.allow(1)
        await desk.until(events.Step)
        save(desk, BAKER)
        gate.allow(1)
        await desk.until(events.Absorbed)
        (going,) = curves.of(desk.path)
        await finish(desk, gate)
    assert going.sections == tuple(section.section_id for section in parse(frontmatter() + BAKER).sections)


async def test_what_was_taken_in_is_among_what_a_failed_run_was_to_learn(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY + exchange("What breaks?", FAIL))
    await finish(desk, gate)
    (failed,) = desk.of(events.Failed)
    assert failed.code == "base-missing"
    noted = desk.store.failed()
    assert noted is not None
    assert {section.state for section in desk.status.sections} == {SectionState.FAILED}
    lessons = {each.identity for part in parse(desk.path.read_bytes()).sections for each in part.lessons}
    assert noted.lessons == lessons


# -- nothing


async def test_what_means_the_same_does_nothing(desk: Desk, gate: Gate) -> None:
    generation = desk.status.run
    save(desk, "\n" + FERRY + "\n\n", "training:\n  lora_r: 8.0  # as by default\n")
    assert desk.status.run == generation
    await finish(desk, gate)
    assert not desk.of(events.Absorbed)
    assert not desk.of(events.Stopping)
    assert len(desk.of(events.Finished)) == 1


async def test_a_change_that_is_taken_back_before_a_step_is_no_change(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY + BAKER)
    save(desk, FERRY)
    await finish(desk, gate)
    assert len(desk.learner.plans) == 1
    assert len(desk.of(events.Finished)) == 1


# -- restarted


async def test_a_changed_setting_ends_the_run_early_and_restarts_it(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY, FASTER)
    stopping = await desk.until(events.Stopping)
    assert stopping.detail == "restarting with learning_rate 0.001"
    assert desk.status.state is RunState.STOPPING
    await finish(desk, gate)
    first, second = desk.of(events.Finished)
    assert first.message.startswith("ended early, after ")
    assert second.message.startswith("learned in ")
    assert desk.learner.plans[-1].session.settings.learning_rate == 0.001
    assert desk.learner.plans[-1].session.version_dir is not None, "it goes on from what the first one learned"
    queued = [event.detail for event in desk.of(events.Queued)]
    assert queued == ["", "restarting with learning_rate 0.001"]


async def test_a_setting_that_is_changed_back_restarts_nothing(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY, FASTER)
    await desk.until(events.Stopping)
    save(desk, FERRY)
    assert desk.status.state is RunState.TRAINING
    await finish(desk, gate)
    assert len(desk.of(events.Finished)) == 1
    assert desk.of(events.Finished)[0].learned.end == "learned"


async def test_another_shape_ends_the_run_early_and_asks(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY, WIDER)
    await finish(desk, gate)
    assert len(desk.of(events.Finished)) == 1
    failed = desk.of(events.Failed)
    assert [(event.code, event.key) for event in failed] == [("shape-changed", "training.lora_r")]


async def test_another_shape_is_retrained_at_once_where_the_author_wants_it(desk: Desk, gate: Gate) -> None:
    settings = RunSettings(home=desk.home, warm_on_open=False, on_shape_change="retrain")
    desk.supervisor.configure(settings)
    save(desk, FERRY, WIDER)
    await finish(desk, gate)
    assert [event.kind for event in desk.of(events.Finished)] == ["cycle", "full"]


async def test_idle_a_changed_shape_is_told_though_nothing_is_new(desk: Desk) -> None:
    await desk.learn(FERRY)
    failed = await desk.learn(FERRY, WIDER)
    assert isinstance(failed, events.Failed)
    assert (failed.code, failed.key) == ("shape-changed", "training.lora_r")
    back = await desk.learn(FERRY)
    assert isinstance(back, events.Skipped)


async def test_idle_a_changed_setting_waits_for_the_next_cycle_or_makes_one(desk: Desk) -> None:
    await desk.learn(FERRY)
    waits = await desk.learn(FERRY, FASTER)
    assert isinstance(waits, events.Skipped)
    assert "applies from the next cycle" in waits.reason
    desk.supervisor.configure(RunSettings(home=desk.home, warm_on_open=False, retrain_on_config=True))
    made = await desk.learn(FERRY, FASTER)
    assert isinstance(made, events.Finished)
    again = await desk.learn(FERRY, FASTER)
    assert isinstance(again, events.Skipped)


async def test_a_broken_text_leaves_the_run_alone_and_the_next_good_one_counts(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY, "training:\n  lora_r: [\n")
    assert not desk.of(events.Stopping)
    save(desk, FERRY + BAKER)
    await finish(desk, gate)
    assert len(desk.of(events.Absorbed)) == 1
    assert len(desk.of(events.Finished)) == 1


async def test_a_cancel_wins_over_what_was_to_be_absorbed_or_restarted(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY + BAKER)
    save(desk, FERRY + BAKER, FASTER)
    desk.supervisor.cancel(desk.path)
    await finish(desk, gate)
    assert not desk.of(events.Finished)
    assert len(desk.of(events.Cancelled)) == 1
    assert desk.store.current() is None


async def test_absorbed_and_then_restarted_loses_nothing(desk: Desk, gate: Gate) -> None:
    save(desk, FERRY + BAKER)
    gate.allow(1)
    await desk.until(events.Absorbed)
    save(desk, FERRY + BAKER + HARE, FASTER)
    await finish(desk, gate)
    assert [section.state for section in desk.status.sections] == [SectionState.LEARNED] * 3
    assert len(desk.of(events.Finished)) == 2


# -- how texts differ


@pytest.mark.parametrize(
    ("body", "extra", "change", "told"),
    [
        (FERRY, "", Change.NONE, ""),
        ("\n" + FERRY, "training:\n  seed: 42\n", Change.NONE, ""),
        (FERRY + BAKER, "", Change.DATA, ""),
        (FERRY, FASTER, Change.CONFIG, "learning_rate 0.001"),
        (FERRY + BAKER, FASTER, Change.CONFIG, "learning_rate 0.001"),
        (FERRY, "system_prompt: Be brief.\n", Change.CONFIG, "system_prompt Be brief."),
        (FERRY, "training:\n  lora_r: 16\n  seed: 1\n", Change.SHAPE, "lora_r 16"),
    ],
)
def test_how_two_texts_differ(body: str, extra: str, change: Change, told: str) -> None:
    before, after = parse(frontmatter() + FERRY), parse(frontmatter(extra) + body)
    found = difference(before, after, Path("/documents/notes.dlm"))
    assert (found.change, found.told) == (change, told)


# -- another base under the same name


def on(base: str, body: str) -> str:
    return frontmatter().replace("builtin:tiny", base) + body


async def test_other_files_in_the_bases_directory_are_another_shape(desk: Desk, tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    desk.learner.base_revision = content_revision(base)
    await saved(desk, on("./base", FERRY))
    assert isinstance(await saved(desk, on("base/", FERRY + BAKER)), events.Finished), "the same base"

    weights = (base / "model.safetensors").read_bytes()
    write_model(base, model__safetensors=weights[:-1] + b"\x01")
    refused = await saved(desk, on("./base", FERRY + BAKER))
    assert isinstance(refused, events.Failed)
    assert (refused.code, refused.key) == ("shape-changed", "base_model")
    assert refused.message == (
        "The base ./base is another one than v0002 was learned on: its files have changed. "
        "Run Full Retrain to begin a new adapter on it, or bring the former files back."
    )
    write_model(base, model__safetensors=weights)
    assert isinstance(await saved(desk, on("./base", FERRY + BAKER)), events.Skipped), "brought back"

    write_model(base, tokenizer__json=b'{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}')
    desk.learner.base_revision = content_revision(base)
    desk.supervisor.full_retrain(desk.path)
    await desk.settle()
    assert isinstance(desk.events[-1], events.Finished)
    assert desk.learner.plans[-1].session.base.revision == content_revision(base), "not on those still in memory"
    assert isinstance(await saved(desk, on("./base", FERRY + BAKER)), events.Skipped), "learned on the new files"


async def test_a_replaced_base_is_retrained_at_once_where_the_author_wants_it(desk: Desk, tmp_path: Path) -> None:
    desk.supervisor.configure(RunSettings(home=desk.home, warm_on_open=False, on_shape_change="retrain"))
    base = write_model(tmp_path / "base")
    desk.learner.base_revision = content_revision(base)
    await saved(desk, on("./base", FERRY))
    write_model(base, tokenizer_config__json=b"{}")
    desk.learner.base_revision = content_revision(base)
    made = await saved(desk, on("./base", FERRY))
    assert isinstance(made, events.Finished)
    assert made.kind == "full"


async def test_a_version_of_which_the_base_was_not_recorded_goes_on(desk: Desk, tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    await saved(desk, on("./base", FERRY))
    write_model(base, tokenizer_config__json=b"{}")
    assert isinstance(await saved(desk, on("./base", FERRY + BAKER)), events.Finished)


async def saved(desk: Desk, text: str) -> events.Event:
    desk.path.write_text(text, encoding="utf-8")
    desk.supervisor.saved(desk.path, text)
    await desk.settle()
    return desk.events[-1]
