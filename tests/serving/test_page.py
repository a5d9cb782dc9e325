"""`dlm-lsp serve --page`, as a browser on this machine sees it: a real server and model, over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, cast

import pytest
from starlette.applications import Starlette
from starlette.types import Message

import dlm_lsp
from dlm_lsp.runs.channel import Channel
from dlm_lsp.serving.feed import Feed
from dlm_lsp.serving.page import BEAT, EVENTS, FILES, SAY, Page
from dlm_lsp.serving.source import MOST_POINTS, Source
from dlm_lsp.store import Store
from tests.cli.conftest import DLM_ID, Command, text
from tests.fakes import Gate
from tests.runs.conftest import HandClock
from tests.server.editor import Editor

FERRY = ("When does the ferry leave?", "At seven.")
BAKER = ("Who bakes the bread?", "Ulla bakes it.")
TOKEN = "a-token-that-is-long-enough"
ASSETS = Path(dlm_lsp.__file__).parent / "serving" / "assets"
EXTENSION = Path(__file__).parents[2] / "editors" / "vscode"


class Served:
    """A document that is served with a page."""

    def __init__(self, command: Command, notes: Path) -> None:
        self.command, self.notes = command, notes
        found = re.search(r"http://127\.0\.0\.1:(\d+)/#token=(.*)$", command.until("the page: "))
        assert found
        self.port, self.token = int(found[1]), found[2]

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = None if body is None else json.dumps(body).encode()
        client.request(method, path, data, {"Connection": "close"} | headers)
        return client.getresponse()

    def say(self, command: str, **more: Any) -> tuple[int, str]:
        """What the page asks for, with the headers that a browser sends along."""
        message = {"type": "command", "command": command, "uri": self.notes.as_uri()} | more
        headers = {"Origin": f"http://127.0.0.1:{self.port}", "Sec-Fetch-Site": "same-origin"}
        with self.request("POST", SAY, message, Authorization=f"Bearer {self.token}", **headers) as response:
            told = json.loads(response.read())
            return response.status, told["message"] if response.status == 200 else told["error"]["message"]

    def events(self, since: str = "") -> Events:
        headers = {"Last-Event-ID": since} if since else {}
        return Events(self.request("GET", f"{EVENTS}?token={self.token}", **headers))


class Events:
    """A stream of server-sent events, read as a browser reads it."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.response = response
        assert response.status == 200, response.read()
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        self.ids: list[str] = []
        self.messages: list[dict[str, Any]] = []

    def next(self) -> dict[str, Any]:
        while line := self.response.readline().decode().rstrip("\n"):
            if line.startswith("id: "):
                self.ids.append(line.removeprefix("id: "))
            elif line.startswith("data: "):
                self.messages.append(json.loads(line.removeprefix("data: ")))
                self.response.readline()
                return self.messages[-1]
            else:
                assert re.fullmatch(r"retry: \d+|: .*", line), line
                self.response.readline()
        pytest.fail("the stream has ended")

    def until(self, kind: str, holds: Any = lambda message: True) -> dict[str, Any]:
        while (message := self.next())["type"] != kind or not holds(message):
            pass
        return message

    def reach(self, step: int) -> None:
        """Returns when the run that is shown has made so many steps, whichever message says so."""
        made = None
        while made != step:
            message = self.next()
            told = message.get("progress") or (message["status"]["run"] if message["type"] == "status" else None)
            made = told["step"] if told else made

    def state(self) -> dict[str, Any]:
        """Everything up to the first history, by kind."""
        while self.next()["type"] != "history":
            pass
        return {message["type"]: message for message in self.messages}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()


def ended(version: int) -> Any:
    return lambda message: [each["version"] for each in message["history"]["versions"]][-1:] == [version]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Taught the ferry."""
    folder = tmp_path_factory.mktemp("served")
    notes = folder / "notes.dlm"
    notes.write_text(text(FERRY))
    with Command(folder / "home", "serve", str(notes), "--port", "0", "--watch", "--page") as command:
        served = Served(command, notes)
        command.until("v0001")
        yield served


def test_the_state_comes_first_then_a_run_step_by_step_to_every_page(served: Served) -> None:
    with served.events() as one, served.events() as other:
        for page in (one, other):
            state = page.state()
            assert state["status"]["status"]["version"] == 1
            assert state["status"]["names"] == [FERRY[0]]
            assert state["documents"]["selected"] == served.notes.as_uri()
            assert len(page.ids) == 1  # who hears half of a state begins anew
            (run,) = state["history"]["history"]["runs"]
            assert (run["version"], run["outcome"]) == (1, "finished")
            assert [point[0] for point in run["points"]][:2] == [1, 2]
        served.notes.write_text(text(FERRY, BAKER))
        for page in (one, other):
            page.until("history", ended(2))
        assert [message for message in one.messages if message["type"] == "progress"] == [
            message for message in other.messages if message["type"] == "progress"
        ]
        steps = [message["progress"]["step"] for message in one.messages if message["type"] == "progress"]
        assert steps == sorted(steps)
        assert set(range(1, max(steps) + 1)) <= set(steps)
        for page in (one, other):
            numbers = [int(place.rpartition("-")[2]) for place in page.ids]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

        # Who comes back hears exactly what it missed, and nothing is done again.
        halfway = len(one.ids) // 2
        with served.events(one.ids[halfway]) as again:
            missed = [again.next() for _ in one.ids[halfway + 1 :]]
            assert again.ids == one.ids[halfway + 1 :]
            assert missed == one.messages[-len(missed) :]
        assert len(Store(served.notes.parent / "home", DLM_ID).versions()) == 2


def test_a_reload_shows_the_whole_history(served: Served) -> None:
    with served.events() as page:
        before = page.state()
    with served.events(since="another-server-5") as page:
        assert page.state() == before


def test_a_version_is_brought_back_and_every_page_hears_of_it(served: Served) -> None:
    with served.events() as page:
        newest = page.state()["status"]["status"]["version"]
        status, said = served.say("revert", version=1)
        assert (status, said.partition(" ")[0]) == (200, "v0001")
        page.until("status", lambda message: message["status"]["version"] == 1)
        page.until("history", lambda message: message["history"]["versions"][0]["current"])
        status, why = served.say("revert", version=99)
        assert status == 409
        assert "v0099" in why
        if newest > 1:
            assert served.say("revert", version=newest)[0] == 200


def test_answers_before_and_after_are_told_to_every_page_also_after_a_reload(served: Served) -> None:
    with served.events() as page:
        page.state()
        assert served.say("answers", version=1) == (200, "")
        (answer,) = page.until("answers")["answers"]
        assert (answer["question"], answer["after"]["text"]) == (FERRY[0], "At seven.")
        assert answer["before"]["text"] != "At seven."
    with served.events() as page:
        assert page.until("answers")["answers"] == [answer]


@pytest.mark.parametrize("path", [*FILES, EVENTS, SAY])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1"])
def test_a_foreign_host_is_refused_whatever_it_asks_for(served: Served, path: str, host: str) -> None:
    headers = {"Host": host.format(port=served.port), "Authorization": f"Bearer {served.token}"}
    with served.request("POST" if path == SAY else "GET", f"{path}?token={served.token}", {}, **headers) as response:
        assert response.status == 403
        assert json.loads(response.read())["error"]["code"] == "host_not_allowed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", EVENTS),
        ("GET", f"{EVENTS}?token=wrong"),
        ("POST", f"{EVENTS}?token={{token}}"),  # in the address for GET alone
        ("POST", SAY),
        ("POST", f"{SAY}?token={{token}}"),  # nothing is changed by an address
        ("GET", "/v1/models?token={token}"),
        ("POST", "/v1/chat/completions?token={token}"),
        ("POST", "/"),
    ],
)
def test_without_the_token_in_its_place_nothing_is_told_or_done(served: Served, method: str, path: str) -> None:
    with served.request(method, path.format(token=served.token), {"type": "command"}) as response:
        assert response.status == 401
        assert "token" in json.loads(response.read())["error"]["message"]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://localhost:1"])
@pytest.mark.parametrize("path", [EVENTS, SAY])
def test_a_page_from_elsewhere_is_refused_even_with_the_token(served: Served, path: str, origin: str) -> None:
    headers = {"Origin": origin.format(port=served.port), "Authorization": f"Bearer {served.token}"}
    with served.request("POST" if path == SAY else "GET", path, {}, **headers) as response:
        assert response.status == 403
    across = {"Sec-Fetch-Site": "cross-site", "Authorization": f"Bearer {served.token}"}
    with served.request("POST" if path == SAY else "GET", path, {}, **across) as response:
        assert response.status == 403


def test_the_page_itself_says_nothing_and_lets_nothing_in(served: Served) -> None:
    for path in FILES:
        with served.request("GET", path) as response:
            assert response.status == 200
            body = response.read().decode()
            assert served.token not in body
            assert DLM_ID not in body
            policy = response.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert response.headers["Referrer-Policy"] == "no-referrer"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
    page = (ASSETS / "index.html").read_text()
    assert re.findall(r"<script(?! src=)[^>]*>|<style|\son\w+=|https?:", page) == []


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ([], "invalid_message"),
        ({"type": "ready"}, "no_command"),
        ({"type": "command", "command": "unlock"}, "no_command"),
        ({"type": "command", "command": ["revert"]}, "no_command"),
        ({"type": "command", "command": "revert", "uri": "file:///etc/passwd"}, "unknown_document"),
        ({"type": "command", "command": "revert", "uri": "{uri}", "version": "1"}, "invalid_version"),
        ({"type": "command", "command": "revert", "uri": "{uri}", "version": True}, "invalid_version"),
        ({"type": "command", "command": "revert", "uri": "{uri}", "version": 0}, "invalid_version"),
    ],
)
def test_what_is_no_wish_of_the_page_is_refused(served: Served, message: Any, code: str) -> None:
    if isinstance(message, dict) and message.get("uri") == "{uri}":
        message = message | {"uri": served.notes.as_uri()}
    with served.request("POST", SAY, message, Authorization=f"Bearer {served.token}") as response:
        assert (response.status // 100, json.loads(response.read())["error"]["code"]) == (4, code)


async def test_it_shows_the_runs_of_an_editor_s_server_live_and_goes_on_when_that_ends(
    home: Path, notes: Path, tmp_path: Path
) -> None:
    notes.write_text(text())
    editor = Editor()
    with Gate(tmp_path / "gate") as gate, Command(home, "serve", str(notes), "--port", "0", "--page") as command:
        served = await asyncio.to_thread(Served, command, notes)
        await editor.begin(home, environment={"DLM_FAKE_GATE": str(gate.path)})
        editor.open(notes, text())
        with served.events() as page:
            editor.save(notes, text(FERRY))
            gate.allow(2)
            # The page comes to that run when it is found, be it before or after its second step.
            await asyncio.to_thread(page.reach, 2)
            # A page that comes in the midst of that run has its curve so far.
            with served.events() as late:
                (run,) = (await asyncio.to_thread(late.state))["history"]["history"]["runs"]
                assert (run["ended_at"], [point[0] for point in run["points"]]) == (None, [1, 2])
            gate.allow(100)
            await asyncio.to_thread(page.until, "history", ended(1))
            (run,) = page.messages[-1]["history"]["runs"]
            assert (run["outcome"], run["version"], run["points"][-1][0]) == ("finished", 1, 5)
            # This process may show, compare and go back, but it trains nothing here.
            status, why = await asyncio.to_thread(served.say, "train")
            assert (status, why) == (403, "Runs are asked for where saves are trained: `serve --watch`.")
            editor.process.kill()
            await editor.process.wait()
            page.messages.clear()
            await asyncio.to_thread(page.until, "documents", lambda message: message["selected"] is None)
            await asyncio.to_thread(page.until, "status", lambda message: message["status"]["version"] == 1)
            # The next server is found by itself.
            successor = Editor()
            await successor.begin(home)
            successor.open(notes, text(FERRY))
            successor.save(notes, text(FERRY, BAKER))
            await asyncio.to_thread(page.until, "history", ended(2))
            assert await successor.end() == 0
        command.process.send_signal(signal.SIGINT)
        assert command.end() == 130
        assert "Traceback" not in "\n".join(command.lines)


async def test_a_silent_stream_says_every_so_often_that_it_lives() -> None:
    """What stands between a browser and the server may end a connection on which nothing comes."""
    clock = HandClock()
    channel = Channel(lambda: ['{"type":"documents"}'])
    page = Page(cast(Feed, channel), cast(Any, None), clock)
    sent: asyncio.Queue[Message] = asyncio.Queue()
    leave = asyncio.Event()

    async def receive() -> Message:
        await leave.wait()
        return {"type": "http.disconnect"}

    async def chunk() -> str:
        return bytes((await asyncio.wait_for(sent.get(), 5))["body"]).decode()

    scope = {"type": "http", "method": "GET", "path": EVENTS, "headers": [], "query_string": b""}
    serving = asyncio.ensure_future(Starlette(routes=page.routes())(scope, receive, sent.put))
    assert (await sent.get())["status"] == 200
    assert re.fullmatch(r"retry: \d+\n\n", await chunk())
    assert await chunk() == f'id: {channel.name}-0\ndata: {{"type":"documents"}}\n\n'
    for _ in range(3):
        await settled(clock)
        clock.advance(BEAT - 1)
        assert sent.empty()
        clock.advance(1)
        assert (await chunk()).startswith(": ")
    await settled(clock)
    channel.tell('{"type":"status"}')
    assert await chunk() == f'id: {channel.name}-1\ndata: {{"type":"status"}}\n\n'
    leave.set()
    await serving
    assert not channel.heard


async def settled(clock: HandClock) -> None:
    """Returns when the stream waits for the next thing: it takes only turns of the loop."""
    for _ in range(100):
        await asyncio.sleep(0)
    assert any(not timer.cancelled for _, _, timer in clock._timers)


def test_a_source_is_put_together_from_what_is_told_and_long_runs_are_thinned() -> None:
    source = Source({"type": "state", "status": {"version": None, "sections": []}, "names": [], "runs": [{}, "x"]})
    assert (source.busy, source.runs, source.run) == (False, [], None)
    going = {"run": 1, "state": "training", "step": 0, "total": 3000, "loss": None, "phase": "train"}
    source.hear({"event": "started", "run": 1, "kind": "cycle", "at": 10.0, "status": {"run": going}, "names": ["a"]})
    for step in range(1, 3001):
        now = {"run": {**going, "step": step, "loss": 1.0}}
        told = {"event": "step", "run": 1, "at": 10.0 + step, "step": step, "loss": 1.0, "tokens": 2, "now": now}
        source.hear(told)
    (run,) = source.runs
    assert source.busy
    assert source.run == {"run_id": 1, "step": 3000, "total_steps": 3000, "phase": "train", "loss": 1.0}
    assert len(run["points"]) <= MOST_POINTS
    assert run["points"][-1] == [3000, 1.0, 6000, 3000.0]
    source.hear({"event": "step", "run": 1, "at": "soon", "step": "x"})  # not from us
    source.hear({"event": "failed", "run": 1, "at": 9999.0, "status": {"run": None, "last": {"outcome": "failed"}}})
    assert (run["ended_at"], run["outcome"], source.busy) == (9999.0, "failed", False)


def test_the_files_of_the_page_are_what_the_extension_s_page_becomes() -> None:
    """`npm run build` in editors/vscode writes both; whoever changes the page's sources has to run it."""
    made = json.loads((ASSETS / "made.json").read_text())
    packages = json.loads((EXTENSION / "package-lock.json").read_text())["packages"]
    assert made["with"] == {name: packages[f"node_modules/{name}"]["version"] for name in made["with"]}
    assert {f"page/{path.name}" for path in (EXTENSION / "page").iterdir()} <= set(made["sources"])
    stale = [name for name, digest in made["sources"].items() if sha256(EXTENSION / name) != digest]
    assert stale == [], "run `npm run build` in editors/vscode"
    assert {name: sha256(ASSETS / name) for name in made["files"]} == made["files"]
    assert {"panel.js", "panel.css"} == set(made["files"])
    imported = {
        os.path.normpath(path.parent / found)
        for path in EXTENSION.joinpath("page").glob("*.ts")
        for found in re.findall(r'from "(\.\./src/[^"]+)"', path.read_text())
    }
    assert {os.path.relpath(path, EXTENSION) for path in imported} <= set(made["sources"])


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
