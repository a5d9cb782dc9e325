"""Asking the model in the editor: `dlm/ask`, the command and the lenses, on the real server process."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from dlm_lsp.server.ask_lenses import MOST
from tests.fakes import UNKNOWN, Gate
from tests.server.editor import DLM_ID, HEAD, PATIENCE, Editor, capabilities, exchange

Begin = Callable[..., Awaitable[Editor]]

KEEPER = ("Who keeps the lighthouse?", "Mira Tolle keeps it.")
FERRY = ("What does the ferry carry?", "It carries salt.")
ONE = HEAD + exchange(*KEEPER)
TWO = ONE + exchange(*FERRY)

_numbers = itertools.count(1)


@pytest.fixture
def tongue(tmp_path: Path) -> Iterator[Gate]:
    """Paces the words of answers."""
    with Gate(tmp_path / "tongue") as tongue:
        yield tongue


class Question:
    """One `dlm/ask`, sent when it is made."""

    def __init__(self, editor: Editor, uri: str, prompt: str | None = KEEPER[0], **given: Any) -> None:
        self.id = f"question {next(_numbers)}"
        self.token = f"pieces of {self.id}"
        self.editor = editor
        editor.given |= {self.token, given.get("workDoneToken")}
        params = {"uri": uri, "prompt": prompt, "partialResultToken": self.token, **given}
        asked = editor.protocol.send_request_async("dlm/ask", params, self.id)
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.ensure_future(asked)

    async def result(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.answer, PATIENCE)

    @property
    def pieces(self) -> list[dict[str, Any]]:
        return [told.value for told in self.editor.all("$/progress") if told.token == self.token]

    async def first_piece(self) -> dict[str, Any]:
        return (await self.editor.until(lambda: self.pieces))[0]

    def cancel(self) -> None:
        self.editor.protocol.notify("$/cancelRequest", types.CancelParams(self.id))

    async def refusal(self) -> JsonRpcException:
        with pytest.raises(JsonRpcException) as caught:
            await self.result()
        return caught.value


async def learned(editor: Editor, path: Path, text: str = ONE) -> str:
    uri = editor.open(path, HEAD)
    editor.save(path, text)
    await editor.idle(uri)
    return uri


async def test_an_answer_comes_in_pieces_and_says_who_spoke(editor: Editor, tmp_path: Path) -> None:
    uri = await learned(editor, tmp_path / "a.dlm")
    asked = Question(editor, uri)
    result = await asked.result()
    assert result["asked_at"].endswith("Z") and result["seconds"] >= 0
    told = {name: result[name] for name in ("answer", "version", "live", "speaker", "question", "end", "tokens")}
    assert told == {
        "answer": UNKNOWN,  # this fake remembers nothing; what is learned is asked of the real one
        "version": 1,
        "live": False,
        "speaker": "v0001",
        "question": KEEPER[0],
        "end": "end",
        "tokens": 4,
    }
    assert "".join(each["text"] for each in asked.pieces) == UNKNOWN
    assert all((each["version"], each["live"]) == (1, False) for each in asked.pieces)

    shown = len(editor.all("$/progress"))  # without a token the answer comes at its end
    assert (await Question(editor, uri, partialResultToken=None).result())["answer"] == UNKNOWN
    assert len(editor.all("$/progress")) == shown


async def test_the_question_at_a_place_is_asked(editor: Editor, tmp_path: Path) -> None:
    uri = await learned(editor, tmp_path / "a.dlm", TWO)
    for written, question in ((KEEPER[1], KEEPER[0]), (FERRY[0], FERRY[0])):  # in an answer and in a question
        line = TWO[: TWO.index(written)].count("\n")
        asked = Question(editor, uri, None, position={"line": line, "character": 2})
        assert (await asked.result())["question"] == question
    refusal = await Question(editor, uri, None, position={"line": 1, "character": 0}).refusal()
    assert (refusal.code, refusal.message) == (-32602, "There is no question in line 2.")


UNFIT: list[tuple[dict[str, Any], int, str]] = [
    ({"uri": "file:///nowhere/b.dlm"}, -32602, "The document b.dlm is not open"),
    ({"uri": None}, -32602, "no document that this server knows"),
    ({"prompt": " "}, -32602, "Give the `prompt`"),
    ({"prompt": None, "position": {"line": -1, "character": 0}}, -32602, "Give the `prompt`"),
    ({"version": 9}, -32803, "There is no version v0009; there are: v0001."),
    ({"version": "newest"}, -32602, "names no version"),
    ({"maxTokens": 0}, -32602, "`maxTokens` is a whole number from 1"),
    ({"maxTokens": True}, -32602, "`maxTokens` is a whole number from 1"),
    ({"temperature": "hot"}, -32602, "`temperature` is a number"),
    ({"topP": 2}, -32602, "`topP` is a number from 0 to 1"),
    ({"earlier": [{"role": "system", "text": "x"}]}, -32602, "`earlier` is a list"),
    ({"earlier": "x"}, -32602, "`earlier` is a list"),
    ({"system": 3}, -32602, "`system` is a text"),
]


async def test_what_can_not_be_asked_is_said(editor: Editor, tmp_path: Path) -> None:
    uri = await learned(editor, tmp_path / "a.dlm")
    for given, code, says in UNFIT:
        params = {"uri": uri, "prompt": "Who?", **given}
        with pytest.raises(JsonRpcException) as caught:
            await asyncio.wait_for(editor.protocol.send_request_async("dlm/ask", params), PATIENCE)
        assert (caught.value.code, says in caught.value.message) == (code, True), caught.value.message
    with pytest.raises(JsonRpcException):
        await asyncio.wait_for(editor.protocol.send_request_async("dlm/ask", [uri]), PATIENCE)


async def test_several_wait_in_order_and_each_can_be_cancelled(begin: Begin, tongue: Gate, tmp_path: Path) -> None:
    editor = await begin(environment={"DLM_FAKE_TONGUE": str(tongue.path)})
    uri = await learned(editor, tmp_path / "a.dlm")
    first, second, third = (Question(editor, uri) for _ in range(3))
    tongue.allow(1)
    assert (await first.first_piece())["text"] == "I"
    assert not second.pieces and not third.pieces
    second.cancel()
    assert (await second.refusal()).code == -32800
    first.cancel()
    assert (await first.refusal()).code == -32800
    tongue.allow(5)  # one may still be the first one's
    assert (await third.result())["answer"] == UNKNOWN
    assert not second.pieces


async def test_a_question_in_mid_run_is_answered_at_once_and_the_run_goes_on(
    begin: Begin, gate: Gate, tmp_path: Path
) -> None:
    editor = await begin(gate=gate)
    path = tmp_path / "a.dlm"
    gate.allow(5)
    uri = await learned(editor, path)
    editor.save(path, TWO)
    await editor.until(lambda: any(each["run_id"] == 2 for each in editor.all("dlm/trainingProgress")))
    asked = [Question(editor, uri), Question(editor, uri, version="live"), Question(editor, uri, version="v0001")]
    # As a task of its own it is sent after the questions, so that these have arrived when it is answered.
    await asyncio.ensure_future(editor.command("dlm.showStatus", {"uri": uri, "quiet": True}))
    gate.allow(1)
    results = [await each.result() for each in asked]
    assert [(each["version"], each["live"]) for each in results] == [(1, False), (1, True), (1, False)]
    assert results[1]["speaker"] == "the run after v0001"
    assert editor.statuses(uri)[-1]["version"] == 1
    gate.allow(4)
    assert (await editor.idle(uri))["version"] == 2


async def test_a_work_done_token_shows_what_is_waited_for_and_cancels(
    begin: Begin, tongue: Gate, tmp_path: Path
) -> None:
    editor = await begin(environment={"DLM_FAKE_TONGUE": str(tongue.path)})
    uri = await learned(editor, tmp_path / "a.dlm")
    asked = Question(editor, uri, workDoneToken="work")
    tongue.allow(1)
    await asked.first_piece()
    editor.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams("work"))
    assert (await asked.result())["end"] == "stopped"
    story = [told.value for told in editor.all("$/progress") if told.token == "work"]
    assert [each["kind"] for each in story] == ["begin", "report", "end"]
    assert story[0]["cancellable"] is True
    assert story[1]["message"] == "v0001 answers"


async def test_an_untrusted_workspace_is_asked_nothing(begin: Begin, tmp_path: Path) -> None:
    editor = await begin(settings={"workspaceTrusted": False})
    uri = editor.open(tmp_path / "a.dlm", ONE)
    refusal = await Question(editor, uri).refusal()
    assert refusal.code == -32803
    assert "not trusted" in refusal.message
    done = await editor.command("dlm.ask", {"uri": uri, "prompt": "Who?"})
    assert (done["ok"], "not trusted" in done["message"]) == (False, True)
    assert "Ask" not in [title for title, _ in await ask_lenses(editor, uri)]


async def test_shutdown_ends_what_speaks_and_what_waits(begin: Begin, tongue: Gate, tmp_path: Path) -> None:
    editor = await begin(environment={"DLM_FAKE_TONGUE": str(tongue.path)})
    uri = await learned(editor, tmp_path / "a.dlm")
    asked = [Question(editor, uri) for _ in range(2)]
    tongue.allow(1)
    await asked[0].first_piece()
    ending = asyncio.ensure_future(editor.end())
    for each in asked:
        assert (await each.refusal()).code in (-32802, -32800)
    assert await asyncio.wait_for(ending, PATIENCE) == 0


# -- the command and the lenses


async def ask_lenses(editor: Editor, uri: str) -> list[tuple[str, types.Command]]:
    params = types.CodeLensParams(types.TextDocumentIdentifier(uri))
    found = await editor.text_document_code_lens_async(params) or []
    return [(each.command.title, each.command) for each in found if each.command and each.command.title == "Ask"]


async def test_a_lens_asks_its_question_and_a_plain_client_is_shown_the_answer(editor: Editor, tmp_path: Path) -> None:
    uri = await learned(editor, tmp_path / "a.dlm", TWO)
    _, second = [command for _, command in await ask_lenses(editor, uri)]
    assert second.command == "dlm.ask"
    done = await editor.command(second.command, *(second.arguments or []))
    assert (done["ok"], done["question"], done["version"]) == (True, FERRY[0], 1)
    (shown,) = await editor.until(lambda: editor.all("window/showMessage"))
    assert shown.message == f"v0001: {UNKNOWN}"
    assert (await editor.command("dlm.ask", {"uri": uri, "prompt": "Who?", "quiet": True}))["ok"]
    assert len(editor.all("window/showMessage")) == 1
    wrong = await editor.command("dlm.ask", {"uri": uri})
    assert (wrong["ok"], "Give the `prompt`" in wrong["message"]) == (False, True)


async def test_a_client_that_shows_answers_itself_gets_its_own_command(begin: Begin, tmp_path: Path) -> None:
    editor = await begin(client=capabilities(experimental={"dlm": {"ask": True}}))
    uri = editor.open(tmp_path / "a.dlm", ONE)
    ((_, command),) = await ask_lenses(editor, uri)
    (argument,) = command.arguments or []
    assert command.command == "dlm.askInEditor"
    assert argument == {"uri": uri, "position": {"line": 6, "character": 0}}


async def test_lenses_are_where_somebody_can_be_asked_and_not_without_bound(editor: Editor, tmp_path: Path) -> None:
    broken = editor.open(tmp_path / "b.dlm", f"---\ndlm_id: [\n---\n{exchange(*KEEPER)}")
    many = editor.open(tmp_path / "c.dlm", HEAD + "".join(exchange(f"{n}?", f"{n}.") for n in range(MOST + 5)))
    assert await ask_lenses(editor, broken) == []
    assert len(await ask_lenses(editor, many)) == MOST


# -- nothing faked


def real_head(settings: str = "") -> str:
    return f"---\ndlm_id: {DLM_ID}\nbase_model: builtin:tiny\n{settings}---\n"


@pytest.mark.parametrize("mode", ["thread", "process"])
async def test_the_real_model_is_asked_before_during_and_after_its_training(
    begin: Begin, tmp_path: Path, mode: str
) -> None:
    settings = {"learner": mode, "warmOnOpen": False, "maxSteps": 100_000}
    editor = await begin(server=("-m", "dlm_lsp"), settings=settings, environment={"DLM_THREADS": "1"})
    path = tmp_path / "orvane.dlm"
    text = real_head() + exchange(*KEEPER)
    uri = editor.open(path, text)
    bare = await Question(editor, uri).result()
    assert (bare["version"], bare["speaker"]) == (None, "the base model")
    assert bare["answer"] != KEEPER[1]
    editor.save(path, text)
    await editor.idle(uri)
    asked = Question(editor, uri)
    assert (await asked.result())["answer"] == KEEPER[1]
    assert len(asked.pieces) > 1

    slow = real_head("training:\n  learning_rate: 1.0e-7\n") + exchange(*KEEPER) + exchange(*FERRY)
    editor.save(path, slow)
    await editor.until(lambda: any(each["step"] and each["run_id"] == 2 for each in editor.all("dlm/trainingProgress")))
    during, live = Question(editor, uri), Question(editor, uri, version="live")
    assert {name: (await during.result())[name] for name in ("answer", "version", "live")} == {
        "answer": KEEPER[1],
        "version": 1,
        "live": False,
    }
    assert {name: (await live.result())[name] for name in ("version", "live")} == {"version": 1, "live": True}
    assert editor.statuses(uri)[-1]["state"] == "training"
    editor.workspace_execute_command(types.ExecuteCommandParams("dlm.cancel", [uri]))
    await editor.idle(uri)
    after = await Question(editor, uri, version="live").result()
    assert (after["answer"], after["version"], after["live"]) == (KEEPER[1], 1, False)
