"""A `.dlm` document as an editor's author works on it, told over a wire."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

from tests.protocol.wire import Message, Wire, notification, request

_numbers = itertools.count(1)


def exchange(question: str, answer: str) -> str:
    return f"\n::instruction::\n### Q\n{question}\n\n### A\n{answer}\n"


class Paper:
    """One document on disk and in the editor. Each has an id, and so a store, of its own."""

    def __init__(self, wire: Wire, path: Path, dlm_id: str | None = None) -> None:
        self.wire = wire
        self.path = path
        self.uri = path.as_uri()
        self.dlm_id = dlm_id or f"01HZ4X7TGZM3J1A2{os.getpid() % 10**6:06d}{next(_numbers):04d}"
        self.version = 0
        self.text = ""

    @property
    def head(self) -> str:
        return f"---\ndlm_id: {self.dlm_id}\nbase_model: builtin:tiny\n---\n"

    def open(self, text: str | None = None, *, write: bool = True) -> None:
        self.text = self.head if text is None else text
        if write:
            self.path.write_text(self.text, encoding="utf-8", newline="")
        self.version += 1
        item = {"uri": self.uri, "languageId": "dlm", "version": self.version, "text": self.text}
        self.wire.send(notification("textDocument/didOpen", {"textDocument": item}))

    def change(self, *changes: Message, version: int | None = None) -> None:
        self.version = self.version + 1 if version is None else version
        item = {"uri": self.uri, "version": self.version}
        self.wire.send(notification("textDocument/didChange", {"textDocument": item, "contentChanges": list(changes)}))

    def saved(self, text: str) -> list[Message]:
        """The messages of an author who replaces the text and saves it; the file is written here."""
        self.text = text
        self.path.write_text(text, encoding="utf-8", newline="")
        self.version += 1
        item = {"uri": self.uri, "version": self.version}
        return [
            notification("textDocument/didChange", {"textDocument": item, "contentChanges": [{"text": text}]}),
            notification("textDocument/didSave", {"textDocument": {"uri": self.uri}, "text": text}),
        ]

    def save(self, text: str) -> None:
        self.wire.send(*self.saved(text))

    def teach(self, answer: str) -> None:
        """Saves a text that holds one new lesson."""
        self.save(self.head + exchange(f"What is {answer}?", answer))

    def close(self) -> None:
        self.wire.send(notification("textDocument/didClose", {"textDocument": {"uri": self.uri}}))

    def idle(self) -> Message:
        """The status, once no run waits or goes on."""
        return dict(self.wire.ask("dlm/waitForIdle", {"uri": self.uri}))

    def asked(self, identity: Any, line: int = 0, character: int = 0) -> Message:
        """A hover."""
        where = {"textDocument": {"uri": self.uri}, "position": {"line": line, "character": character}}
        return request(identity, "textDocument/hover", where)

    def hover(self, line: int = 0, character: int = 0) -> Any:
        identity = self.wire.new_id()
        self.wire.send(self.asked(identity, line, character))
        return self.wire.answer(identity)["result"]

    def diagnostics(self) -> Message:
        """Reads until the next diagnostics of this document."""
        return dict(
            self.wire.until(
                lambda message: (
                    message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == self.uri
                )
            )["params"]
        )

    def training(self) -> None:
        """Reads until the first step of a run is told; the gate has to allow it."""
        self.wire.until(
            lambda message: (
                message.get("method") == "dlm/trainingProgress"
                and message["params"]["uri"] == self.uri
                and message["params"]["step"]
            )
        )

    def ended_runs(self) -> list[int]:
        """The runs whose end was told, in order, each as often as it changed."""
        ends: list[int] = []
        for told in self.wire.notifications("dlm/trainingStatus"):
            if told["uri"] == self.uri and (last := told["last"]) is not None and last["run"] not in ends[-1:]:
                ends.append(last["run"])
        return ends
