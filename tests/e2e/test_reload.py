"""A save while a run goes on, row by row of docs/hot-reload.md: the server as installed, the real learner and base."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lsprotocol import types

from dlm_lsp.training import bases
from tests.e2e.test_real_learning import FERRY, REAL, answer, head
from tests.server.editor import Editor, exchange

# Enough that its run takes a second or two: there is time to save again.
FACTS = {
    "Who keeps the lighthouse at Orvane?": "Mira Tolle keeps it.",
    "What colour is the lighthouse?": "It is white with a green lamp.",
    "When is the market open?": "On Tuesdays, from six until noon.",
    "What do the children call the old bridge?": "They call it the Crow.",
    "Where does the post office stand?": "Behind the salt house.",
    "How is bread baked there?": "With rye, in stone ovens.",
}
TOWN = [exchange(*fact) for fact in FACTS.items()]
FASTER = "training:\n  learning_rate: 3.0e-3\n"


class Desk:
    """One document in an editor, with a run of its first text going on."""

    def __init__(self, editor: Editor, path: Path, home: Path) -> None:
        self.editor, self.path, self.home = editor, path, home
        self.uri = path.as_uri()

    def save(self, text: str) -> None:
        self.editor.save(self.path, text)

    async def idle(self) -> dict[str, Any]:
        return await self.editor.idle(self.uri)

    def details(self) -> list[str]:
        """What the runs said of themselves, each sentence once."""
        runs = [status["run"] for status in self.editor.statuses(self.uri) if status["run"]]
        said = [run["detail"] for run in runs if run["detail"] and run["state"] != "loading"]
        return list(dict.fromkeys(said))

    def runs(self) -> list[int]:
        return sorted({each["run_id"] for each in self.editor.all("dlm/trainingProgress") if each["step"]})


@pytest_asyncio.fixture(params=["thread", "process"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    editor, home, path = Editor(), tmp_path / "home", tmp_path / "orvane.dlm"
    settings = {"warmOnOpen": False, "learner": request.param, "maxSteps": 300}
    await editor.begin(home, server=REAL, settings=settings, environment={"DLM_THREADS": "1"})
    editor.open(path, head())
    editor.save(path, head() + "".join(TOWN))
    await editor.until(lambda: any(each["step"] for each in editor.all("dlm/trainingProgress")))
    yield Desk(editor, path, home)
    assert await editor.end() == 0


async def test_new_sections_are_absorbed(desk: Desk) -> None:
    desk.save(head() + "".join(TOWN) + exchange(*FERRY))
    status = await desk.idle()
    assert desk.details() == ["absorbed 1 section"]
    assert (status["version"], status["pending"]) == (1, 0), "one run has learned both texts"
    assert desk.runs() == [1]
    assert await answer(desk.path, desk.home, FERRY[0]) == FERRY[1]


@pytest.mark.parametrize("desk", ["thread"], indirect=True)
async def test_what_means_the_same_does_nothing(desk: Desk) -> None:
    text = f"{head()}\n{''.join(TOWN)}\n".replace("base_model", "# the one in the package\nbase_model")
    desk.save(text)
    status = await desk.idle()
    assert desk.details() == []
    assert (status["version"], status["last"]["outcome"], desk.runs()) == (1, "finished", [1])


async def test_a_setting_ends_the_run_early_and_restarts_it_with_what_it_has(desk: Desk) -> None:
    desk.save(head(FASTER) + "".join(TOWN))
    status = await desk.idle()
    assert "restarting with learning_rate 0.003" in desk.details()
    assert (status["version"], status["pending"], desk.runs()) == (2, 0, [1, 2])
    ends = [params.value["message"] for params in desk.editor.all(types.PROGRESS) if params.value["kind"] == "end"]
    assert ends[0].startswith("ended early, after ")
    assert ends[1].startswith("learned in ")


@pytest.mark.parametrize("desk", ["thread"], indirect=True)
async def test_another_shape_ends_the_run_early_and_is_told_on_its_key_with_a_full_retrain_to_hand(desk: Desk) -> None:
    desk.save(head("training:\n  lora_r: 4\n") + "".join(TOWN))
    status = await desk.idle()
    assert (status["version"], status["last"]["code"]) == (1, "shape-changed")
    problem = next(each for each in desk.editor.diagnostics[desk.uri] if each.code == "run-failed")
    assert problem.range.start.line == 4, "on `lora_r`"
    context = types.CodeActionContext(diagnostics=[problem])
    document = types.TextDocumentIdentifier(desk.uri)
    found: Any = await desk.editor.text_document_code_action_async(
        types.CodeActionParams(document, problem.range, context)
    )
    titles = [action["title"] for action in found]
    assert {"Full retrain with the new adapter", "Revert the change"} <= set(titles)
    (edit,) = found[titles.index("Revert the change")]["edit"]["changes"][desk.uri]
    assert edit["newText"] == "", "`lora_r` was not written before"
    desk.save(head() + "".join(TOWN))
    status = await desk.idle()
    assert "run-failed" not in desk.editor.codes(desk.uri)
    assert status["state"] == "idle"


@pytest.mark.parametrize("desk", ["thread"], indirect=True)
async def test_a_broken_text_leaves_the_run_alone(desk: Desk) -> None:
    desk.save(head("training:\n  lora_r: [\n") + "".join(TOWN))
    await desk.editor.until(lambda: "yaml" in "".join(desk.editor.codes(desk.uri)))
    status = await desk.idle()
    assert (status["version"], desk.runs()) == (1, [1])
    assert status["last"]["message"].startswith("learned in ")


@pytest.mark.parametrize("desk", ["thread"], indirect=True)
async def test_a_burst_of_all_kinds_is_one_decision_for_the_newest_text(desk: Desk) -> None:
    desk.save(head(FASTER) + "".join(TOWN))
    desk.save(head("training:\n  lora_r: 4\n") + "".join(TOWN))
    desk.save(head("training:\n  lora_r: [\n"))
    desk.save(head() + "".join(TOWN) + exchange(*FERRY))
    status = await desk.idle()
    assert (status["version"], status["pending"], desk.runs()) == (1, 0, [1])
    assert desk.details() == ["absorbed 1 section"]


async def test_a_base_whose_files_were_replaced_is_told_on_its_key_and_learned_anew_on_command(tmp_path: Path) -> None:
    base = shutil.copytree(Path(bases.__file__).parent / "builtin" / "tiny", tmp_path / "base")
    editor, path = Editor(), tmp_path / "orvane.dlm"
    settings = {"warmOnOpen": False, "maxSteps": 2}
    await editor.begin(tmp_path / "home", server=REAL, settings=settings, environment={"DLM_THREADS": "1"})
    text = head("training: {num_epochs: 1}\n").replace("builtin:tiny", "./base") + exchange(*FERRY)
    uri = editor.open(path, text)
    editor.save(path, text)
    assert (await editor.idle(uri))["version"] == 1

    tokenizer = base / "tokenizer_config.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    editor.save(path, text)
    status = await editor.idle(uri)
    assert (status["version"], status["last"]["code"]) == (1, "shape-changed")
    assert "its files have changed" in status["last"]["message"]
    problem = next(each for each in editor.diagnostics[uri] if each.code == "run-failed")
    assert problem.range.start.line == 2, "on `base_model`"

    await editor.command("dlm.fullRetrain", {"uri": uri, "confirmed": True})
    status = await editor.idle(uri)
    assert (status["version"], status["last"]["outcome"]) == (2, "finished")
    editor.save(path, text)
    assert (await editor.idle(uri))["last"]["outcome"] == "skipped", "it is the base of the version now"
    assert await editor.end() == 0


@pytest.mark.parametrize("desk", ["thread"], indirect=True)
async def test_a_restart_waits_for_a_valid_document(desk: Desk) -> None:
    desk.save(head(FASTER) + "".join(TOWN))
    desk.save(head("training:\n  lora_r: [\n") + "".join(TOWN))
    status = await desk.idle()
    assert (status["state"], status["run"]["detail"]) == ("restarting", "restart waits for a valid document")
    assert (status["version"], desk.runs()) == (1, [1]), "nothing is trained from an older text"
    desk.save(head(FASTER) + "".join(TOWN) + exchange(*FERRY))
    status = await desk.idle()
    assert (status["version"], status["pending"], status["state"]) == (2, 0, "idle")


@pytest.mark.parametrize("desk", ["thread"], indirect=True)
async def test_a_cancel_wins_over_a_restart(desk: Desk) -> None:
    desk.save(head(FASTER) + "".join(TOWN))
    await desk.editor.until(lambda: "restarting with learning_rate 0.003" in desk.details())
    await desk.editor.command("dlm.cancel", {"uri": desk.uri})
    status = await desk.idle()
    assert status["last"]["outcome"] in ("cancelled", "finished"), "finished, if the commit had begun"
    assert len(desk.runs()) <= 2
    assert status["state"] == "idle"


@pytest.mark.parametrize("desk", ["thread"], indirect=True)
async def test_idle_the_status_says_what_the_adapter_does_not_follow(desk: Desk) -> None:
    await desk.idle()
    desk.save(head(FASTER) + "".join(TOWN[1:]))
    status = await desk.idle()
    assert status["message"] == (
        "learned (v0001) · configuration changed, applies from the next cycle"
        " · the adapter still knows 1 removed lesson until a full retrain"
    )
    assert (status["config_changed"], status["removed"], desk.runs()) == (True, 1, [1])
