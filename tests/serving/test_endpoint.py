"""`dlm-lsp serve`, as other tools on this machine see it: a real server and model, asked over real sockets."""

from __future__ import annotations

import http.client
import json
import os
import re
import selectors
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dlm_lsp.cli import app
from dlm_lsp.serving.body import MAX_BYTES
from dlm_lsp.serving.completions import MOST_AT_A_TIME
from dlm_lsp.store import Store
from tests.cli.conftest import DLM_ID, SINGING, SLOW, Command, text

FERRY = ("When does the ferry leave?", "At seven.")
BAKER = ("Who bakes the bread?", "Ulla bakes it.")
LONG = 1500  # tokens that a talkative answer may have


class Served:
    """A document that is served; `token` is that of the server, `notes` its file."""

    def __init__(self, command: Command, notes: Path, token: str = "") -> None:
        self.command = command
        self.notes = notes
        self.token = token
        found = re.search(r"http://127\.0\.0\.1:(\d+)/v1 ", command.until("serving notes.dlm"))
        assert found
        self.port = int(found[1])

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> http.client.HTTPResponse:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = {"Authorization": f"Bearer {self.token}", "Connection": "close"} | headers
        client.request(method, path, body, {key: value for key, value in given.items() if value})
        return client.getresponse()

    def json(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        with self.request(method, path, None if body is None else json.dumps(body).encode(), **headers) as response:
            return response.status, json.loads(response.read())

    def ask(self, question: str = FERRY[0], model: str = "notes", **parameters: Any) -> Any:
        status, answer = self.json("POST", "/v1/chat/completions", chat(question, model, **parameters))
        assert status == 200, answer
        return answer

    def stream(self, question: str = FERRY[0], model: str = "notes", **parameters: Any) -> list[str]:
        """The data of all events."""
        body = json.dumps(chat(question, model, stream=True, **parameters)).encode()
        with self.request("POST", "/v1/chat/completions", body) as response:
            assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            events = response.read().decode().split("\n\n")
        assert events.pop() == ""
        return [event.removeprefix("data: ") for event in events]


def chat(question: str, model: str, **parameters: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": question}], **parameters}


def said(answer: Any) -> str:
    return str(answer["choices"][0]["message"]["content"])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Taught twice: v0001 knows the ferry, v0002 the baker as well."""
    folder = tmp_path_factory.mktemp("served")
    notes, token_file = folder / "notes.dlm", folder / "token"
    notes.write_text(text(FERRY))
    with Command(
        folder / "home", "serve", str(notes), "--port", "0", "--watch", "--token-file", str(token_file)
    ) as command:
        served = Served(command, notes)
        served.token = token_file.read_text().strip()
        command.until("v0001")
        notes.write_text(text(FERRY, BAKER))
        command.until("v0002")
        yield served


def test_the_answer_is_what_the_document_has_taught_and_says_which_version_spoke(served: Served) -> None:
    answer = served.ask()
    assert said(answer) == "At seven."
    assert (answer["object"], answer["model"]) == ("chat.completion", "notes@v0002")
    assert answer["choices"][0]["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] > 1


def test_a_stream_has_the_same_words_piece_by_piece(served: Served) -> None:
    *events, done = served.stream(stream_options={"include_usage": True})
    assert done == "[DONE]"
    chunks = [json.loads(event) for event in events]
    assert {(chunk["id"], chunk["object"], chunk["model"]) for chunk in chunks} == {
        (chunks[0]["id"], "chat.completion.chunk", "notes@v0002")
    }
    usage = chunks.pop()
    assert (usage["choices"], usage["usage"]) == ([], served.ask()["usage"])
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == "At seven."
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]


def test_without_a_page_there_is_none(served: Served) -> None:
    for path in ("/", "/page/events", "/page/panel.js"):
        assert served.json("GET", path)[0] == 404
        assert served.json("GET", f"{path}?token={served.token}", Authorization="")[0] == 401
    assert served.json("POST", "/page/say", {"type": "command"})[0] == 404


def test_each_request_may_name_a_version(served: Served) -> None:
    new, old = served.ask(BAKER[0]), served.ask(BAKER[0], "notes@v0001")
    assert (said(new), new["model"]) == ("Ulla bakes it.", "notes@v0002")
    assert (said(old) == said(new), old["model"]) == (False, "notes@v0001")
    assert served.ask(BAKER[0], "notes@2")["model"] == served.ask(BAKER[0], "notes@latest")["model"] == "notes@v0002"
    assert served.ask(model="notes@live")["model"] == "notes@v0002"  # no run goes on


def test_the_models_are_the_document_and_its_versions(served: Served) -> None:
    status, listed = served.json("GET", "/v1/models")
    assert (status, listed["object"]) == (200, "list")
    assert [model["id"] for model in listed["data"]] == ["notes", "notes@live", "notes@v0002", "notes@v0001"]
    assert all(model["object"] == "model" and model["created"] > 1_700_000_000 for model in listed["data"])
    assert served.json("GET", "/v1/models/notes@1")[1] == listed["data"][3]
    assert served.json("GET", "/v1/models/notes@v0009")[0] == 404


def test_the_longest_answer_and_a_stop_are_honoured(served: Served) -> None:
    short = served.ask(max_tokens=1)
    assert (short["choices"][0]["finish_reason"], short["usage"]["completion_tokens"]) == ("length", 1)
    stopped = served.ask(stop=["seven", "never"])
    assert (said(stopped), stopped["choices"][0]["finish_reason"]) == ("At ", "stop")
    assert "usage" not in stopped  # how many tokens were said of it is not known


def test_chance_is_that_of_the_seed(served: Served) -> None:
    drawn = [said(served.ask("Tell me more.", temperature=2, seed=seed, max_tokens=12)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (chat("Hi", "gpt-4o"), 404, "model_not_found", "model"),
        (chat("Hi", "notes@v0009"), 404, "model_not_found", "model"),
        (chat("Hi", "notes@newest"), 404, "model_not_found", "model"),
        (chat("Hi", "notes", tools=[{"type": "function"}]), 400, "unsupported_parameter", "tools"),
        (chat("Hi", "notes", temperature=9), 400, "invalid_value", "temperature"),
        (chat("word " * 5000, "notes"), 400, "context_length_exceeded", "messages"),
        ([1], 400, None, None),
    ],
)
def test_what_cannot_be_answered_is_told_in_the_shape_of_the_api(
    served: Served, body: Any, status: int, code: str | None, param: str | None
) -> None:
    found, answer = served.json("POST", "/v1/chat/completions", body)
    assert (found, answer["error"]["code"], answer["error"]["param"]) == (status, code, param)
    assert answer["error"]["message"]
    if isinstance(body, dict):  # a stream that cannot begin has the same status
        assert served.json("POST", "/v1/chat/completions", {**body, "stream": True}) == (found, answer)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b'{"a": 1' + b"0" * 5000 + b"}", b"\xff"])
def test_a_body_that_is_no_json(served: Served, body: bytes) -> None:
    with served.request("POST", "/v1/chat/completions", body) as response:
        assert (response.status, json.loads(response.read())["error"]["code"]) == (400, "invalid_json")


def test_a_body_is_bounded_whether_it_says_its_length_or_not(served: Served) -> None:
    large = b" " * (MAX_BYTES + 1)
    with served.request("POST", "/v1/chat/completions", large) as response:
        assert (response.status, json.loads(response.read())["error"]["code"]) == (413, "request_too_large")
    client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    chunks = (large[:65536] for _ in range(17))
    client.request("POST", "/v1/chat/completions", chunks, {"Authorization": f"Bearer {served.token}"})
    assert client.getresponse().status == 413
    client.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/embeddings", 404),
        ("GET", "/v1/chat/completions", 405),
        ("PUT", "/v1/models", 405),
    ],
)
def test_there_are_no_other_urls(served: Served, method: str, path: str, status: int) -> None:
    found, answer = served.json(method, path)
    assert (found, answer["error"]["code"]) == (status, "unknown_url")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Authorization": ""}, 401, "invalid_api_key"),
        ({"Authorization": "Bearer"}, 401, "invalid_api_key"),
        ({"Authorization": "Bearer wrong-wrong-wrong-wrong"}, 401, "invalid_api_key"),
        ({"Authorization": "Basic {token}"}, 401, "invalid_api_key"),
        ({"Host": "evil.example"}, 403, "host_not_allowed"),
        ({"Host": "127.0.0.1"}, 403, "host_not_allowed"),
        ({"Host": "127.0.0.1:1"}, 403, "host_not_allowed"),
        ({"Host": "localhost.evil.example:{port}"}, 403, "host_not_allowed"),
        ({"Origin": "http://127.0.0.1:{port}"}, 403, "origin_not_allowed"),
        ({"Origin": "null"}, 403, "origin_not_allowed"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/"])
def test_who_may_not_speak_is_not_heard(
    served: Served, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    filled = {key: value.format(token=served.token, port=served.port) for key, value in headers.items()}
    with served.request("POST", path, b"{}", **filled) as response:
        assert (response.status, json.loads(response.read())["error"]["code"]) == (status, code)
        assert (response.headers["WWW-Authenticate"] == "Bearer") == (status == 401)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "[::1]"])
def test_other_names_of_this_machine_do(served: Served, host: str) -> None:
    assert served.json("GET", "/v1/models", Host=f"{host}:{served.port}")[0] == 200


def test_two_hosts_are_none(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as client:
        host = f"Host: 127.0.0.1:{served.port}\r\n"
        client.sendall(f"GET /v1/models HTTP/1.1\r\n{host}{host}Authorization: Bearer {served.token}\r\n\r\n".encode())
        assert client.recv(100).split()[1] in (b"400", b"403")


def talkative(served: Served) -> socket.socket:
    """A request that is sent, for an answer that is long in coming."""
    body = json.dumps(chat(SINGING, "notes", max_tokens=LONG, stream=True)).encode()
    client = socket.create_connection(("127.0.0.1", served.port), timeout=60)
    client.sendall(
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
        f"Authorization: Bearer {served.token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    return client


def test_questions_queue_too_many_are_refused_and_whoever_leaves_makes_room(served: Served) -> None:
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        clients = [stack.enter_context(talkative(served)) for _ in range(MOST_AT_A_TIME + 1)]
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        statuses: list[bytes] = []
        while b"429" not in statuses:  # the one that came too late hears so while the others wait
            for key, _ in selector.select():
                first = key.fileobj.recv(100)  # type: ignore[union-attr]
                statuses += [first.split()[1]] if first.startswith(b"HTTP") else []
        assert len(statuses) < 4
    # All have gone, so that nothing more is said to anybody: there is room, and the next one is answered.
    status = 429
    while status == 429:
        status, answer = served.json("POST", "/v1/chat/completions", chat(FERRY[0], "notes"))
    assert (status, said(answer)) == (200, "At seven.")


def test_the_printed_line_works_as_it_stands(served: Served) -> None:
    printed = next(line for line in served.command.lines if "curl" in line)
    ended = subprocess.run(["sh", "-c", printed], capture_output=True, timeout=60, check=True)
    assert said(json.loads(ended.stdout)) == "At seven."
    assert served.token not in "\n".join(served.command.lines)  # it stays in its file
    token_file = served.notes.with_name("token")
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600


def test_asking_the_run_that_goes_on_and_ending_in_its_midst(home: Path, notes: Path) -> None:
    """With a token of the environment's; both an answer and a run end with the server, and nothing is left behind."""
    notes.write_text(text(FERRY, settings=SLOW))
    os.environ["DLM_TOKEN"] = "a token for tests only".replace(" ", "-")
    try:
        command = Command(home, "serve", str(notes), "--port", "0", "--watch")
    finally:
        token = os.environ.pop("DLM_TOKEN")
    with command:
        served = Served(command, notes, token)
        command.until("learning 1 lesson")
        command.until("step ")
        assert served.ask(model="notes@live", max_tokens=2)["model"] == "notes@live"
        with talkative(served) as client:
            assert client.recv(12) == b"HTTP/1.1 200"
            command.process.send_signal(signal.SIGTERM)
            rest = b""
            while piece := client.recv(65536):
                rest += piece
        assert b'"code":"ending"' in rest
        assert b"[DONE]" not in rest
        assert command.end() == 143, command.lines
    printed = "\n".join(command.lines)
    assert "stopping after this step" in printed
    assert token not in printed
    assert "Traceback" not in printed
    store = Store(home, DLM_ID)
    assert (store.current(), store.holder()) == (None, None)


def test_without_watch_nothing_is_trained_and_before_a_version_the_base_answers(home: Path, notes: Path) -> None:
    notes.write_text(text(FERRY))
    with Command(home, "serve", str(notes), "--port", "0") as command:
        served = Served(command, notes)
        served.token = command.until("export DLM_TOKEN=").strip().partition("=")[2]
        answer = served.ask(max_tokens=3)
        assert (answer["model"], answer["usage"]["completion_tokens"]) == ("notes", 3)
        assert [model["id"] for model in served.json("GET", "/v1/models")[1]["data"]] == ["notes", "notes@live"]
        command.process.send_signal(signal.SIGINT)
        assert command.end() == 130, command.lines
    assert not home.exists()


def refusal(*options: str) -> str:
    refused = CliRunner().invoke(app, ["serve", *options])
    assert refused.exit_code in (1, 2)
    return " ".join(refused.output.replace("│", " ").split())


def test_a_start_that_cannot_be_is_a_sentence(notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes.write_text(text(FERRY))
    assert "0.0.0.0 is no loopback address" in refusal(str(notes), "--host", "0.0.0.0")
    assert "example.org is no loopback address" in refusal(str(notes), "--host", "example.org")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in refusal(str(notes), "--port", str(port))
    open_to_all = tmp_path / "open"
    open_to_all.write_text("x" * 32)
    open_to_all.chmod(0o644)
    assert f"chmod 600 {open_to_all}" in refusal(str(notes), "--token-file", str(open_to_all))
    assert "cannot be read" in refusal(str(notes), "--token-file", str(tmp_path))
    monkeypatch.setenv("DLM_TOKEN", "short")
    assert "16 to 512 visible ASCII characters" in refusal(str(notes))
