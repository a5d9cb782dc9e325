"""A talk in a terminal: a prompt line that stays below what is said, with a line of status beneath it.

Everything is written above the prompt, row by row; what an answer has of its last row so far stands in the prompt's own
message until it is whole. So the author can type the next question while an answer comes.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Self, TextIO, cast

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.patch_stdout import StdoutProxy
from prompt_toolkit.styles import Style
from rich.console import Console

from dlm_lsp.cli.printer import say
from dlm_lsp.cli.repl.completing import Commands
from dlm_lsp.cli.repl.history import history
from dlm_lsp.cli.repl.keys import bindings
from dlm_lsp.cli.repl.rows import whole_rows
from dlm_lsp.runs.plain import escaped

_STYLE = Style.from_dict({"prompt": "bold", "waiting": "ansibrightblack", "bottom-toolbar": "reverse"})
_PROMPT = "› "
_TWICE = "(Ctrl-C again, Ctrl-D or /quit leaves)"
_REFRESH = 0.5  # seconds; what nobody tells (seconds left, what is waited for) is looked at that often


class Terminal:
    """Used as a context manager: until its end, whatever is printed or logged appears above the prompt.

    `toolbar`, `waiting` (what is waited for, or nothing) and `versions` (that can be named) are asked when they are
    shown; `interrupt` hears a Ctrl-C, and says whether it ended an answer.
    """

    leaves_at_once = True

    def __init__(
        self,
        questions: Path,
        *,
        toolbar: Callable[[], str],
        waiting: Callable[[], str],
        versions: Callable[[], list[str]],
        interrupt: Callable[[], bool],
    ) -> None:
        self._waiting = waiting
        self._interrupt = interrupt
        self._about_to_leave = False
        self._row = ""  # of the answer, as far as it has come
        self._prompt: PromptSession[str] = PromptSession(
            self.message,
            history=history(questions),
            auto_suggest=AutoSuggestFromHistory(),
            completer=Commands(versions),
            complete_while_typing=True,
            multiline=True,
            prompt_continuation="  ",
            key_bindings=bindings(self.stop),
            bottom_toolbar=toolbar,
            erase_when_done=True,
            refresh_interval=_REFRESH,
            style=_STYLE,
        )
        self._above = StdoutProxy(sleep_between_writes=0.02, raw=True)
        self.console = Console(file=cast(TextIO, self._above), force_terminal=True)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        above = cast(TextIO, self._above)
        self._stack.enter_context(self._above)
        self._stack.enter_context(redirect_stdout(above))
        self._stack.enter_context(redirect_stderr(above))
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and (before := handler.setStream(above)) is not None:
                self._stack.callback(handler.setStream, before)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def lines(self) -> AsyncIterator[str]:
        while True:
            try:
                line = await self._prompt.prompt_async(handle_sigint=False)
            except EOFError:
                return
            self._about_to_leave = False
            yield line

    def stop(self) -> bool:
        buffer, app = self._prompt.default_buffer, self._prompt.app
        if self._interrupt():
            return True
        if buffer.text:
            buffer.reset()
        elif not self._about_to_leave:
            self._about_to_leave = True
            self.console.print(_TWICE, style="dim")
        elif app.is_running:
            app.exit(exception=EOFError)
        return True

    def question(self, text: str) -> None:
        first, *more = escaped(text, keep="\n\t").split("\n")
        shown = "\n".join([f"{_PROMPT}{first}", *(f"  {line}" for line in more)])
        self.console.print(f"\n{shown}", style="bold", markup=False, highlight=False, soft_wrap=True)

    def piece(self, text: str) -> None:
        rows, self._row = whole_rows(self._row + escaped(text, keep="\n\t").expandtabs(4), self.console.width)
        for row in rows:
            self._above.write(f"{row}\n")
        self.refresh()

    def answered(self, remark: str) -> None:
        if self._row:
            self._above.write(f"{self._row}\n")
        self._row = ""
        say(self.console, remark, "dim")
        self.refresh()

    def refresh(self) -> None:
        self._prompt.app.invalidate()

    def message(self) -> StyleAndTextTuples:
        """What stands before the line that is typed: the last row of the answer so far, and the mark."""
        prompt: StyleAndTextTuples = [("class:prompt", _PROMPT)]
        if self._row:
            return [("", f"{self._row}\n"), *prompt]
        waiting = self._waiting()
        return [("class:waiting", f"… {escaped(waiting)}\n"), *prompt] if waiting else prompt
