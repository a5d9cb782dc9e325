"""The truth about each section and exchange: every state, what left the document, and the story of each version."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dlm_lsp.runs.history import story_sentence
from dlm_lsp.runs.labels import label, what_next
from dlm_lsp.runs.settings import RunSettings
from dlm_lsp.runs.status import RunState, SectionState
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.telling import headline, section_sentence
from dlm_lsp.runs.truth import Truth
from dlm_lsp.store import Store
from tests.fakes import FAIL, FakeLearner, Gate
from tests.runs.conftest import DLM_ID, Desk, exchange, frontmatter

FERRY = exchange("When does the ferry leave?", "At seven.")
PROSE = "\nThe ferry leaves at seven, and the light is green.\n"
BAKER = exchange("Who bakes the bread?", "Ulla bakes it.")
MANY = "\n::instruction::\n### Q\nWho?\n### A\nMira.\n\n### Q\nWhere?\n### A\nHere.\n\n### Q\nWhen?\n### A\nNow.\n"


def truth(supervisor: Supervisor, path: Path) -> Truth:
    found = supervisor.truth(path)
    assert found is not None
    return found


def labels(desk: Desk) -> list[str]:
    return [label(section) for _, section in truth(desk.supervisor, desk.path).sections()]


def exchange_labels(desk: Desk) -> list[str]:
    found = truth(desk.supervisor, desk.path)
    return [label(lesson) for section, _ in found.sections() for _, _, lesson in found.exchanges(section)]


def another_look(desk: Desk, home: Path | None = None) -> Supervisor:
    """As a process that begins later sees it: nothing but the files."""
    other = Supervisor(learner=FakeLearner, settings=RunSettings(home=home or desk.home, warm_on_open=False))
    other.looked_at(desk.path)
    return other


async def test_a_section_goes_through_its_states(desk: Desk, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        desk.supervisor.opened(desk.path, desk.write(FERRY))
        assert labels(desk) == ["new"]
        desk.save(FERRY)
        assert labels(desk) == ["waiting"]
        desk.clock.advance(0.4)
        await desk.until_status(lambda status: status.state is RunState.TRAINING)
        assert labels(desk) == exchange_labels(desk) == ["learning…"]
        gate.allow(5)
        await desk.settle()
    assert labels(desk) == ["learned v1 · 0.60"]
    desk.supervisor.changed(desk.path, desk.write(FERRY.replace("seven", "eight") + BAKER))
    assert labels(desk) == exchange_labels(desk) == ["changed", "new"]


async def test_prose_is_read_and_what_it_says_is_answered_when_it_stands_as_an_exchange(desk: Desk) -> None:
    advice = "to have a fact of it answered, write it as an exchange"
    await desk.learn(PROSE)
    assert desk.status.last is not None and desk.status.last.message == f"read in 5 steps (v0001); {advice}"
    assert headline(desk.status) == "read (v0001)"
    await desk.learn(PROSE + FERRY)
    assert desk.status.last.message == "learned in 5 steps (v0002)", "prose that was read before is no news"
    assert headline(desk.status) == "learned (v0002)"
    assert labels(desk) == ["read v1 · 0.60", "learned v2 · 0.60"]
    found = truth(desk.supervisor, desk.path)
    assert found.summary == "2 sections: 1 learned, 1 read"
    (text, status), _ = found.sections()
    assert section_sentence(status).startswith("read in v0001 · seen 5 times · loss ")
    assert what_next(status).lower() == f"{advice}."
    told = found.story(text, (await desk.supervisor.recall(found)).chronicle)
    assert story_sentence(told, status.kind).startswith("v0001 read · loss ")


async def test_a_run_over_prose_and_exchanges_tells_of_both(desk: Desk) -> None:
    await desk.learn(PROSE + FERRY)
    assert desk.status.last is not None
    assert desk.status.last.message == "learned in 5 steps (v0001); 1 text read"


async def test_each_exchange_of_a_section_has_its_own_truth(desk: Desk) -> None:
    await desk.learn(MANY)
    desk.supervisor.changed(desk.path, desk.write(MANY.replace("Here.", "There.") + "\n### Q\nWhy?\n### A\nSo.\n"))
    assert labels(desk) == ["changed · 2/4 learned"]
    assert exchange_labels(desk) == ["learned v1 · 0.60", "changed", "learned v1 · 0.60", "new"]


async def test_what_the_cap_ended_is_partly_learned(tmp_path: Path) -> None:
    desk = Desk(tmp_path, RunSettings(home=tmp_path / "home", warm_on_open=False, max_steps=2))
    desk.supervisor.start(asyncio.get_running_loop())
    await desk.learn(MANY)
    assert labels(desk) == ["partly 0/3"]
    assert exchange_labels(desk) == ["partly"] * 3
    found = truth(desk.supervisor, desk.path)
    ((_, status),) = found.sections()
    assert "Train Now continues" in status.reason
    assert await desk.supervisor.shutdown(10)


async def test_a_failed_run_is_told_where_it_failed_also_after_a_restart(desk: Desk) -> None:
    await desk.learn(FERRY)
    broken = exchange("What breaks?", FAIL)
    await desk.learn(FERRY + broken)
    assert labels(desk) == ["learned v1 · 0.60", "failed"]
    status = desk.status.sections[1]
    assert status.reason == "The run of 2027-01-15 08:00:00 UTC failed: The base can't be had. Choose another one"
    assert status in desk.status.pending

    later = another_look(desk)
    (_, first), (_, second) = truth(later, desk.path).sections()
    assert (label(first), label(second)) == ("learned v1 · 0.60", "failed")
    assert second.reason == "The run of 2027-01-15 08:00:00 UTC failed: base-missing", "no text is kept on disk"

    desk.supervisor.changed(desk.path, desk.write(FERRY + broken.replace(FAIL, "Nothing.")))
    assert labels(desk)[1] == "new", "another text than the one that failed"
    desk.clock.advance(1)
    await desk.learn(FERRY + BAKER)
    desk.supervisor.changed(desk.path, desk.write(FERRY + BAKER + broken))
    assert labels(desk)[2] == "new", "a later run did not fail"
    assert label(list(truth(another_look(desk), desk.path).sections())[2][1]) == "new"
    assert desk.store.failed() is None


async def test_a_cancelled_run_has_not_failed(desk: Desk, tmp_path: Path) -> None:
    await desk.learn(exchange("What breaks?", FAIL))
    assert labels(desk) == ["failed"]
    with Gate(tmp_path / "gate") as gate:
        desk.learner.gate = gate
        desk.save(FERRY + exchange("What breaks?", "Nothing."))
        desk.clock.advance(0.4)
        await desk.until_status(lambda status: status.state is RunState.TRAINING)
        desk.supervisor.cancel(desk.path)
        await desk.settle()
    assert labels(desk) == ["new", "new"]
    assert desk.store.failed() is None


async def test_what_could_not_even_take_the_lock_has_failed_as_well(desk: Desk) -> None:
    """Nothing can be written then, so only this process knows."""
    desk.home.mkdir()
    (desk.home / "store").write_text("no folder")
    await desk.learn(FERRY)
    assert labels(desk) == ["failed"]
    assert "failed: " in desk.status.sections[0].reason


async def test_what_left_the_document_is_listed_with_its_words_while_they_are_kept(desk: Desk) -> None:
    await desk.learn("Prose of the harbour.\n" + FERRY + BAKER)
    text = desk.write(BAKER.replace("Ulla", "Mira"))
    desk.supervisor.changed(desk.path, text)
    found = truth(desk.supervisor, desk.path)
    assert found.summary == "1 section: 1 changed · 2 removed but remembered · 1 earlier text remembered"
    recall = await desk.supervisor.recall(found, removed=True)
    assert {(each.words, each.kind, each.replaced, each.version) for each in found.removed(recall.words)} == {
        ("Prose of the harbour.", "prose", False, 1),
        ("When does the ferry leave?", "instruction", False, 1),
        ("Who bakes the bread?", "instruction", True, 1),
    }
    assert len(found.removed(recall.words, 2)) == 2

    await desk.learn(BAKER.replace("Ulla", "Mira"))  # what left the document leaves the corpus with this commit
    found = truth(desk.supervisor, desk.path)
    recall = await desk.supervisor.recall(found, removed=True)
    assert [each.words for each in found.removed(recall.words)] == ["", "", ""]
    assert {each.times_seen for each in found.removed(recall.words)} == {5}

    desk.supervisor.full_retrain(desk.path)
    await desk.settle()
    assert truth(desk.supervisor, desk.path).summary == "1 section: 1 learned"


async def test_a_section_with_an_error_has_not_left_the_document(desk: Desk) -> None:
    await desk.learn(MANY + FERRY)
    broken = MANY.replace("### A\nNow.\n", "")
    desk.supervisor.changed(desk.path, desk.write(broken + FERRY))
    assert desk.status.removed == 0
    found = truth(desk.supervisor, desk.path)
    assert found.left == ()
    assert labels(desk) == ["has an error", "learned v1 · 0.60"]
    assert exchange_labels(desk)[:2] == ["learned v1 · 0.60"] * 2, "what can be read keeps its truth"

    desk.supervisor.changed(desk.path, desk.write("\nA text.\n```\nthat never ends\n"))
    assert labels(desk) == ["has an error"]


async def test_a_document_with_broken_frontmatter_keeps_what_is_known(desk: Desk) -> None:
    await desk.learn(MANY)
    text = desk.write(MANY).replace("base_model: builtin:tiny", "base_model: [")
    desk.supervisor.changed(desk.path, text)
    assert labels(desk) == ["learned v1 · 0.60"]
    assert exchange_labels(desk) == ["learned v1 · 0.60"] * 3


async def told(desk: Desk, number: int = 0) -> str:
    found = truth(desk.supervisor, desk.path)
    recall = await desk.supervisor.recall(found)
    section, status = list(found.sections())[number]
    return story_sentence(found.story(section, recall.chronicle), status.kind, many=status.lessons > 1)


async def test_the_story_tells_learning_changing_and_a_full_retrain(desk: Desk) -> None:
    await desk.learn(FERRY)
    assert await told(desk) == "v0001 learned · loss 3.00 → 0.60"
    changed = FERRY.replace("seven", "eight")
    await desk.learn(changed + BAKER)
    assert await told(desk) == "v0001 learned (an earlier text) · loss 3.00 → 0.60; v0002 learned · loss 3.00 → 0.60"
    assert await told(desk, 1) == "v0002 learned · loss 3.00 → 0.60"
    desk.supervisor.full_retrain(desk.path)
    await desk.settle()
    assert await told(desk, 1) == ("v0002 learned · loss 3.00 → 0.60; v0003 learned · loss 3.00 → 0.60 (full retrain)")


async def test_what_a_revert_went_behind_is_undone(desk: Desk) -> None:
    await desk.learn(FERRY)
    await desk.learn(FERRY + BAKER)
    await desk.supervisor.revert(desk.path)
    assert labels(desk) == ["learned v1 · 0.60", "new"]
    assert await told(desk, 1) == "v0002 learned · loss 3.00 → 0.60 (undone by a revert)"
    await desk.learn(FERRY + BAKER)
    assert await told(desk, 1) == (
        "v0002 learned · loss 3.00 → 0.60 (undone by a revert); v0003 learned · loss 3.00 → 0.60"
    )
    assert await told(desk, 0) == "v0001 learned · loss 3.00 → 0.60"


async def test_what_is_recalled_is_read_once_for_each_version(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.learn(FERRY)
    await desk.learn(FERRY + BAKER)
    found = truth(desk.supervisor, desk.path)
    assert desk.supervisor.recalled(found) is None
    first = await desk.supervisor.recall(found)
    assert desk.supervisor.recalled(found) is first, "at hand: no file is touched"
    monkeypatch.setattr(Store, "chronicle", lambda *_: pytest.fail("read again"))
    desk.supervisor.changed(desk.path, desk.write(FERRY))
    assert await desk.supervisor.recall(truth(desk.supervisor, desk.path)) is first


async def test_nothing_is_recalled_in_an_untrusted_workspace(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.learn(FERRY)
    monkeypatch.setattr(Store, "chronicle", lambda *_: pytest.fail("read"))
    monkeypatch.setattr(Store, "replay", lambda *_: pytest.fail("read"))
    desk.supervisor.trust(False)
    desk.supervisor.changed(desk.path, desk.write(BAKER))
    found = truth(desk.supervisor, desk.path)
    recall = await desk.supervisor.recall(found, removed=True)
    assert [each.words for each in found.removed(recall.words)] == [""]


async def test_a_store_that_cannot_be_read_is_no_reason_to_say_nothing(desk: Desk) -> None:
    await desk.learn(FERRY)
    for record in (desk.home / "store" / DLM_ID / "lsp" / "versions").iterdir():
        record.write_bytes(b"{}")
    (desk.home / "store" / DLM_ID / "replay" / "index.json").write_bytes(b"[")
    found = truth(desk.supervisor, desk.path)
    assert await desk.supervisor.recall(found, removed=True)
    assert await told(desk) == ""
    assert labels(desk) == ["learned v1 · 0.60"], "what was known stays known"


def test_only_the_lines_that_are_asked_for_are_looked_at() -> None:
    """Of 3,000 sections and of one section with 3,000 exchanges: as many answers as fit the window."""
    body = "".join(exchange(f"Which is number {number}?", f"{number}.") for number in range(3000))
    big = "\n::instruction::\n" + "".join(f"### Q\nWhich, {number}?\n### A\n{number}.\n" for number in range(3000))
    supervisor = Supervisor(learner=FakeLearner, settings=RunSettings(warm_on_open=False))
    supervisor.opened(Path("/nowhere/a.dlm"), frontmatter() + body + big)
    found = truth(supervisor, Path("/nowhere/a.dlm"))
    lines = [status.range.start.line for _, status in found.sections(1000, 1059)]
    assert 10 <= len(lines) <= 13
    assert lines[0] <= 1000 < lines[1]
    last = len(found.status.sections) - 1
    section = found.document.sections[last]
    assert len(section.exchanges) == 3000
    near = list(
        found.exchanges(section, section.exchanges[1500].range.start.line, section.exchanges[1509].range.end.line)
    )
    assert [number for number, _, _ in near] == list(range(1501, 1511))
    assert {lesson.state for _, _, lesson in near} == {SectionState.NEW}
