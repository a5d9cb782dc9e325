"""Hooks and sources on the server as installed, with the real learner and base, and real watchers of files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lsprotocol import types

from tests.e2e.test_real_learning import FERRY, REAL, head
from tests.e2e.test_reload import TOWN
from tests.server.editor import Editor, capabilities, exchange

MARKET = "The market of Orvane opens at six on Tuesdays.\n"
SOURCES = "training:\n  sources:\n    - path: notes\n"
WRITES = """def on_step(step, loss, lr):
    with open({path!r}, 'a') as trace:
        trace.write('{word} ' + str(step) + '\\n')
"""


class Writer(Editor):
    """An editor that may watch files for the server, told by the test what happened to them."""

    def __init__(self) -> None:
        super().__init__()
        self.watched: dict[str, list[Any]] = {}

        @self.feature(types.CLIENT_UNREGISTER_CAPABILITY)
        def unregister(params: types.UnregistrationParams) -> None:
            for each in params.unregisterations:
                self.watched.pop(each.id, None)

    def record(self, method: str, params: Any) -> None:
        if method == types.CLIENT_REGISTER_CAPABILITY:
            for each in params.registrations:
                if each.id.startswith("dlm-around"):
                    self.watched[each.id] = each.register_options["watchers"]
        super().record(method, params)

    def watches(self, path: Path) -> bool:
        patterns = [each["globPattern"] for watchers in self.watched.values() for each in watchers]
        return any(
            path.as_uri().startswith(each["baseUri"] + "/") and each["pattern"] in ("**/*", path.name)
            for each in patterns
        )

    async def tell(self, path: Path) -> None:
        """What an editor does whose watcher sees a change, once it was asked to watch there."""
        await self.until(lambda: self.watches(path))
        changes = [types.FileEvent(path.as_uri(), types.FileChangeType.Changed)]
        self.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams(changes))


def client(*, watches: bool) -> types.ClientCapabilities:
    usual = capabilities()
    assert usual.workspace is not None
    watched = types.DidChangeWatchedFilesClientCapabilities(
        dynamic_registration=watches, relative_pattern_support=watches
    )
    edit = types.WorkspaceEditClientCapabilities(
        document_changes=True, resource_operations=[types.ResourceOperationKind.Create]
    )
    usual.workspace.did_change_watched_files = watched
    usual.workspace.workspace_edit = edit
    return usual


class Desk:
    def __init__(self, editor: Writer, folder: Path) -> None:
        self.editor, self.folder = editor, folder
        self.path, self.home = folder / "orvane.dlm", folder / "home"
        self.file = folder / "orvane.hooks.py"
        self.uri, self.file_uri = self.path.as_uri(), self.file.as_uri()
        self.trace, self.notes = folder / "trace", folder / "notes"
        self.watches = False

    async def begin(self, *, watches: bool = False, trusted: bool = True, **settings: Any) -> None:
        self.watches = watches
        wanted = {"warmOnOpen": False, "maxSteps": 2000, "hooks": True, **settings}
        await self.editor.begin(
            self.home,
            server=REAL,
            settings=wanted,
            client=client(watches=watches),
            environment={"DLM_THREADS": "1"},
            trusted=trusted,
        )

    async def write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        if self.watches:
            await self.editor.tell(path)

    async def hook(self, text: str) -> None:
        await self.write(self.file, text)

    def writes(self, word: str) -> str:
        return WRITES.format(path=str(self.trace), word=word)

    def newest(self) -> str:
        """What a hook wrote last."""
        return self.trace.read_text().splitlines()[-1]

    async def training(self) -> None:
        """A run of the town goes on that learns nothing, so slow is its rate."""
        slow = f"{SOURCES}  learning_rate: 1.0e-7\n"
        self.editor.open(self.path, head(slow))
        self.editor.save(self.path, head(slow) + "".join(TOWN))
        await self.editor.until(lambda: any(each["step"] for each in self.editor.all("dlm/trainingProgress")))

    def said(self) -> list[str]:
        runs = [status["run"] for status in self.editor.statuses(self.uri) if status["run"]]
        return list(dict.fromkeys(run["hooks"] for run in runs if run["hooks"]))

    def details(self) -> list[str]:
        return [each["run"]["detail"] for each in self.editor.statuses(self.uri) if each["run"]]

    async def links(self) -> list[str | None]:
        params = types.DocumentLinkParams(types.TextDocumentIdentifier(self.uri))
        return [each.target for each in await self.editor.text_document_document_link_async(params) or ()]

    async def create(self) -> list[Any]:
        """The offers to create the hooks file, with the cursor in the frontmatter."""
        place = types.Range(types.Position(1, 0), types.Position(1, 0))
        document = types.TextDocumentIdentifier(self.uri)
        params = types.CodeActionParams(document, place, types.CodeActionContext([]))
        found: Any = await self.editor.text_document_code_action_async(params)
        return [each for each in found or () if each["title"] == "Create hooks file"]

    async def cancel(self) -> None:
        await self.editor.workspace_execute_command_async(types.ExecuteCommandParams("dlm.cancel", [{"uri": self.uri}]))
        await self.editor.idle()


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(Writer(), tmp_path.resolve())
    yield desk
    assert await desk.editor.end() == 0


@pytest.mark.parametrize("watches", [True, False], ids=["the editor watches", "the server watches"])
async def test_hooks_and_sources_that_change_while_a_document_is_trained(desk: Desk, watches: bool) -> None:
    """One server for the whole story, as its start is what takes time; both kinds of learner, one for each watcher."""
    desk.file.write_text(desk.writes("old"), encoding="utf-8")
    desk.notes.mkdir()
    (desk.notes / "market.md").write_text(MARKET, encoding="utf-8")
    await desk.begin(watches=watches, learner="process" if watches else "thread")
    await desk.training()
    await broken_hooks_are_told_in_their_file_and_the_old_ones_go_on(desk)
    await mended_ones_are_swapped_at_a_step_and_that_is_shown_for_a_moment(desk)
    await a_new_source_is_absorbed(desk)
    await desk.cancel()
    await when_nothing_runs_a_changed_source_is_learned_and_one_that_says_the_same_is_not(desk)


async def broken_hooks_are_told_in_their_file_and_the_old_ones_go_on(desk: Desk) -> None:
    await desk.hook(desk.writes("old") + "\nnonsense\n")
    await desk.editor.until(lambda: desk.editor.diagnostics.get(desk.file_uri))
    (told,) = desk.editor.diagnostics[desk.file_uri]
    assert (told.code, told.range.start.line) == ("hooks-import", 4)
    assert told.message == "NameError: name 'nonsense' is not defined"
    assert desk.said() == []
    assert desk.newest().startswith("old ")


async def mended_ones_are_swapped_at_a_step_and_that_is_shown_for_a_moment(desk: Desk) -> None:
    await desk.hook(desk.writes("new"))
    await desk.editor.until(lambda: "hooks swapped" in desk.said())
    await desk.editor.until(lambda: not desk.editor.diagnostics[desk.file_uri])
    shown = len(desk.editor.statuses(desk.uri))
    await desk.editor.until(lambda: any(not each["run"]["hooks"] for each in desk.editor.statuses(desk.uri)[shown:]))
    assert desk.newest().startswith("new ")


async def a_new_source_is_absorbed(desk: Desk) -> None:
    await desk.write(desk.notes / "bridge.md", "The old bridge is called the Crow.\n")
    runs = desk.editor.statuses(desk.uri)
    await desk.editor.until(lambda: "absorbed 1 section" in desk.details())
    assert {each["run"]["run"] for each in runs if each["run"]} == {1}, "no other run was needed"


async def when_nothing_runs_a_changed_source_is_learned_and_one_that_says_the_same_is_not(desk: Desk) -> None:
    desk.editor.save(desk.path, head(SOURCES))
    assert (await desk.editor.idle(desk.uri))["version"] == 1
    before = len(desk.editor.statuses(desk.uri))
    await desk.write(desk.notes / "market.md", MARKET)
    (desk.notes / "deep").mkdir()
    await desk.write(desk.notes / "deep" / "ferry.md", "The ferry to Orvane leaves at seven.\n")
    await desk.editor.until(lambda: desk.editor.statuses(desk.uri)[-1]["version"] == 2)
    await desk.editor.idle()
    runs = {each["run"]["run"] for each in desk.editor.statuses(desk.uri)[before:] if each["run"]}
    assert len(runs) == 1, "what says the same asks for no run"


async def test_an_untrusted_workspace_loads_nothing(desk: Desk) -> None:
    desk.file.write_text(f"open({str(desk.trace)!r}, 'w').close()\n(", encoding="utf-8")
    await desk.begin(trusted=False)
    desk.editor.open(desk.path, head())
    desk.editor.save(desk.path, head() + exchange(*FERRY))
    assert (await desk.editor.idle(desk.uri))["version"] is None
    assert not desk.trace.exists()
    assert desk.file_uri not in desk.editor.diagnostics, "it was not even read"


async def test_hooks_are_off_until_they_are_switched_on_and_then_offered_where_there_are_none(desk: Desk) -> None:
    desk.file.write_text(f"open({str(desk.trace)!r}, 'w').close()\n", encoding="utf-8")
    await desk.begin(watches=True, hooks=False)
    desk.editor.open(desk.path, head())
    desk.editor.save(desk.path, head() + exchange(*FERRY))
    assert (await desk.editor.idle(desk.uri))["version"] == 1
    assert not desk.trace.exists()
    assert await desk.links() == []
    desk.file.unlink()
    assert await desk.create() == []

    desk.editor.set_configuration({"dlm": {"hooks": True, "debounceMs": 20, "warmOnOpen": False}})
    desk.editor.workspace_did_change_configuration(types.DidChangeConfigurationParams({}))
    await desk.editor.until(lambda: desk.editor.watches(desk.file))
    (action,) = await desk.create()
    create, edit = action["edit"]["documentChanges"]
    assert (create["kind"], create["uri"], edit["textDocument"]["uri"]) == ("create", desk.file_uri, desk.file_uri)
    await desk.hook(edit["edits"][0]["newText"] + f"\n\nopen({str(desk.trace)!r}, 'w').close()\n")
    assert (await desk.links(), await desk.create()) == ([desk.file_uri], [])
    desk.editor.save(desk.path, head() + exchange(*FERRY) + TOWN[0])
    assert (await desk.editor.idle(desk.uri))["version"] == 2
    assert desk.trace.exists()
    assert not desk.editor.diagnostics.get(desk.file_uri), "the skeleton is sound"
