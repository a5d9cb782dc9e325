"""`dlm-lsp prompt`: one question, or a line at a time, to what the document has taught."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from dlm_lsp.document import parse
from dlm_lsp.runs.ask import ask
from dlm_lsp.runs.plain import escaped
from dlm_lsp.store import Store, StoreError, dlm_home
from dlm_lsp.training.choice import LEARNERS
from dlm_lsp.training.protocol import LearnerError, LearnerMode, PhaseName, Unwatched


def prompt(
    path: Path, question: str | None, max_tokens: int, temperature: float, home: Path | None, mode: LearnerMode
) -> int:
    """Prints answers to standard output and everything else to standard error; an exit code."""
    console = Console(stderr=True)
    frontmatter = parse(path.read_bytes()).frontmatter
    if frontmatter is None:
        console.print(f"{escaped(path.name)} has errors in its frontmatter; `dlm-lsp status` names them", markup=False)
        return 1
    store = Store(dlm_home(home), frontmatter.dlm_id)
    learner = LEARNERS[mode]()
    control = _Downloads(console)
    try:
        if store.current() is None:
            console.print("nothing is learned yet: the bare base model answers", style="dim")
        while (asked := question if question is not None else _line(console)) is not None:
            for piece in ask(
                learner,
                frontmatter,
                path,
                store,
                asked,
                control,
                max_new_tokens=max_tokens,
                temperature=temperature,
            ):
                sys.stdout.write(_shown(piece))
                sys.stdout.flush()
            sys.stdout.write("\n")
            if question is not None:
                break
    except (LearnerError, StoreError) as error:
        console.print(escaped(str(error)), markup=False, style="red")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        learner.close()
    return 0


def _shown(piece: str) -> str:
    """A piece of the answer; a terminal gets no control characters, which a document may have taught."""
    return escaped(piece, keep="\n\t") if sys.stdout.isatty() else piece


def _line(console: Console) -> str | None:
    """The next question; None at the end of the input."""
    interactive = sys.stdin.isatty()
    while True:
        if interactive:
            console.print("? ", end="", style="bold")
        line = sys.stdin.readline()
        if not line:
            return None
        if text := line.strip():
            return text


class _Downloads(Unwatched):
    """Says on a terminal what is being waited for before the first word."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def phase(self, name: PhaseName, detail: str = "", fraction: float | None = None) -> None:
        if name == "download":
            done = f" {fraction:.0%}" if fraction is not None else ""
            self._console.print(escaped(f"downloading {detail}{done}"), style="dim", markup=False)
