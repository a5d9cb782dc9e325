"""What a document, a file's name or another host says cannot steer a terminal, nor write lines into the log."""

from __future__ import annotations

import io
import json
import logging
import os
from pathlib import Path

import pytest
from rich.console import Console

from dlm_lsp.cli.printer import Printer
from dlm_lsp.runs.plain import LineFormatter, escaped
from dlm_lsp.runs.snapshot import read
from tests.cli.conftest import Command
from tests.server.editor import DLM_ID, HEAD, exchange
from tests.server.wire import Wire, initialize, notification, request

TITLE, CLEAR, BIDI, LINE = (
    "\x1b]0;owned\x07",
    "\x9b2J",
    "\u202egpj.exe",
    "\n2026-01-01 00:00:00,000 INFO dlm_lsp: all is well",
)
EVIL = f"a{TITLE}{CLEAR}{BIDI}{LINE}\r\u2028\u2066\x7f\ud800b"


def harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def test_escapes_say_what_was_there_and_text_stays_text() -> None:
    assert escaped("\x1b[31m\n\u202ex\x85") == "\\x1b[31m\\n\\u202ex\\x85"
    assert escaped("déjà vu · 日本 \u00a0😀") == "déjà vu · 日本 \u00a0😀"
    assert escaped("a\tb\n\x07", keep="\n\t") == "a\tb\n\\x07"
    assert harmless(escaped(EVIL))


def test_a_record_is_one_line_and_a_traceback_looks_like_none() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter("%(levelname)s %(name)s: %(message)s"))
    log = logging.Logger(f"evil{EVIL}")
    log.addHandler(handler)
    log.warning("reading %s: %s", EVIL, Path(EVIL))
    try:
        raise ValueError(EVIL)
    except ValueError:
        log.exception("failed on %r", EVIL)
    lines = stream.getvalue().splitlines()
    assert harmless(stream.getvalue())
    assert [line.split(" ")[0] for line in lines if not line.startswith("    ")] == ["WARNING", "ERROR"]
    assert any(line.startswith("    ValueError: a\\x1b]0;owned") for line in lines)


@pytest.mark.parametrize("terminal", [True, False])
def test_problems_of_a_hostile_document_are_printed_harmlessly(terminal: bool) -> None:
    stream = io.StringIO()
    evil = EVIL.replace("\ud800", "").replace("\n", "")
    document = read(
        f'---\ndlm_id: x\nbase_model: "[link=http://x]"\n{json.dumps(evil)}: 1\n---\n::{evil}::\n### {evil}\n'
    )
    Printer(Console(file=stream, force_terminal=terminal, no_color=True, width=200), Path(f"{EVIL}.dlm")).problems(
        document
    )
    said = stream.getvalue().replace("\x1b[2m", "").replace("\x1b[0m", "")  # rich's own
    assert len(said.splitlines()) == 3  # two problems, and an id that is free
    assert "\\x1b]0;owned" in said
    assert harmless(said)


def test_the_command_line_prints_no_control_characters(tmp_path: Path) -> None:
    name = f"{EVIL.replace('/', '').encode(errors='ignore').decode()}.dlm"
    document, home = tmp_path / name, tmp_path / f"home{CLEAR}"
    document.write_text(HEAD.replace("builtin:tiny", json.dumps(f"./{CLEAR}{BIDI}")) + exchange("a", "b"))
    store = home / "store" / DLM_ID
    store.mkdir(parents=True)
    (store / ".lock").write_bytes(b"4711\nhost\x1b[2J\xe2\x80\xae\n1800000000.0\n")
    manifest = {"dlm_id": EVIL, "base_model": EVIL, f"key{EVIL}": EVIL, "source_path": EVIL}
    (store / "manifest.json").write_text(json.dumps(manifest))
    status, train = ["status", str(document)], ["train", "-v", str(document)]
    for arguments in (status, [*status, "--json"], train, ["init", str(document)]):
        with Command(home, *arguments) as command:
            code = command.end()
            assert command.lines, arguments
            assert all(line.isprintable() for line in command.lines), (arguments, command.lines)
            assert code in (0, 1), arguments


def test_the_servers_log_has_neither_control_characters_nor_text_of_documents(tmp_path: Path) -> None:
    word = "Kryptozoologie"
    text = HEAD + f"\n{word} {EVIL}\n".replace("\ud800", "") + exchange(f"{word} FAIL", f"{word} {CLEAR}")
    path = tmp_path / f"{CLEAR}{BIDI}.dlm"
    uri = path.as_uri()
    (tmp_path / "home" / "store" / DLM_ID).mkdir(parents=True)
    (tmp_path / "home" / "store" / DLM_ID / "manifest.json").write_text(json.dumps({word: EVIL, "dlm_id": CLEAR}))
    with Wire(tmp_path / "home") as wire:
        wire.send(
            initialize(initializationOptions={"logLevel": "debug", "debounceMs": 0, "home\x1b[2J": 1, "onSave": CLEAR})
        )
        wire.answer(1)
        item = {"uri": uri, "languageId": "dlm", "version": 1, "text": text}
        document = {"uri": uri}
        wire.send(
            notification("initialized", {}),
            notification("textDocument/didOpen", {"textDocument": item}),
            notification("textDocument/didSave", {"textDocument": document, "text": text + word}),
            notification(f"no/such{CLEAR}", {"text": text}),
            notification("textDocument/didClose", {"text": text}),
            notification(f"textDocument/didChange{CLEAR}", {"text": text}),
            notification("textDocument/didChange", {"text": text}),
            request(2, "dlm/waitForIdle", document),
        )
        wire.answer(2)
        wire.send(request(3, "shutdown"))
        wire.answer(3)
        wire.send(notification("exit"))
        assert wire.exit_code() == 0
        wire.log.until("ending with exit code 0")
        logged = wire.log.text
    assert len(logged.splitlines()) > 4
    assert harmless(logged)
    assert word not in logged


def test_what_is_printed_escaped_can_be_printed_anywhere() -> None:
    """Half of a surrogate pair, as in a file name that is no UTF-8, would end a print with an error."""
    escaped(os.fsdecode(b"\xff\xfe")).encode()
