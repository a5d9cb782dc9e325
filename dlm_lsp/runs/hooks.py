"""The hooks file beside a document: read, checked and loaded as a module that is named by its content."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, MappingProxyType, ModuleType
from typing import Any

from dlm_lsp.document import Position, Problem, Range, Severity
from dlm_lsp.store import read_regular

log = logging.getLogger(__name__)

IMPORT, ERROR, SLOW = "hooks-import", "hooks-error", "hooks-slow"
MAX_BYTES = 1 << 20
STATE = "state"

PARAMETERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "on_start": ("kind", "fresh", "known"),
        "on_step": ("step", "loss", "lr"),
        "on_absorb": ("added", "removed"),
        "on_checkpoint": ("version", "evaluate", "ask"),
        "on_finish": ("version", "message"),
        "on_fail": ("code", "message"),
    }
)
"""Every hook, and what it is called with, in this order."""


class HooksBrokenError(Exception):
    """The file cannot be used; `problem` says why, at its place in the file."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class HookOverrunError(BaseException):
    """Raised in a hook that has used its time up; no Exception, so that a hook's own handlers let it pass."""


@dataclass(frozen=True, slots=True)
class HooksFile:
    """The bytes that were read, and their sha256 in hex; both are empty where there is no file."""

    path: Path
    data: bytes = field(default=b"", repr=False)
    digest: str = ""

    @property
    def short(self) -> str:
        """The fingerprint: 16 hex digits."""
        return self.digest[:16]


@dataclass(frozen=True, slots=True)
class Hooks:
    """A loaded file: its functions by their names, and what is doubtful about it."""

    file: HooksFile
    module: str = ""
    functions: Mapping[str, Callable[..., object]] = field(default_factory=dict)
    doubts: tuple[Problem, ...] = ()

    def forget(self) -> None:
        """Drops the module; who still runs in it keeps what it needs."""
        sys.modules.pop(self.module, None)


def hooks_path(document: Path) -> Path:
    """`notes.hooks.py` beside `notes.dlm`."""
    return document.with_name(f"{document.stem}.hooks.py")


def read(path: Path) -> HooksFile:
    """Raises HooksBrokenError for what cannot be read; no file is an empty one."""
    try:
        data = read_regular(path, MAX_BYTES)
    except FileNotFoundError:
        return HooksFile(path)
    except OSError as error:
        raise HooksBrokenError(Problem(IMPORT, Severity.ERROR, f"cannot be read: {error.strerror}", _line(0))) from None
    return HooksFile(path, data, hashlib.sha256(data).hexdigest())


def compiled(file: HooksFile) -> CodeType:
    """From the bytes that were hashed, past every bytecode cache; runs nothing. Raises HooksBrokenError."""
    try:
        return compile(file.data, str(file.path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise HooksBrokenError(problem_of(error, file)) from None


def load(file: HooksFile, kept: dict[str, Any]) -> Hooks:
    """Runs the file as a module. Raises HooksBrokenError, or HookOverrunError if it is stopped; then nothing is left.

    `kept` becomes its `state`, with what the file writes there as defaults.
    """
    if not file.digest:
        return Hooks(file)
    code = compiled(file)
    place = hashlib.sha256(str(file.path).encode(errors="surrogateescape")).hexdigest()[:8]
    module = ModuleType(f"dlm_hooks_{file.digest}_{place}")
    module.__file__ = str(file.path)
    vars(module)["print"] = _say
    sys.modules[module.__name__] = module
    try:
        exec(code, vars(module))  # noqa: S102 - the author's own code, which the workspace and the setting allow
        hooks = Hooks(file, module.__name__, _functions(module, file), _misspelled(module, file))
        defaults = vars(module).get(STATE, {})
        if not isinstance(defaults, dict):
            raise HooksBrokenError(Problem(IMPORT, Severity.ERROR, "`state` is no dict: write `state = {}`", _line(0)))
    except BaseException as error:
        sys.modules.pop(module.__name__, None)
        if isinstance(error, HooksBrokenError | HookOverrunError):
            raise
        raise HooksBrokenError(problem_of(error, file)) from None
    for name, value in defaults.items():
        kept.setdefault(name, value)
    vars(module)[STATE] = kept
    return hooks


def problem_of(error: BaseException, file: HooksFile, code: str = IMPORT, hook: str = "") -> Problem:
    """An exception as a problem on the line of `file` that raised it, the innermost one."""
    number = 0
    if isinstance(error, SyntaxError) and error.filename == str(file.path) and error.lineno:
        number = error.lineno - 1
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file.path):
            number = trace.tb_lineno - 1
        trace = trace.tb_next
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    text = " ".join(f"{type(error).__name__}: {said}".split())[:300].rstrip(": ")
    return Problem(code, Severity.ERROR, f"{hook}: {text}" if hook else text, _line(number, file))


def place_of(function: Callable[..., object], file: HooksFile) -> Range:
    """The line where a hook begins."""
    code = getattr(function, "__code__", None)
    return _line(code.co_firstlineno - 1 if code is not None else 0, file)


def _functions(module: ModuleType, file: HooksFile) -> dict[str, Callable[..., object]]:
    """Raises HooksBrokenError for a hook that could not be called."""
    functions = {}
    for name, parameters in PARAMETERS.items():
        function = vars(module).get(name)
        if function is None:
            continue
        wrong = ""
        if not callable(function):
            wrong = "is no function"
        elif inspect.iscoroutinefunction(function):
            wrong = "is asynchronous, and nobody would await it: write `def`"
        else:
            try:
                inspect.signature(function).bind(*parameters)
            except TypeError:
                wrong = f"is called with ({', '.join(parameters)}), and does not take that"
            except ValueError:
                log.debug("%s has no signature", name)
        if wrong:
            place = place_of(function, file)
            raise HooksBrokenError(Problem(IMPORT, Severity.ERROR, f"{name} {wrong}", place))
        functions[name] = function
    return functions


def _misspelled(module: ModuleType, file: HooksFile) -> tuple[Problem, ...]:
    """Functions that were probably meant as hooks."""
    found = []
    for name, value in vars(module).items():
        if name.startswith("on_") and name not in PARAMETERS and inspect.isfunction(value):
            near = difflib.get_close_matches(name, PARAMETERS, n=1, cutoff=0.75)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(PARAMETERS)}"
            text = f"{name} is no hook and is never called; {meant}"
            found.append(Problem(IMPORT, Severity.WARNING, text, place_of(value, file)))
    return tuple(found)


def _line(number: int, file: HooksFile | None = None) -> Range:
    """The text of one line, without its indentation."""
    lines = file.data.decode("utf-8", "replace").splitlines() if file is not None else []
    text = lines[number] if number < len(lines) else ""
    return Range(Position(number, len(text) - len(text.lstrip())), Position(number, len(text)))


def _say(*words: object, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False) -> None:
    """`print` of a hooks file: without a file of its own it says things in the log."""
    if file is not None:
        print(*words, sep=sep, end=end, file=file, flush=flush)
        return
    log.info("hooks: %s", (sep if sep is not None else " ").join(map(str, words)))
