"""What a run looks like in a terminal: a progress bar where there is one, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from ulid import ULID

from dlm_lsp.cli.wording import in_terminal
from dlm_lsp.document import Document, Problem, Severity
from dlm_lsp.runs import events
from dlm_lsp.runs.plain import escaped
from dlm_lsp.runs.status import DocumentStatus
from dlm_lsp.runs.telling import count, left_unlearned, progress_message, start_message

_STYLES = {
    Severity.ERROR: "red",
    Severity.WARNING: "yellow",
    Severity.INFORMATION: "dim",
    Severity.HINT: "dim",
}
_PLAIN_LINES = 10  # of the steps of a run, where there is no terminal: enough to see it going on


def say(console: Console, text: str, style: str = "") -> None:
    """One line as it is, whatever it holds: not wrapped, without marks of its own, harmless for a terminal."""
    console.print(escaped(text), style=style, markup=False, highlight=False, soft_wrap=True)


def is_told_plainly(step: int, total: int) -> bool:
    """Whether step `step` (from 1) of `total` is told where there is no terminal."""
    return step == 1 or step % max(1, total // _PLAIN_LINES) == 0


class Printer:
    """Hears the supervisor's events and says them. Used as a context manager: its bar never outlives it.

    Without `bar` nothing is said of steps: somebody else shows them. Without `next_steps` nothing is said of what
    goes on with a run that its cap has ended: it is gone on with anyway.
    """

    def __init__(self, console: Console, path: Path, *, bar: bool = True, next_steps: bool = True) -> None:
        self._console = console
        self._shows_steps = bar
        self._says_what_next = next_steps
        self._path = path
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._noted = ""
        self._source_problems: tuple[Problem, ...] = ()

    def __enter__(self) -> Printer:
        if self._console.is_terminal and self._shows_steps:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal and self._shows_steps:
            self._bar.stop()

    def say(self, text: str, style: str = "") -> None:
        say(self._console, in_terminal(text, self._path), style)

    def problems(self, document: Document | None) -> None:
        """Every problem of the document as `file:line:column: severity: message [code]`, 1-based."""
        problems = document.problems if document else ()
        self.listed(self._path.name, problems)
        if any(each.code in ("missing-key", "bad-value") and each.message.startswith("`dlm_id`") for each in problems):
            self.say(f"a new one: dlm_id: {ULID()}", "dim")

    def listed(self, name: str, problems: Iterable[Problem]) -> None:
        """The same of any file of this name."""
        for problem in problems:
            start = problem.range.start
            self.say(
                f"{name}:{start.line + 1}:{start.column + 1}: {problem.severity}: {problem.message} [{problem.code}]",
                _STYLES[problem.severity],
            )

    def __call__(self, event: events.Event | None, status: DocumentStatus) -> None:
        if isinstance(event, events.TERMINAL):
            self._end_bar()
            for note in event.notes:
                self.say(note, "yellow")
        match event:
            case events.Started():
                self.say(start_message(event.kind, event.fresh, event.known), "dim")
            case events.Phase() | events.Step():
                self._progress(event, status)
            case events.SourcesRead() if event.problems != self._source_problems:
                self._source_problems = event.problems
                self.listed(self._path.name, event.problems)
            case events.Absorbed() if event.added or event.removed:
                self.say(f"absorbed {count(max(event.added, event.removed), 'section')}", "dim")
            case events.Swapped():
                self.say("hooks swapped", "dim")
            case events.HooksSaid() if event.detail:
                self.say(event.detail, "yellow")
            case events.Stopping() if event.detail and event.seconds_left is None:
                self.say(f"stopping after this step, {event.detail}", "dim")
            case events.Stuck():
                self.say(f"the run does not stop: {event.detail}", "red")
            case events.Waiting():
                self.say(f"waiting for the store: {event.detail}", "yellow")
            case events.Finished():
                loss = f" · loss {event.learned.final_loss:.2f}" if event.learned.final_loss is not None else ""
                self.say(f"{event.message}{loss} · {event.seconds:.1f} s", "green")
                if event.learned.end == "cap" and (left := left_unlearned(event.learned)) and self._says_what_next:
                    more = "goes on with it" if left == 1 else "goes on with them"
                    self.say(f"Train Now {more}, and --continue-when-idle does so by itself", "dim")
            case events.Skipped():
                self.say(event.reason)
            case events.Cancelled():
                self.say(status.last.message if status.last else "cancelled", "yellow")
            case events.Failed():
                self.say(event.message, "red")
            case None if status.note != self._noted:
                self._noted = status.note
                if status.note:
                    self.say(status.note, "yellow")
            case _:
                pass

    def _progress(self, event: events.Phase | events.Step, status: DocumentStatus) -> None:
        if status.run is None or not self._shows_steps:
            return
        message = escaped(progress_message(status.run))
        if self._console.is_terminal:
            if self._task is None:
                self._task = self._bar.add_task(message, total=100)
            self._bar.update(self._task, description=message, completed=status.run.percentage)
        elif isinstance(event, events.Step) and is_told_plainly(event.step, event.total):
            self.say(f"  {message}")

    def _end_bar(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
