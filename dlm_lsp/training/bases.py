"""Which model a document's `base_model` names, what is known of it, and where its files are. No torch."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from dlm_lsp.training import hub
from dlm_lsp.training.base_files import (
    INCOMPLETE,
    BaseFiles,
    check_config,
    content_revision,
    read_base,
    read_config,
)
from dlm_lsp.training.protocol import BaseRequest, LearnerError

Modality = Literal["text", "text-moe", "vision-language", "audio-language"]

BUILTIN = "builtin:tiny"
_BUILTIN_LICENSE = "MIT AND PSF-2.0"  # ours, and that of the documentation it was trained on
_PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """A base that has a short name. `parameters` is rounded; `context_length` is in tokens, as trained."""

    key: str
    hf_id: str
    revision: str
    architecture: str
    parameters: int
    context_length: int
    license: str
    license_url: str
    gated: bool
    modality: Modality


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What can be said of a base without network or torch. `obstacle` says why it can't be trained."""

    reference: str
    hf_id: str
    parameters: int | None = None
    context_length: int | None = None
    license: str | None = None
    license_url: str | None = None
    gated: bool = False
    modality: Modality = "text"
    architecture: str | None = None
    revision: str | None = None
    directory: Path | None = None  # where its files are, None when they are not on this machine
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class ResolvedBase:
    """A base whose files are on this machine, checked to be complete and trainable.

    `hf_id` is what an adapter's `base_model_name_or_path` must be. `revision` is a commit on the hub, or for
    a directory and the builtin base 40 hex digits that follow from their content: to be recorded, and given
    back in `BaseRequest.revision`, so that the base stays the same. `parameters` counts the numbers in the
    weight files. `context_length`: in tokens.
    """

    reference: str
    hf_id: str
    directory: Path
    revision: str
    architecture: str
    parameters: int
    context_length: int | None = None
    license: str | None = None
    license_url: str | None = None
    gated: bool = False


@dataclass(frozen=True, slots=True)
class _Directory:
    """A base in a directory: the author's, or the builtin one."""

    directory: Path
    hf_id: str
    name: str  # in messages
    license: str | None = None


@dataclass(frozen=True, slots=True)
class _Remote:
    """A base on the hub; `entry` when it was named by its registry key."""

    hf_id: str
    entry: RegistryEntry | None


@cache
def registry() -> Mapping[str, RegistryEntry]:
    """Every base with a short name, by that name."""
    data = json.loads((_PACKAGE / "registry.json").read_text(encoding="utf-8"))
    return MappingProxyType({key: RegistryEntry(key=key, **facts) for key, facts in data.items()})


def resolve(
    request: BaseRequest, progress: Callable[[str, float | None], None], stop: Callable[[], bool]
) -> ResolvedBase:
    """Finds the base that `request` names, downloading it when it is not on this machine.

    A base on the hub is pinned: to `request.revision` when there is one, else to the registry's commit, else
    to the commit that is newest now. A pinned base in the cache makes no request. `progress` gets a text and
    the fraction that has arrived (None: not known yet); `stop` is polled ten times a second.

    Raises LearnerError with `key` "base_model" (codes and remedies: docs/bases.md), LearningCancelled.
    """
    found = _locate(request.reference, Path(request.document_dir))
    if isinstance(found, _Directory):
        files = read_base(found.directory, found.name)
        return ResolvedBase(
            reference=request.reference,
            hf_id=found.hf_id,
            directory=files.directory,
            revision=content_revision(files.directory),
            architecture=files.architecture,
            parameters=files.parameters,
            context_length=files.context_length,
            license=found.license,
        )
    entry = found.entry
    files, revision = _fetch(found, request.revision, progress, stop)
    return ResolvedBase(
        reference=request.reference,
        hf_id=found.hf_id,
        directory=files.directory,
        revision=revision,
        architecture=files.architecture,
        parameters=files.parameters,
        context_length=entry.context_length if entry else files.context_length,
        license=entry.license if entry else None,
        license_url=entry.license_url if entry else None,
        gated=entry.gated if entry else False,
    )


def known_revision(request: BaseRequest) -> str | None:
    """The revision that `resolve` would come to; None when it names no base, or the hub has to be asked.

    Reads samples of a directory's files (milliseconds at any size).
    """
    try:
        found = _locate(request.reference, Path(request.document_dir))
        if isinstance(found, _Directory):
            return content_revision(found.directory)
    except (LearnerError, OSError):
        return None
    if hub.is_commit(request.revision):
        return request.revision
    return found.entry.revision if found.entry else None


def check_reference(reference: str, document_dir: str | Path) -> LearnerError | None:
    """What `resolve` would refuse before it asks the hub, such as a misspelt key; None when nothing."""
    try:
        found = _locate(reference, Path(document_dir))
        if isinstance(found, _Directory):
            read_base(found.directory, found.name)
    except LearnerError as error:
        return error
    return None


def base_facts(reference: str, document_dir: str | Path | None = ".") -> BaseFacts | None:
    """What is known of a base without network or torch; None when `reference` names none.

    Without `document_dir` no directory that the document names is looked at.
    """
    try:
        found = _locate(reference, None if document_dir is None else Path(document_dir), trainable_only=False)
    except LearnerError:
        return None
    if isinstance(found, _Directory):
        directory: Path | None = found.directory
        facts = BaseFacts(reference, found.hf_id, license=found.license, directory=directory)
    elif found.entry is not None:
        return _registry_facts(reference, found.entry)
    else:
        snapshot = hub.cached(found.hf_id, None)
        directory = snapshot.directory if snapshot else None
        revision = snapshot.revision if snapshot else None
        facts = BaseFacts(reference, found.hf_id, revision=revision, directory=directory)
    return _with_files(facts) if directory else facts


def cached_bases() -> tuple[BaseFacts, ...]:
    """Every model in the hub's cache that is complete and can be trained: under its key if the commit is that of the
    registry, else as `hf:ORG/NAME`. Reads many small files.
    """
    keys = {entry.hf_id: key for key, entry in registry().items() if hub.cached(entry.hf_id, entry.revision)}
    found = []
    for repo in hub.cached_repos():
        facts = base_facts(f"hf:{repo}", None)
        if facts is not None and facts.directory is not None and facts.obstacle is None:
            found.append(replace(facts, reference=keys.get(repo, facts.reference)))
    return tuple(found)


def _registry_facts(reference: str, entry: RegistryEntry) -> BaseFacts:
    snapshot = hub.cached(entry.hf_id, entry.revision)
    refusal = _untrainable(entry)
    return BaseFacts(
        reference=reference,
        hf_id=entry.hf_id,
        parameters=entry.parameters,
        context_length=entry.context_length,
        license=entry.license,
        license_url=entry.license_url,
        gated=entry.gated,
        modality=entry.modality,
        architecture=entry.architecture,
        revision=entry.revision,
        directory=snapshot.directory if snapshot else None,
        obstacle=str(refusal) if refusal else None,
    )


def _with_files(facts: BaseFacts) -> BaseFacts:
    """`facts` with what its files say, or why they can't be trained."""
    assert facts.directory is not None
    try:
        files = read_base(facts.directory, facts.hf_id)
    except LearnerError as error:
        return replace(facts, obstacle=str(error))
    return replace(
        facts,
        parameters=files.parameters,
        context_length=files.context_length,
        architecture=files.architecture,
    )


def _fetch(
    found: _Remote, recorded: str | None, progress: hub.Progress, stop: Callable[[], bool]
) -> tuple[BaseFiles, str]:
    """The files of a model of the hub and their commit: from the cache if it can be, else from the hub."""
    name = found.hf_id
    pinned = recorded if hub.is_commit(recorded) else found.entry.revision if found.entry else None
    if pinned is not None and (files := _cached(name, pinned)):
        return files, pinned
    try:
        if hub.offline():
            raise hub.offline_error(name, "HF_HUB_OFFLINE is set")
        snapshot = hub.download(
            name,
            pinned,
            check=lambda directory: check_config(read_config(directory, name), name),
            progress=progress,
            stop=stop,
        )
    except LearnerError as error:
        # Not pinned yet, and no answer from the hub: the newest commit that is here is the one to pin.
        newest = hub.cached(name, None) if pinned is None and error.code == "base-offline" else None
        if newest and (files := _cached(name, newest.revision)):
            return files, newest.revision
        raise
    return read_base(snapshot.directory, name), snapshot.revision


def _cached(repo: str, revision: str) -> BaseFiles | None:
    """The complete base at `revision` in the cache. Raises LearnerError when it is not trainable."""
    snapshot = hub.cached(repo, revision)
    if snapshot is None:
        return None
    try:
        return read_base(snapshot.directory, repo)
    except LearnerError as error:
        if error.code in INCOMPLETE:
            return None
        raise


def _locate(reference: str, document_dir: Path | None, *, trainable_only: bool = True) -> _Directory | _Remote:
    """What `reference` names, by its form. A bare ORG/NAME is refused: only `hf:` may lead to a request."""
    scheme, colon, rest = reference.partition(":")
    if scheme == "builtin" and colon:
        directory = _PACKAGE / "builtin" / rest
        if reference == BUILTIN:
            return _Directory(directory, BUILTIN, "The builtin base", _BUILTIN_LICENSE)
        raise _unknown(f"There is no base {reference}: the only builtin base is {BUILTIN}.", (BUILTIN,))
    if scheme == "hf" and colon:
        if hub.is_repo(rest):
            return _Remote(rest, None)
        message = f"{reference} is not of the form hf:ORG/NAME, such as hf:HuggingFaceTB/SmolLM2-135M-Instruct."
        raise _unknown(message, _nearest(rest))
    if reference in registry():
        entry = registry()[reference]
        if trainable_only and (refusal := _untrainable(entry)):
            raise refusal
        return _Remote(entry.hf_id, entry)
    if document_dir is None:
        raise _not_known(reference)
    return _locate_directory(reference, document_dir)


def _locate_directory(reference: str, document_dir: Path) -> _Directory:
    try:
        directory = (document_dir / Path(reference).expanduser()).resolve()
        if directory.is_dir():
            return _Directory(directory, str(directory), f"The directory {reference}")
        is_file = directory.exists()
    except (OSError, ValueError, RuntimeError):  # a name too long, a NUL, a home that cannot be found
        raise _not_known(reference) from None
    if is_file:
        raise _unknown(
            f"{reference} is a file: base_model must name a directory with config.json, model.safetensors and"
            " tokenizer.json."
        )
    if reference.startswith((".", "/", "~", "\\")) or Path(reference).is_absolute():
        raise _unknown(f"There is no directory {reference} (relative paths begin at the document's directory).")
    raise _not_known(reference)


def _not_known(reference: str) -> LearnerError:
    """What to say of a name that is neither a key nor a directory: the likeliest right one."""
    if hub.is_repo(reference):
        key = next((entry.key for entry in registry().values() if entry.hf_id.lower() == reference.lower()), None)
        near = () if key else _nearest(reference)
        pinned = f" or its key {key}" if key else f" or the known {_either(near)}" if near else ""
        return _unknown(
            f"Unknown base model {reference}: it is not a directory beside the document. To use the model of the hub,"
            f" write hf:{reference}{pinned} as base_model.",
            (*((key,) if key else near), f"hf:{reference}"),
        )
    near = _nearest(reference)
    suggestion = f"Did you mean {_either(near)}?" if near else f"Such as: {BUILTIN}, smollm2-135m, qwen2.5-0.5b."
    return _unknown(
        f"Unknown base model {reference}: it is neither a known base nor a directory beside the document. {suggestion}"
        " A model of the hub is written hf:ORG/NAME.",
        near,
    )


def _nearest(name: str) -> tuple[str, ...]:
    """The keys of the bases whose key, model of the hub or its name without the organisation are most like `name`."""
    wanted = name.lower()
    if len(wanted) > 96:
        return ()
    known = {BUILTIN: BUILTIN}
    for key, entry in registry().items():
        known |= {entry.hf_id.lower(): key, entry.hf_id.lower().rpartition("/")[2]: key}
    known |= {key: key for key in registry()}
    cutoff = 0.8 if "/" in wanted else 0.55  # a whole name of the hub is long, and much of it is alike
    near = difflib.get_close_matches(wanted, known, n=6, cutoff=cutoff)
    return tuple(dict.fromkeys(known[each] for each in near))[:3]


def _either(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _untrainable(entry: RegistryEntry) -> LearnerError | None:
    if entry.modality in ("text", "text-moe"):
        return None
    kind = "vision" if entry.modality == "vision-language" else "audio"
    return LearnerError(
        f"{entry.key} is a {kind}-language base, which cannot be trained on save: only text is learned here."
        " Choose a text base, such as qwen2.5-1.5b.",
        code="base-not-text",
        key="base_model",
    )


def _unknown(message: str, suggestions: tuple[str, ...] = ()) -> LearnerError:
    return LearnerError(message, code="base-unknown", key="base_model", suggestions=suggestions)
