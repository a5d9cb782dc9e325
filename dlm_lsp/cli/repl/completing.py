"""Completion at the prompt: the commands, and the versions that they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from dlm_lsp.cli.repl.commands import USAGE


class Commands(Completer):
    """`versions` gives the versions that can be named now, the newest first."""

    def __init__(self, versions: Callable[[], list[str]]) -> None:
        self._versions = versions

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        name, blank, argument = text[1:].partition(" ")
        if not blank:
            for each, (arguments, what) in USAGE.items():
                if each.startswith(name.lower()):
                    shown = f"/{each} {arguments}".rstrip()
                    yield Completion(each, -len(name), display=shown, display_meta=what)
            return
        last = argument.rpartition(" ")[2]
        offered = {"version": ["latest", "live", *self._versions()], "diff": ["live", *self._versions()]}
        offered["system"] = ["default"]
        for word in offered.get(name.lower(), ()):
            if word.startswith(last) and (name.lower() == "diff" or last == argument):
                yield Completion(word, -len(last))
