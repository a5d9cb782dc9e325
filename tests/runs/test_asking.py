"""Questions to a document: their order, who answers, what they wait for, and how they end. Real queue and worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlm_lsp.runs import events
from dlm_lsp.runs.questions import Answer, AskRefused
from dlm_lsp.runs.status import RunState
from dlm_lsp.training.protocol import LearnerError, Turn
from tests.fakes import UNKNOWN, Gate
from tests.runs.conftest import DLM_ID, Desk, exchange

FERRY = exchange("When does the ferry leave?", "At seven.")
BAKER = exchange("Who bakes the bread?", "Ulla bakes it.")
QUESTION, ANSWER = "When does the ferry leave?", "At seven."


@pytest.fixture
def gate(desk: Desk, tmp_path: Path) -> Iterator[Gate]:
    """Paces the steps of runs."""
    with Gate(tmp_path / "steps") as gate:
        desk.learner.gate = gate
        yield gate


@pytest.fixture
def tongue(desk: Desk, tmp_path: Path) -> Iterator[Gate]:
    """Paces the words of answers."""
    with Gate(tmp_path / "words") as tongue:
        desk.learner.tongue = tongue
        yield tongue


async def spoken(answer: Answer) -> str:
    return await asyncio.wait_for(answer.text(), 20)


async def test_the_current_version_answers_and_says_so(desk: Desk) -> None:
    await desk.learn(FERRY)
    answer = desk.supervisor.ask(desk.path, QUESTION)
    assert answer.waits_for
    await asyncio.wait_for(answer.started(), 20)
    assert (answer.version, answer.live, answer.speaker, answer.waits_for) == (1, False, "v0001", "")
    assert await spoken(answer) == ANSWER
    assert answer.spoken is not None
    assert (answer.spoken.end, answer.spoken.tokens) == ("end", 2)
    current = desk.store.current()
    assert current is not None
    assert desk.learner.asked[-1].session.version_dir == str(current.path)


async def test_before_anything_is_learned_the_bare_base_answers(desk: Desk) -> None:
    desk.supervisor.opened(desk.path, desk.write(FERRY))
    answer = desk.supervisor.ask(desk.path, "Who?")
    assert await spoken(answer) == UNKNOWN
    assert (answer.version, answer.speaker) == (None, "the base model")
    await desk.until_status(lambda status: status.warm)
    assert not desk.home.exists()


async def test_an_older_version_answers_and_one_that_is_not_there_is_refused(desk: Desk) -> None:
    await desk.learn(FERRY)
    await desk.learn(FERRY + BAKER)
    older = desk.supervisor.ask(desk.path, QUESTION, version=1)
    assert await spoken(older) == ANSWER
    assert older.version == 1
    assert str(desk.learner.asked[-1].session.version_dir).endswith("v0001")
    with pytest.raises(AskRefused, match="there is no version v0009; there are: v0001, v0002") as caught:
        await spoken(desk.supervisor.ask(desk.path, QUESTION, version=9))
    assert caught.value.code == "no-such-version"


async def test_what_is_wished_arrives(desk: Desk) -> None:
    desk.supervisor.opened(desk.path, desk.write(FERRY, "system_prompt: Be kind.\n"))
    turns = (Turn("user", "Who?"), Turn("assistant", "Ulla."))
    ask = desk.supervisor.ask
    await spoken(
        ask(desk.path, "And?", earlier=turns, system="Be short.", max_new_tokens=3, temperature=0.5, top_p=0.9, seed=4)
    )
    await spoken(ask(desk.path, "And?"))
    wished, plain = desk.learner.asked
    assert (wished.prompt, wished.earlier, wished.session.system_prompt) == ("And?", turns, "Be short.")
    assert (wished.max_new_tokens, wished.temperature, wished.top_p, wished.seed) == (3, 0.5, 0.9, 4)
    assert (plain.earlier, plain.session.system_prompt) == ((), "Be kind.")


async def test_a_question_is_answered_while_a_run_goes_on(desk: Desk, gate: Gate) -> None:
    gate.allow(5)
    await desk.learn(FERRY)
    desk.save(FERRY + BAKER)
    desk.clock.advance(0.4)
    await desk.until(events.Started, 2)
    asked = [desk.supervisor.ask(desk.path, QUESTION), desk.supervisor.ask(desk.path, QUESTION, version="live")]
    gate.allow(1)
    assert [await spoken(each) for each in asked] == [ANSWER, ANSWER]
    assert desk.status.state is RunState.TRAINING
    assert [(each.version, each.live) for each in asked] == [(1, False), (1, True)]
    assert [each.speaker for each in asked] == ["v0001", "the run after v0001"]
    gate.allow(4)
    await desk.settle()
    assert desk.status.version == 2


async def test_between_two_runs_live_is_the_current_version(desk: Desk) -> None:
    await desk.learn(FERRY)
    answer = desk.supervisor.ask(desk.path, QUESTION, version="live")
    assert await spoken(answer) == ANSWER
    assert (answer.version, answer.live) == (1, False)


async def test_questions_are_answered_in_their_order_and_say_what_they_wait_for(desk: Desk, tongue: Gate) -> None:
    await desk.learn(FERRY)
    lengths = [13, 12, 11]  # by which they are told apart
    first, second, third = (desk.supervisor.ask(desk.path, QUESTION, max_new_tokens=each) for each in lengths)
    tongue.allow(1)
    await asyncio.wait_for(first.started(), 20)
    assert (first.waits_for, second.waits_for, third.waits_for) == ("", "1 other question", "2 other questions")
    tongue.allow(5)
    await asyncio.gather(spoken(third), spoken(first), spoken(second))
    assert [each.max_new_tokens for each in desk.learner.asked] == lengths


async def test_a_question_can_be_called_off_while_it_waits_and_while_it_speaks(desk: Desk, tongue: Gate) -> None:
    await desk.learn(FERRY)
    first, second, third = (desk.supervisor.ask(desk.path, QUESTION) for _ in range(3))
    second.cancel()
    tongue.allow(1)
    assert await asyncio.wait_for(anext(first), 20) == "At"
    first.cancel()
    first.cancel()
    assert await spoken(first) == await spoken(second) == ""
    assert (first.cancelled, second.cancelled, first.spoken) == (True, True, None)
    tongue.allow(3)  # one may still be the first one's
    assert await spoken(third) == ANSWER
    assert len(desk.learner.asked) == 2


async def test_a_question_is_no_run(desk: Desk, tongue: Gate) -> None:
    await desk.learn(FERRY)
    answer = desk.supervisor.ask(desk.path, QUESTION)
    assert not desk.supervisor.busy
    await asyncio.wait_for(desk.supervisor.wait_for_idle(), 20)
    told = len(desk.events)
    desk.save(FERRY + BAKER)  # is learned after the answer
    desk.clock.advance(0.4)
    tongue.allow(2)
    assert await spoken(answer) == ANSWER
    assert answer.version == 1
    await desk.settle()
    assert [type(each) for each in desk.events[told:]].count(events.Finished) == 1


async def test_a_stopped_run_does_not_cut_an_answer_short(desk: Desk, gate: Gate, tongue: Gate) -> None:
    gate.allow(5)
    await desk.learn(FERRY)
    desk.save(FERRY + BAKER)
    desk.clock.advance(0.4)
    await desk.until(events.Started, 2)
    answer = desk.supervisor.ask(desk.path, QUESTION)
    gate.allow(1)
    tongue.allow(1)
    pieces = [await asyncio.wait_for(anext(answer), 20)]
    desk.supervisor.cancel(desk.path)
    tongue.allow(1)
    await desk.until(events.Cancelled)
    tongue.allow(2)  # it is said again from its beginning, and heard once
    pieces += [piece async for piece in answer]
    assert "".join(pieces) == ANSWER
    assert answer.version == 1


async def test_nothing_can_be_asked_of_what_is_not_there(desk: Desk) -> None:
    desk.path.write_text("---\nbase_model: [\n---\n")
    with pytest.raises(AskRefused, match=r"notes.dlm is not open") as unknown:
        await spoken(desk.supervisor.ask(desk.path, "Who?"))
    desk.supervisor.looked_at(desk.path)
    with pytest.raises(AskRefused, match=r"the frontmatter of notes.dlm has errors") as broken:
        await spoken(desk.supervisor.ask(desk.path, "Who?"))
    assert (unknown.value.code, broken.value.code) == ("unknown-document", "bad-id")
    assert not desk.learner.asked


async def test_a_version_of_another_base_is_refused(desk: Desk) -> None:
    await desk.learn(FERRY)
    desk.supervisor.changed(desk.path, f"---\ndlm_id: {DLM_ID}\nbase_model: smollm2-135m\n---\n{FERRY}")
    with pytest.raises(
        AskRefused, match="v0001 was learned on the base builtin:tiny, and the document names smollm2-135m"
    ) as caught:
        await spoken(desk.supervisor.ask(desk.path, "Who?"))
    assert caught.value.code == "other-base"


async def test_an_untrusted_workspace_asks_nothing_and_losing_trust_ends_what_speaks(desk: Desk, tongue: Gate) -> None:
    await desk.learn(FERRY)
    speaking, waiting = desk.supervisor.ask(desk.path, QUESTION), desk.supervisor.ask(desk.path, QUESTION)
    tongue.allow(1)
    await asyncio.wait_for(speaking.started(), 20)
    desk.supervisor.trust(False)
    for answer in (speaking, waiting, desk.supervisor.ask(desk.path, QUESTION)):
        with pytest.raises(AskRefused, match="not trusted") as caught:
            await spoken(answer)
        assert caught.value.code == "not-trusted"
    assert len(desk.learner.asked) == 1


async def test_the_end_of_the_server_ends_every_question(desk: Desk, tongue: Gate) -> None:
    await desk.learn(FERRY)
    asked = [desk.supervisor.ask(desk.path, QUESTION) for _ in range(3)]
    tongue.allow(1)
    await asyncio.wait_for(asked[0].started(), 20)
    assert await desk.supervisor.shutdown(10)
    asked.append(desk.supervisor.ask(desk.path, QUESTION))
    for answer in asked:
        with pytest.raises(AskRefused, match="the server is ending") as caught:
            await spoken(answer)
        assert caught.value.code == "ending"


async def test_a_question_that_breaks_ends_alone(desk: Desk, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    desk.save(FERRY)
    desk.clock.advance(0.4)
    await desk.until(events.Started)
    monkeypatch.setattr("dlm_lsp.runs.asking.session_request", broken)
    in_run = desk.supervisor.ask(desk.path, QUESTION)
    gate.allow(5)
    with pytest.raises(LearnerError, match="nobody foresaw this"):
        await spoken(in_run)
    await desk.settle()
    assert desk.status.version == 1
    monkeypatch.undo()
    monkeypatch.setattr(desk.learner, "generate", broken)
    with pytest.raises(LearnerError, match="nobody foresaw this") as caught:
        await spoken(desk.supervisor.ask(desk.path, QUESTION))
    assert caught.value.code == "internal-error"
