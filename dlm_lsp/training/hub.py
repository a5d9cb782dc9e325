"""Models of the Hugging Face hub: what the local cache holds, and downloads into it that can be stopped.

The cache is the one that all tools on `huggingface_hub` share, laid out as its guide to the cache system says
(`models--ORG--NAME/{refs,snapshots,blobs}`), in the directory that HF_HUB_CACHE, HF_HOME or XDG_CACHE_HOME
names. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean here what they mean there.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dlm_lsp.training import hub_download
from dlm_lsp.training.protocol import LearnerError, LearningCancelled

Progress = Callable[[str, float | None], None]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPO = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
_POLL = 0.1  # seconds between two looks at whether a stop was asked for
_MOST_CACHED = 500  # names in the cache that are looked at
_GRACE = 3.0  # seconds that a stopped download has to clean up


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of one commit of a model, on disk."""

    directory: Path
    revision: str


def is_commit(revision: str | None) -> bool:
    """Whether `revision` is a full commit hash, the only thing that pins a model."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def is_repo(name: str) -> bool:
    """Whether `name` has the form ORG/NAME of a model on the hub."""
    return _REPO.fullmatch(name) is not None and len(name) <= 96


def endpoint() -> str:
    """The hub's address, without a slash at its end."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def offline() -> bool:
    """Whether the author has forbidden the network to the hub's tools."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in names)


def cache_directory() -> Path:
    """Where the hub's tools keep their models."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or Path(home) / "hub"
    return Path(os.path.expandvars(cache)).expanduser().absolute()


def cached(repo: str, revision: str | None) -> Snapshot | None:
    """The snapshot of `repo` at `revision` (None: the newest one seen) in the cache. It may be incomplete."""
    folder = cache_directory() / f"models--{repo.replace('/', '--')}"
    if revision is None:
        revision = _newest(folder)
    if revision is None or not is_commit(revision):
        return None
    directory = folder / "snapshots" / revision
    return Snapshot(directory, revision) if directory.is_dir() else None


def cached_repos() -> tuple[str, ...]:
    """The models that the cache has a folder of, by name; none when there is no cache."""
    try:
        with os.scandir(cache_directory()) as entries:
            names = [entry.name for entry in itertools.islice(entries, _MOST_CACHED)]
    except OSError:
        return ()
    found = (name.removeprefix("models--").replace("--", "/", 1) for name in names if name.startswith("models--"))
    return tuple(sorted(filter(is_repo, found)))


def download(
    repo: str,
    revision: str | None,
    *,
    check: Callable[[Path], object],
    progress: Progress,
    stop: Callable[[], bool],
) -> Snapshot:
    """Downloads configuration, tokenizer and safetensors of `repo` (None: its newest commit) into the cache.

    `check` gets the directory as soon as config.json is there, and may raise to refuse the model before its
    weights come. Raises LearnerError (`base-offline`, `base-not-found`, `base-gated`, `base-disk-full`, …) or
    LearningCancelled within a second or two of `stop`.
    """
    progress(f"{repo} (asking the hub)", None)
    with _Process({"repo": repo, "revision": revision, "cache": str(cache_directory())}) as process:
        while True:
            if stop():
                raise LearningCancelled
            message = process.next_message(_POLL)
            if message is None:
                continue
            if "config" in message:
                check(Path(message["config"]).parent)
            elif "total" in message:
                done, total = message["done"], message["total"]
                progress(f"{repo}: {_megabytes(done)} of {_megabytes(total)} MB", done / total if total else None)
            elif "directory" in message:
                return Snapshot(Path(message["directory"]), message["revision"])
            else:
                raise _failure(repo, revision, message["error"], message["detail"])


def offline_error(repo: str, detail: str) -> LearnerError:
    """What is said when a model is neither in the cache nor to be had. `detail` says why not."""
    return _error(
        "base-offline",
        f"{repo} is not in the local cache and cannot be downloaded: {detail}. Connect once and save again,"
        " or name a local directory, or builtin:tiny, as base_model.",
    )


def _newest(folder: Path) -> str | None:
    """The commit that `main` was last seen at, else the only one there is."""
    try:
        return (folder / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        snapshots = [path.name for path in folder.glob("snapshots/*") if is_commit(path.name)]
        return snapshots[0] if len(snapshots) == 1 else None


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f}" if count >= 10_000_000 else f"{count / 1e6:.1f}"


class _Process:
    """The downloading process, stopped and waited for on every way out."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        environment = os.environ | {
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_VERBOSITY": "error",
        }
        # -P keeps this package's directory out of the path, a session of its own a terminal's Ctrl-C from it.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-X", "utf8", hub_download.__file__, json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input = self._process.stdin
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._input.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_GRACE)

    def next_message(self, timeout: float) -> dict[str, Any] | None:
        """The next message, None when there is none within `timeout` seconds."""
        try:
            return self._messages.get(timeout=timeout)
        except queue.Empty:
            return None

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                with contextlib.suppress(ValueError):  # a line cut short by the end of its process
                    self._messages.put(json.loads(line))
        self._messages.put({"error": "failed", "detail": "the downloading process ended before it was done"})


def _failure(repo: str, revision: str | None, kind: str, detail: str) -> LearnerError:
    page = f"{endpoint()}/{repo}"
    token = "log in with `hf auth login` (or set HF_TOKEN)"
    if kind == "unreachable":
        return offline_error(repo, f"the hub at {endpoint()} cannot be reached ({detail})")
    messages = {
        "gated": (
            "base-gated",
            f"{repo} is gated: accept its licence at {page}, then {token}, and save again.",
        ),
        "not-allowed": (
            "base-not-allowed",
            f"The hub refuses access to {repo} ({detail}). Check the token: {token}.",
        ),
        "not-found": (
            "base-not-found",
            f"The hub at {endpoint()} has no model {repo} that you can see. Check the spelling;"
            f" if it is private, {token}.",
        ),
        "no-revision": (
            "base-not-found",
            f"The hub has {repo}, but not its commit {revision}. Choose another base, or a local copy.",
        ),
        "no-config": (
            "base-no-config",
            f"{repo} has no config.json: it is not a model that transformers can load.",
        ),
        "no-safetensors": ("base-no-safetensors", f"{repo} has no weights in the safetensors format."),
        "pickle-only": (
            "base-no-safetensors",
            f"{repo} has its weights only as pickle files (.bin), which can run code when they are read and"
            " are never downloaded here. Choose a base with safetensors.",
        ),
        "disk-full": (
            "base-disk-full",
            f"There is no room for {repo} in {cache_directory()}: {detail}. Free some, or set HF_HUB_CACHE to"
            " a directory on another disk.",
        ),
    }
    code, message = messages.get(kind, ("base-download-failed", f"The download of {repo} failed: {detail}."))
    return _error(code, message)


def _error(code: str, message: str) -> LearnerError:
    return LearnerError(message, code=code, key="base_model")
