"""The one table of settings: names, types, defaults, bounds and meaning. All else is derived from it."""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from dlm_lsp.runs.settings import RunSettings

log = logging.getLogger(__name__)

SECTION = "dlm"
Scope = Literal["resource", "machine", "machine-overridable", "window"]
Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as an editor names it below `dlm.`.

    `run_field` is the field of RunSettings that takes the value; what only the server uses has a `server_field`,
    one of ServerSettings.
    `minimum` and `maximum` are inclusive. The type is the default's.
    """

    name: str
    default: Value
    doc: str
    run_field: str | None
    scope: Scope = "resource"
    choices: Mapping[str, str] = field(default_factory=dict)
    minimum: int | None = None
    maximum: int | None = None
    server_field: str = ""

    @property
    def type_name(self) -> str:
        if isinstance(self.default, bool):
            return "boolean"
        return {int: "integer", float: "number"}.get(type(self.default), "string")

    def read(self, value: Any) -> Value:
        """`value` in this setting's type. Raises ValueError with a sentence that says what is allowed."""
        if self.choices:
            if not isinstance(value, str) or value not in self.choices:
                raise ValueError(f"expected one of {', '.join(self.choices)}")
        elif self.type_name == "boolean":
            if not isinstance(value, bool):
                raise ValueError("expected true or false")
        elif self.type_name == "string":
            if not isinstance(value, str):
                raise ValueError("expected a text")
        else:
            return self._number(value)
        return value  # type: ignore[no-any-return]

    def _number(self, value: Any) -> int | float:
        whole = self.type_name == "integer"
        sound = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not sound or (whole and value != int(value)):
            raise ValueError("expected a whole number" if whole else "expected a number")
        if self.minimum is not None and value < self.minimum:
            raise ValueError(f"expected {self.minimum} or more")
        if self.maximum is not None and value > self.maximum:
            raise ValueError(f"expected {self.maximum} or less")
        return int(value) if whole else float(value)


_RUN = RunSettings()

SETTINGS = (
    Setting(
        "onSave",
        _RUN.on_save,
        "What a save does.",
        "on_save",
        choices={
            "train": "A save trains what is new or changed.",
            "mark": "A save only marks what would be trained; Train Now trains it.",
            "off": "A save does nothing; the document's problems are still shown.",
        },
    ),
    Setting(
        "trainOnAutoSave",
        _RUN.train_on_auto_save,
        "Whether a save by the editor's auto-save trains, too. When it does not, it marks.",
        "train_on_auto_save",
    ),
    Setting(
        "maxSteps",
        _RUN.max_steps,
        "The most optimizer steps of one cycle. A full retrain has no such cap.",
        "max_steps",
        minimum=1,
        maximum=100_000,
    ),
    Setting(
        "debounceMs",
        _RUN.debounce_ms,
        "How long it must be quiet after a save until training begins, in milliseconds. "
        "Saves in quick succession make one run.",
        "debounce_ms",
        minimum=0,
        maximum=60_000,
    ),
    Setting(
        "minIntervalSeconds",
        _RUN.min_interval_seconds,
        "The least time between the end of a run and the next run that a save asks for, in seconds: on a laptop, rest "
        "for its fans. The newest saved text is trained then; Train Now does not wait.",
        "min_interval_seconds",
        minimum=0,
        maximum=86_400,
    ),
    Setting(
        "stopDeadlineSeconds",
        _RUN.stop_deadline_seconds,
        "How long a run that was asked to stop may take to its next step boundary, in seconds. Then it counts as "
        "stuck: that is told once, nothing that was to follow it begins, and the server can still be ended.",
        "stop_deadline_seconds",
        minimum=1,
        maximum=86_400,
    ),
    Setting(
        "onShapeChange",
        _RUN.on_shape_change,
        "What a save does that changes what fixes the adapter's weights (base model, rank, kind, target modules).",
        "on_shape_change",
        choices={
            "ask": "say on the changed key that the adapter can't go on, and offer a full retrain",
            "retrain": "begin a full retrain at once",
        },
    ),
    Setting(
        "retrainOnConfig",
        _RUN.retrain_on_config,
        "Whether a save that changes settings alone (such as the learning rate) trains a cycle with them at once. "
        "Otherwise they hold from the next cycle on.",
        "retrain_on_config",
    ),
    Setting(
        "continueWhenIdle",
        _RUN.continue_when_idle,
        "Whether a run that `dlm.maxSteps` ended before all was learned is gone on with, in runs of as many steps, "
        "while nothing is saved. Off, the cap is what a save may cost, and Train Now goes on.",
        "continue_when_idle",
    ),
    Setting(
        "home",
        "",
        "The folder that holds what has been learned. Empty: the environment variable DLM_HOME, or ~/.dlm.",
        "home",
        scope="machine-overridable",
    ),
    Setting(
        "keepWarmMinutes",
        float(_RUN.keep_warm_minutes),
        "How long the model stays in memory after its last use, in minutes. 0: not at all.",
        "keep_warm_minutes",
        minimum=0,
        maximum=10_080,
    ),
    Setting(
        "warmOnOpen",
        _RUN.warm_on_open,
        "Whether opening a document loads its model in the background, so that the first save is as quick as the "
        "next. Nothing is downloaded, trained or written by it.",
        "warm_on_open",
    ),
    Setting(
        "keepVersions",
        _RUN.keep_versions,
        "How many committed versions of an adapter are kept. The current one always is.",
        "keep_versions",
        minimum=1,
        maximum=10_000,
    ),
    Setting(
        "forgettingMargin",
        _RUN.forgetting_margin,
        "From what loss on something learned before counts as forgotten, in nats per token above the loss with which "
        "it was learned; an answer that is not word for word any more does so in any case. After each run a part of "
        "what was learned before is looked at. 0: nothing is. Takes effect with the next run.",
        "forgetting_margin",
        minimum=0,
        maximum=100,
    ),
    Setting(
        "learner",
        _RUN.learner,
        "Where learning happens. Takes effect with the next run.",
        "learner",
        choices={
            "thread": "In the server's own process.",
            "process": "In a process of its own: if it runs out of memory, crashes or hangs, the server goes on and "
            "the next save starts a new one, and an idle one gives all of its memory back.",
        },
    ),
    Setting(
        "hooks",
        _RUN.hooks,
        "Whether the Python code in a document's hooks file (`notes.hooks.py` beside `notes.dlm`) is run while it is "
        "trained. It runs with all rights of the server, in a trusted workspace only; no workspace may switch on its "
        "own code, so this is a setting of the user. Takes effect with the next run; switched off, at once.",
        "hooks",
        scope="machine",
    ),
    Setting(
        "logLevel",
        "info",
        "How much the server writes to its log (standard error). Document text is never logged.",
        None,
        scope="window",
        choices={
            "error": "Failures only.",
            "warning": "Also what needs attention.",
            "info": "Also what was decided, and why.",
            "debug": "Everything.",
        },
        server_field="log_level",
    ),
    Setting(
        "inlayHints",
        "on",
        "Whether a few words at the end of each section's first line, and of each question's, say what is known of it. "
        "Takes effect at once.",
        None,
        choices={"on": "Such as `learned v4 · 0.04`, `changed` or `partly 3/5`.", "off": "No hints of this server."},
        server_field="inlay_hints",
    ),
    Setting(
        "codeLens",
        "document",
        "What the code lenses say. Takes effect at once.",
        None,
        choices={
            "document": "Above the frontmatter: the document's state, and what can be done.",
            "sections": "Also above each of the first 500 sections: its state. For editors without inlay hints.",
            "off": "No lenses of this server.",
        },
        server_field="code_lens",
    ),
)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """All settings in effect, and a sentence for each value that could not be taken."""

    run: RunSettings = _RUN
    log_level: str = "info"
    inlay_hints: str = "on"
    code_lens: str = "document"
    warnings: tuple[str, ...] = ()


def read_settings(given: Any, base: ServerSettings | None = None) -> ServerSettings:
    """The settings that a client gave (the value of its `dlm` section), on top of `base`. Never raises.

    A missing or null value keeps the base's. So does a value of the wrong kind, told in `warnings`.
    Keys of other tools under the same prefix are left alone, but a near miss of one of ours is told.
    """
    base = base or ServerSettings()
    if given is None:
        return replace(base, warnings=())
    if not isinstance(given, Mapping):
        return replace(base, warnings=(f"The settings under `{SECTION}` are not a table; they are ignored.",))
    warnings = []
    taken: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for setting in SETTINGS:
        value = given.get(setting.name)
        if value is None:
            continue
        try:
            read = setting.read(value)
        except ValueError as error:
            warnings.append(f"`{SECTION}.{setting.name}` is {value!r}: {error}. It keeps its value.")
            continue
        if setting.run_field is None:
            own[setting.server_field] = read
        else:
            taken[setting.run_field] = _home(read) if setting.name == "home" else read
    warnings.extend(_misspelled(given))
    return replace(base, run=replace(base.run, **taken), warnings=tuple(warnings), **own)


def _home(value: Value) -> Path | None:
    if not value:
        return None
    path = Path(str(value))
    try:
        path = path.expanduser()
    except RuntimeError:  # `~name` of nobody: a folder of that very name, then
        log.debug("no home directory is known for %s", path)
    return path.absolute()


def _misspelled(given: Mapping[Any, Any]) -> list[str]:
    names = {setting.name.lower(): setting.name for setting in SETTINGS}
    sentences = []
    for key in given:
        if not isinstance(key, str) or key in names.values():
            continue
        near = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.85)
        if near:
            sentences.append(f"`{SECTION}.{key}` is no setting; did you mean `{SECTION}.{names[near[0]]}`?")
    return sentences


def markdown() -> str:
    """The settings page of the documentation, generated from the table."""
    parts = [_PAGE_HEAD]
    for setting in SETTINGS:
        default = "empty" if setting.default == "" else f"`{_json_text(setting.default)}`"
        facts = [setting.type_name, f"default {default}", f"scope {setting.scope}"]
        if setting.minimum is not None:
            facts.append(f"{setting.minimum} to {setting.maximum}")
        parts.append(f"## `{SECTION}.{setting.name}`\n\n{' · '.join(facts)}\n\n{setting.doc}\n")
        if setting.choices:
            parts.append("".join(f"- `{name}`: {doc}\n" for name, doc in setting.choices.items()))
    return "\n".join(parts)


def manifest() -> dict[str, dict[str, Any]]:
    """The settings as an editor's extension declares them, by their full names."""
    declared = {}
    for setting in SETTINGS:
        facts: dict[str, Any] = {"type": setting.type_name, "default": setting.default, "scope": setting.scope}
        if setting.choices:
            facts |= {"enum": list(setting.choices), "enumDescriptions": list(setting.choices.values())}
        bounds = {"minimum": setting.minimum, "maximum": setting.maximum}
        facts |= {name: bound for name, bound in bounds.items() if bound is not None}
        declared[f"{SECTION}.{setting.name}"] = {**facts, "markdownDescription": setting.doc}
    return declared


def _json_text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


_PAGE_HEAD = """\
# Settings

<!-- Generated by scripts/generate_docs.py from dlm_lsp/server/settings.py. -->

The server asks the client for the section `dlm` (`workspace/configuration`) after start and whenever the
client says that its configuration changed. A client that cannot be asked may send the same table with
`workspace/didChangeConfiguration`, and any client as `initializationOptions` (with or without the outer
`dlm`). What is missing or null keeps its default. So does a value of the wrong kind, and the server says so
in its log and in `experimental/serverStatus`.
"""
