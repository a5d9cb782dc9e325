"""One author's talk with one document: what each line does, and whose answer it was."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dlm_lsp.cli.printer import say
from dlm_lsp.cli.repl import commands
from dlm_lsp.cli.repl.commands import Command, Question, Unclear
from dlm_lsp.cli.repl.comparing import before_and_after, side_by_side
from dlm_lsp.cli.repl.screen import Screen
from dlm_lsp.cli.status import Look, show
from dlm_lsp.runs.events import Event, Finished
from dlm_lsp.runs.plain import escaped
from dlm_lsp.runs.questions import Answer, AskRefused, Speaker
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.supervisor import Supervisor
from dlm_lsp.runs.telling import headline
from dlm_lsp.runs.versions import Made, made
from dlm_lsp.store import Store, StoreError, dlm_home, version_name
from dlm_lsp.training.protocol import LearnerError


@dataclass(slots=True)
class Choices:
    """How the next question is asked. `speaker` None: the newest version; `system` None: the document's."""

    speaker: Speaker = None
    temperature: float = 0.0
    system: str | None = None
    max_new_tokens: int = 256


class Session:
    """Answers the author's lines one after the other. Lives on the event loop; `screen` is given before the first."""

    screen: Screen

    def __init__(self, supervisor: Supervisor, path: Path, home: Path | None) -> None:
        self._supervisor = supervisor
        self._path = path
        self._home = home
        self._choices = Choices()
        self._asked = ""  # the last question
        self._answer: Answer | None = None  # the one that comes
        self._versions: tuple[Made, ...] = ()
        self._looking: set[asyncio.Task[None]] = set()
        self.waiting = 0  # lines that wait for their turn

    # -- what is shown all the time

    def toolbar(self) -> str:
        """One line: what is learned now, what answers, and how many lines wait."""
        status, choices = self._supervisor.status(self._path), self._choices
        parts = [f"{status.document.name}: {status.note or headline(status)}"] if status else []
        parts.append(f"answers: {_named(choices.speaker, status)}")
        if choices.temperature:
            parts.append(f"temperature {choices.temperature:g}")
        if self.waiting:
            parts.append(f"{self.waiting} waiting")
        return escaped(f" {' │ '.join(parts)} ")

    def waits_for(self) -> str:
        """What the answer to come waits for; nothing when it speaks."""
        return f"waiting for {text}" if self._answer is not None and (text := self._answer.waits_for) else ""

    def version_names(self) -> list[str]:
        """The newest first, as they were at the last look."""
        return [version_name(version.number) for version in reversed(self._versions)]

    def heard(self, event: Event | None, status: DocumentStatus) -> None:
        """A listener of the supervisor's."""
        if event is None or isinstance(event, Finished):
            self._look_soon()
        self.screen.refresh()

    def interrupt(self) -> bool:
        """Ends the answer that comes; False when there is none."""
        if self._answer is None:
            return False
        self._answer.cancel()
        return True

    # -- what a line does

    async def line(self, text: str) -> None:
        """Whatever it was, the talk goes on."""
        if text.strip():
            self.screen.question(text.strip())
        try:
            match commands.read(text):
                case Question(question):
                    await self._ask(question)
                case Command() as command:
                    await self._do(command)
        except Unclear as unclear:
            self._say(str(unclear), "yellow")
        except (AskRefused, LearnerError, StoreError) as error:
            self._say(str(error), "red")

    async def _do(self, command: Command) -> None:
        match command.name:
            case "version":
                await self._version(command.argument)
            case "diff":
                await self._diff(command.argument)
            case "temperature":
                self._temperature(command.argument)
            case "tokens":
                self._tokens(command.argument)
            case "system":
                self._system(command.argument)
            case "status":
                self._status()
            case "wait":
                await self._supervisor.wait_for_idle(self._path)
            case "help":
                self._help()
            case "quit":
                """The talk ends before its turn comes."""

    def _say(self, text: str, style: str = "") -> None:
        say(self.screen.console, text, style)

    async def _ask(self, question: str) -> None:
        self._asked = question
        answer = self._begin(question, self._choices.speaker)
        try:
            async for piece in answer:
                self.screen.piece(piece)
        finally:
            self._answer = None
            cut = ", stopped" if answer.cancelled else ""
            long = ", cut at the longest answer" if answer.spoken and answer.spoken.end == "length" else ""
            self.screen.answered(f"{answer.speaker}{cut}{long}")

    def _begin(self, question: str, speaker: Speaker) -> Answer:
        choices = self._choices
        self._answer = self._supervisor.ask(
            self._path,
            question,
            version=speaker,
            system=choices.system,
            max_new_tokens=choices.max_new_tokens,
            temperature=choices.temperature,
        )
        self.screen.refresh()
        return self._answer

    async def _version(self, argument: str) -> None:
        await self._look()
        if not argument:
            self._list_versions()
            return
        speaker = commands.which(argument)
        if isinstance(speaker, int) and speaker not in {version.number for version in self._versions}:
            there = ", ".join(self.version_names()) or "none yet"
            raise Unclear(f"There is no {version_name(speaker)}; there are: {there}.")
        self._choices.speaker = speaker
        self._say(f"from now on answers: {_named(speaker, self._supervisor.status(self._path))}", "dim")

    def _list_versions(self) -> None:
        for version in self._versions:
            facts = [version_name(version.number)]
            if version.steps is not None:
                facts.append(f"{version.steps} steps")
            if version.loss is not None:
                facts.append(f"loss {version.loss:.2f}")
            if version.current:
                facts.append("current")
            self._say("  " + " · ".join(facts))
        self._say(f"answers: {_named(self._choices.speaker, self._supervisor.status(self._path))}", "dim")

    async def _diff(self, argument: str) -> None:
        await self._look()
        speakers, question = commands.compared(argument)
        question = question or self._asked
        if not question:
            raise Unclear("Ask something first, or give the question: /diff 2 3 Who keeps the lamp?")
        pair = before_and_after(speakers, self._versions)
        told = []
        for speaker in pair:
            answer = self._begin(question, speaker)
            try:
                text = await answer.text()
            finally:
                self._answer = None
            if answer.cancelled:
                self._say("stopped", "dim")
                return
            told.append((answer.speaker, text))
        self.screen.console.print(side_by_side(told[0], told[1], self.screen.console.width))

    def _temperature(self, argument: str) -> None:
        if argument:
            self._choices.temperature = commands.temperature(argument)
        self._say(f"temperature {self._choices.temperature:g}", "dim")

    def _tokens(self, argument: str) -> None:
        if argument:
            self._choices.max_new_tokens = commands.tokens(argument)
        self._say(f"an answer has at most {self._choices.max_new_tokens} tokens", "dim")

    def _system(self, argument: str) -> None:
        if argument:
            self._choices.system = None if argument == "default" else argument
        if (own := self._choices.system) is not None:
            self._say(f"system prompt: {own}", "dim")
            return
        document = self._supervisor.document(self._path)
        theirs = document.frontmatter.system_prompt if document and document.frontmatter else None
        self._say(f"system prompt, the document's: {theirs}" if theirs else "no system prompt", "dim")

    def _status(self) -> None:
        if (status := self._supervisor.status(self._path)) is not None:
            show(Look(status, self._supervisor.truth(self._path)), self.screen.console)

    def _help(self) -> None:
        width = max(len(f"/{name} {arguments}") for name, (arguments, _) in commands.USAGE.items())
        for name, (arguments, what) in commands.USAGE.items():
            self._say(f"  {f'/{name} {arguments}'.ljust(width)}  {what}")
        self._say("Anything else is a question. Alt-Enter, or a backslash before Enter, begins a new line.")
        self._say("Ctrl-C stops an answer, Ctrl-D leaves. The first letters of a command are enough.")

    # -- the versions on disk

    async def _look(self) -> None:
        status = self._supervisor.status(self._path)
        if status is not None and status.dlm_id is not None:
            store = Store(dlm_home(self._home), status.dlm_id)
            self._versions = await asyncio.to_thread(made, store)

    def _look_soon(self) -> None:
        async def look() -> None:
            with suppress(StoreError):  # the next question says what is wrong
                await self._look()

        task = asyncio.ensure_future(look())
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)


def _named(speaker: Speaker, status: DocumentStatus | None) -> str:
    if speaker is None:
        newest = version_name(status.version) if status and status.version else None
        return f"newest ({newest})" if newest else "the base model"
    return "live weights" if speaker == "live" else version_name(speaker)
