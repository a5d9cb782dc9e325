"""When a save trains, and what happens instead: the real supervisor, thread, lock and store."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from dlm_lsp.runs import events
from dlm_lsp.runs.reasons import SaveReason
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import RunState, SectionState
from tests.fakes import BREAK, FAIL, Gate
from tests.runs.conftest import Desk, exchange

FERRY = exchange("When does the ferry leave?", "At seven.")
BAKER = exchange("Who bakes the bread?", "Ulla bakes it.")


async def test_a_save_is_queued_at_once_and_learned_after_the_debounce(desk: Desk) -> None:
    desk.save(FERRY)
    assert desk.status.state is RunState.QUEUED
    assert [section.state for section in desk.status.sections] == [SectionState.WAITING]
    assert not desk.learner.plans

    await desk.settle()

    assert [type(event).__name__ for event in desk.events if not isinstance(event, events.Phase | events.Step)] == [
        "Queued",
        "Started",
        "Finished",
    ]
    assert desk.status.version == 1
    assert desk.status.state is RunState.IDLE
    assert [section.state for section in desk.status.sections] == [SectionState.LEARNED]
    assert desk.status.last is not None
    assert desk.status.last.message == "learned in 5 steps (v0001)"
    current = desk.store.current()
    assert current is not None
    assert desk.learner.commits[-1][1] == str(current.path)


async def test_the_same_text_again_is_skipped_and_touches_neither_learner_nor_lock(desk: Desk) -> None:
    await desk.learn(FERRY)
    skipped = await desk.learn(FERRY)

    assert isinstance(skipped, events.Skipped)
    assert skipped.reason == "no new content, skipping"
    assert len(desk.learner.plans) == 1
    assert not desk.of(events.Waiting)


async def test_a_skip_notice_goes_with_the_next_change(desk: Desk) -> None:
    await desk.learn(FERRY)
    await desk.learn(FERRY)
    assert desk.status.last is not None

    status = desk.supervisor.changed(desk.path, desk.path.read_text() + "\nmore\n")
    assert status.last is None


async def test_blank_lines_comments_and_key_order_are_nothing_new(desk: Desk) -> None:
    await desk.learn(FERRY, "training:\n  seed: 7\n  lora_r: 4\n")
    same = await desk.learn("\n\n" + FERRY + "\n\n", "training:\n  lora_r: 4.0  # small\n  seed: 7\n")
    assert isinstance(same, events.Skipped)


async def test_a_burst_of_saves_makes_one_run_of_the_newest_text(desk: Desk) -> None:
    for number in range(20):
        desk.save(exchange("Which save was it?", f"Number {number}."))
        desk.clock.advance(0.05)
    await desk.settle()

    assert len(desk.learner.plans) == 1
    assert [lesson.answer for lesson in desk.learner.plans[0].fresh] == ["Number 19."]
    assert len(desk.of(events.Finished)) == 1


async def test_saving_without_a_pause_does_not_put_the_run_off_for_ever(desk: Desk) -> None:
    for number in range(30):
        desk.save(exchange("Which save was it?", f"Number {number}."))
        desk.clock.advance(0.3)
    started = await desk.until(events.Started)
    assert started.fresh == 1
    await desk.settle()


async def test_an_appended_section_does_not_retrain_its_neighbour(desk: Desk) -> None:
    await desk.learn(FERRY)
    await desk.learn(FERRY + BAKER)

    plan = desk.learner.plans[-1]
    assert [lesson.prompt for lesson in plan.fresh] == ["Who bakes the bread?"]
    assert [lesson.prompt for lesson in plan.known] == ["When does the ferry leave?"]
    assert plan.session.version_dir is not None
    assert plan.session.version_dir.endswith("v0001")
    manifest = desk.store.manifest()
    assert manifest is not None
    assert len(manifest.content_hashes) == 2


async def test_a_corrected_answer_is_changed_then_learned_and_the_old_one_leaves_the_replay(desk: Desk) -> None:
    await desk.learn(FERRY + BAKER)
    corrected = exchange("When does the ferry leave?", "At eight.")
    status = desk.supervisor.changed(desk.path, desk.path.read_text().replace("At seven.", "At eight."))
    assert [section.state for section in status.sections] == [SectionState.CHANGED, SectionState.LEARNED]

    await desk.learn(corrected + BAKER)

    assert [lesson.answer for lesson in desk.learner.plans[-1].fresh] == ["At eight."]
    remembered = [snapshot.content for snapshot in desk.store.replay().read()]
    assert any("At eight." in content for content in remembered)
    assert not any("At seven." in content for content in remembered)


async def test_a_cancelled_run_changes_nothing_and_the_next_save_learns(desk: Desk, tmp_path: Path) -> None:
    await desk.learn(FERRY)
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        desk.save(FERRY + BAKER)
        desk.clock.advance(0.4)
        gate.allow(2)
        await desk.until(events.Step, 5 + 2)
        assert desk.supervisor.cancel(desk.path) == "stopping after this step"
        assert desk.status.state is RunState.STOPPING
        assert desk.supervisor.cancel(desk.path) == "stopping after this step"  # once more is harmless
        await desk.settle()
        assert isinstance(desk.events[-1], events.Cancelled)
        assert desk.events[-1].version == 1
        assert desk.status.version == 1
        assert [section.state for section in desk.status.sections] == [SectionState.LEARNED, SectionState.NEW]
        desk.learner.gate = None
        finished = await desk.learn(FERRY + BAKER)
    assert isinstance(finished, events.Finished)
    assert finished.version == 2


async def test_a_cancel_before_the_run_calls_it_off(desk: Desk) -> None:
    desk.save(FERRY)
    assert desk.supervisor.cancel() == "cancelled"
    desk.clock.advance(10)
    await desk.settle()
    assert not desk.learner.plans
    assert isinstance(desk.events[-1], events.Cancelled)
    assert desk.supervisor.cancel(desk.path) == "nothing is running"


async def test_a_cancel_during_a_run_wins_over_the_save_that_waits_behind_it(desk: Desk, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        desk.save(FERRY)
        desk.clock.advance(0.4)
        await desk.until(events.Started)
        desk.save(FERRY + BAKER)
        desk.supervisor.cancel(desk.path)
        desk.clock.advance(10)
        await desk.settle()
    assert len(desk.learner.plans) == 1
    assert desk.store.current() is None


HOLD = """
import sys
from pathlib import Path
from dlm_lsp.store import Held, Store
held = Store(Path(sys.argv[1]), sys.argv[2]).try_lock()
assert isinstance(held, Held), held
print("held", flush=True)
sys.stdin.readline()
held.release()
print("released", flush=True)
sys.stdin.readline()
"""


async def test_a_store_held_by_another_process_is_waited_for_and_told(desk: Desk) -> None:
    from tests.runs.conftest import DLM_ID

    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(desk.home), DLM_ID], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin and other.stdout
        assert other.stdout.readline() == "held\n"
        desk.save(FERRY)
        desk.clock.advance(0.4)
        waiting = await desk.until(events.Waiting)
        assert waiting.pid == other.pid
        assert desk.status.lock is not None
        assert desk.status.state is RunState.WAITING
        assert not desk.learner.plans
        for _ in range(5):  # it looks again, and says it once
            desk.clock.advance(0.5)
            await asyncio.sleep(0)
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "released\n"
        while not desk.of(events.Finished):
            desk.clock.advance(0.5)
            await asyncio.sleep(0)
        other.stdin.write("\n")
        other.stdin.flush()
    assert desk.status.lock is None
    assert len([event for event in desk.of(events.Waiting) if event.pid == other.pid]) == 1


async def test_the_lock_of_a_killed_process_is_taken_over_and_said_so(desk: Desk) -> None:
    from tests.runs.conftest import DLM_ID

    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(desk.home), DLM_ID], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        other.kill()
    finished = await desk.learn(FERRY)
    assert isinstance(finished, events.Finished)
    assert any("no longer exists" in note for note in finished.notes)


async def test_a_broken_document_trains_nothing_and_keeps_version_and_waiting_run(desk: Desk) -> None:
    await desk.learn(FERRY)
    desk.save(FERRY + BAKER)
    desk.save(FERRY + BAKER + "\n::instruction::\n### Q\nunfinished\n")
    assert "errors" in desk.status.note
    await desk.settle()
    assert desk.status.version == 2  # the good text that was waiting is learned
    assert [lesson.answer for lesson in desk.learner.plans[-1].fresh] == ["Ulla bakes it."]


async def test_auto_save_marks_and_trains_only_if_asked_to(desk: Desk) -> None:
    text = desk.write(FERRY)
    desk.supervisor.saved(desk.path, text, reason=SaveReason.AFTER_DELAY)
    await desk.settle()
    assert not desk.learner.plans
    assert "trainOnAutoSave" in desk.status.note
    assert [section.state for section in desk.status.sections] == [SectionState.NEW]

    desk.supervisor.configure(RunSettings(home=desk.home, train_on_auto_save=True))
    desk.supervisor.saved(desk.path, text, reason=SaveReason.FOCUS_OUT)
    await desk.settle()
    assert len(desk.learner.plans) == 1


async def test_marking_and_off_train_on_command_alone(desk: Desk) -> None:
    for mode in ("mark", "off"):
        desk.supervisor.configure(replace(RunSettings(home=desk.home), on_save=mode))
        desk.save(FERRY)
        await desk.settle()
        assert not desk.learner.plans
    assert desk.supervisor.train_now(desk.path) == "training is queued"
    await desk.settle()
    assert desk.status.version == 1


async def test_a_failed_run_tells_its_cause_and_the_next_save_works(desk: Desk) -> None:
    await desk.learn(FERRY)
    failed = await desk.learn(FERRY + exchange("Does it work?", f"No: {FAIL}."))
    assert isinstance(failed, events.Failed)
    assert (failed.code, failed.key) == ("base-missing", "base_model")
    assert desk.status.version == 1
    assert desk.status.last is not None
    assert desk.status.last.outcome == "failed"

    unforeseen = await desk.learn(FERRY + exchange("Does it work?", f"No: {BREAK}."))
    assert isinstance(unforeseen, events.Failed)
    assert unforeseen.message == "ZeroDivisionError: nobody foresaw this"

    assert isinstance(await desk.learn(FERRY + BAKER), events.Finished)


async def test_a_full_retrain_begins_anew_over_the_whole_document(desk: Desk) -> None:
    assert desk.supervisor.would_discard(desk.path) is None
    await desk.learn(FERRY)
    await desk.learn(BAKER)  # the ferry left the document; the adapter still knows it
    assert desk.status.removed == 1
    assert "v0002" in str(desk.supervisor.would_discard(desk.path))

    assert desk.supervisor.full_retrain(desk.path) == "full retrain is queued"
    await desk.settle()

    plan = desk.learner.plans[-1]
    assert plan.kind == "full"
    assert plan.session.version_dir is None
    assert plan.max_steps is None
    assert [lesson.prompt for lesson in plan.fresh] == ["Who bakes the bread?"]
    assert desk.status.version == 3
    assert desk.status.removed == 0


async def test_a_changed_shape_cannot_be_continued_and_says_which_key(desk: Desk) -> None:
    await desk.learn(FERRY)
    failed = await desk.learn(FERRY + BAKER, "training: {lora_r: 16}\n")
    assert isinstance(failed, events.Failed)
    assert (failed.code, failed.key) == ("shape-changed", "training.lora_r")
    assert "Full Retrain" in failed.message

    desk.supervisor.full_retrain(desk.path)
    await desk.settle()
    assert isinstance(desk.events[-1], events.Finished)
    assert isinstance(await desk.learn(FERRY, "training: {lora_r: 16}\n"), events.Skipped)


async def test_a_changed_setting_or_a_removed_section_alone_is_skipped_with_the_truth(desk: Desk) -> None:
    await desk.learn(FERRY + BAKER)
    config = await desk.learn(FERRY + BAKER, "training: {learning_rate: 1e-3}\n")
    assert isinstance(config, events.Skipped)
    assert "applies from the next cycle" in config.reason
    removed = await desk.learn(FERRY)
    assert isinstance(removed, events.Skipped)
    assert "still knows 1 removed lesson" in removed.reason


async def test_what_the_cap_cut_short_says_so_and_train_now_continues_it(desk: Desk) -> None:
    desk.supervisor.configure(RunSettings(home=desk.home, max_steps=2))
    finished = await desk.learn(FERRY)
    assert isinstance(finished, events.Finished)
    assert finished.message == "stopped at the cap of 2 steps (v0001); 1 of 1 lesson not learned yet"
    assert desk.status.sections[0].state is SectionState.PARTLY

    desk.supervisor.configure(RunSettings(home=desk.home))
    desk.supervisor.train_now(desk.path)
    await desk.settle()
    assert desk.status.sections[0].state is SectionState.LEARNED


async def test_opening_a_document_writes_nothing(desk: Desk) -> None:
    text = desk.write(FERRY)
    status = desk.supervisor.opened(desk.path, text)
    assert [section.state for section in status.sections] == [SectionState.NEW]
    desk.supervisor.changed(desk.path, text + BAKER)
    desk.supervisor.closed(desk.path)
    assert not desk.home.exists()


async def test_a_shutdown_during_a_run_ends_it_at_its_next_step(tmp_path: Path) -> None:
    desk = Desk(tmp_path, RunSettings(home=tmp_path / "home", warm_on_open=False))
    desk.supervisor.start(asyncio.get_running_loop())
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        desk.save(FERRY)
        desk.clock.advance(0.4)
        await desk.until(events.Started)
        assert await desk.supervisor.shutdown(10)
    assert isinstance(desk.events[-1], events.Cancelled)
    assert desk.store.current() is None
    assert desk.store.holder() is None


async def test_the_percentage_never_falls_and_the_time_left_is_told(desk: Desk, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        desk.save(FERRY)
        desk.clock.advance(0.4)
        looked = 0
        while (await desk.until(events.Phase, looked + 1)).name != "train":
            looked += 1
        for step in range(1, 6):
            desk.clock.advance(2)
            gate.allow(1)
            await desk.until(events.Step, step)
            if step == 3:
                assert desk.status.run is not None
                assert desk.status.run.seconds_left is not None
                assert 3 < desk.status.run.seconds_left < 5  # 3 steps took 6 s, 2 are left
        await desk.settle()
    shares = [status.run.percentage for status in desk.statuses if status.run]
    assert shares == sorted(shares)
    assert max(shares) >= 90


async def test_a_deleted_file_is_a_sentence_not_a_crash(desk: Desk) -> None:
    await desk.learn(FERRY)
    desk.path.unlink()
    message = desk.supervisor.train_now(desk.path)
    assert "cannot be read" in message
    desk.supervisor.saved(desk.path, None)
    await desk.settle()
    assert desk.status.version == 1


async def test_sourced_files_are_learned_and_what_is_left_out_is_said(desk: Desk) -> None:
    folder = desk.path.parent / "notes"
    folder.mkdir()
    (folder / "ferry.txt").write_text("The ferry leaves at seven.\n")
    (folder / "picture.txt").write_bytes(b"\x00\xff\x00")
    extra = "training:\n  sources:\n    - path: notes\n"
    await desk.learn(FERRY, extra)
    assert [lesson.kind for lesson in desk.learner.plans[-1].fresh] == ["exchange", "prose"]
    document = desk.supervisor.document(desk.path)
    assert document is not None
    assert any("picture.txt" in problem.message for problem in document.problems)

    assert isinstance(await desk.learn(FERRY, extra), events.Skipped)
    assert desk.status.removed == 0
    (folder / "ferry.txt").write_text("The ferry leaves at eight.\n")
    await desk.learn(FERRY, extra)
    assert "eight" in desk.learner.plans[-1].fresh[0].answer
    assert desk.status.removed == 1  # what the file said before


async def test_the_journal_keeps_how_each_run_ended_and_no_text(desk: Desk) -> None:
    await desk.learn(FERRY)
    await desk.learn(exchange("Does it work?", f"No: {FAIL}."))
    kept = [(entry.event, entry.version, entry.detail) for entry in desk.store.journal()]
    assert kept == [
        ("started", None, ""),
        ("finished", 1, ""),
        ("started", None, ""),
        ("failed", None, "base-missing"),
    ]
    assert "ferry" not in desk.store.layout.journal.read_text()


async def test_a_document_without_text_has_nothing_to_train(desk: Desk) -> None:
    skipped = await desk.learn("")
    assert isinstance(skipped, events.Skipped)
    assert skipped.reason == "nothing to train: the document has no prose and no exchanges"


async def test_a_misspelt_base_is_an_error_on_its_value_and_is_not_tried(desk: Desk) -> None:
    text = desk.write(FERRY).replace("builtin:tiny", "smolm2-135m")
    status = desk.supervisor.opened(desk.path, text)
    document = desk.supervisor.document(desk.path)
    assert document is not None
    (problem,) = document.problems
    assert problem.code == "base-unknown"
    assert "smollm2-135m" in problem.message
    assert (problem.range.start.line, problem.range.start.column, problem.range.end.column) == (2, 12, 23)
    desk.supervisor.saved(desk.path, text)
    await desk.settle()
    assert status.version is None
    assert not desk.learner.plans
