"""A small model hub on the loopback interface, speaking what `huggingface_hub` asks: model info and files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

CHUNK = 65_536  # bytes


@dataclass
class HubModel:
    """One model: its commits, newest last, each with its files. A gated one hands out no file.

    `refusal`, when set, answers every request for it: a status, an error code and an error message.
    """

    commits: dict[str, Mapping[str, bytes]]
    gated: bool = False
    refusal: tuple[HTTPStatus, str, str] | None = None

    @property
    def head(self) -> str:
        return list(self.commits)[-1]


@dataclass
class LocalHub:
    """`requests` are what was asked for so far; `hold` names a file whose second half waits for `go`."""

    models: dict[str, HubModel] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    hold: str | None = None
    held: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def info(self, repo: str, revision: str) -> dict[str, Any]:
        files = self.models[repo].commits[revision]
        siblings = [_sibling(name, data) for name, data in files.items()]
        return {"_id": "1", "id": repo, "modelId": repo, "sha": revision, "siblings": siblings, "tags": []}


@contextmanager
def serve() -> Iterator[LocalHub]:
    """A hub without models at `url`, until the end of the block."""
    hub = LocalHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.go.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _sibling(name: str, data: bytes) -> dict[str, Any]:
    """As on the real hub: weights have a SHA-256, the rest the SHA-1 of a git blob."""
    blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
    entry: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": blob}
    if _large(name):
        entry["lfs"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 134}
    return entry


def _large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin"))


def _handler(hub: LocalHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def log_message(self, *args: object) -> None:
            pass

        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(f"{self.command} {path}")
            match path.strip("/").split("/"):
                case ["api", "models", org, name]:
                    self._info(f"{org}/{name}", None)
                case ["api", "models", org, name, "revision", revision]:
                    self._info(f"{org}/{name}", revision)
                case [org, name, "resolve", revision, *file]:
                    self._file(f"{org}/{name}", revision, "/".join(file))
                case _:
                    self._refuse(HTTPStatus.NOT_FOUND, "")

        def _info(self, repo: str, revision: str | None) -> None:
            if (model := self._model(repo)) is None:
                return
            commit = model.head if revision in (None, "main") else revision
            if commit not in model.commits:
                self._refuse(HTTPStatus.NOT_FOUND, "RevisionNotFound")
                return
            body = json.dumps(hub.info(repo, commit)).encode()
            self._head(HTTPStatus.OK, {"Content-Type": "application/json", "Content-Length": str(len(body))})
            self.wfile.write(body)

        def _file(self, repo: str, revision: str, name: str) -> None:
            if (model := self._model(repo)) is None:
                return
            if model.gated:
                self._refuse(HTTPStatus.FORBIDDEN, "GatedRepo")
                return
            data = model.commits.get(revision, {}).get(name)
            if data is None:
                self._refuse(HTTPStatus.NOT_FOUND, "EntryNotFound")
                return
            sibling = _sibling(name, data)
            etag = sibling["lfs"]["sha256"] if "lfs" in sibling else sibling["blobId"]
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": revision, "Content-Length": str(len(data))}
            if "lfs" in sibling:
                headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(data))}
            self._head(HTTPStatus.OK, headers)
            if self.command == "GET":
                self._send(name, data)

        def _send(self, name: str, data: bytes) -> None:
            half = len(data) // 2 if name == hub.hold else 0
            try:
                self.wfile.write(data[:half])
                if half:
                    self.wfile.flush()
                    hub.held.set()
                    hub.go.wait()
                for start in range(half, len(data), CHUNK):
                    self.wfile.write(data[start : start + CHUNK])
            except ConnectionError:
                self.close_connection = True  # the client went away, as it may

        def _model(self, repo: str) -> HubModel | None:
            model = hub.models.get(repo)
            if model is None:
                self._refuse(HTTPStatus.UNAUTHORIZED, "RepoNotFound")
            elif model.refusal is not None:
                self._refuse(*model.refusal)
                return None
            return model

        def _refuse(self, status: HTTPStatus, code: str, message: str = "") -> None:
            self._head(status, {"X-Error-Code": code, "X-Error-Message": message, "Content-Length": "0"})

        def _head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

    return Handler
