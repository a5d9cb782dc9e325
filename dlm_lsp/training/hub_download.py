"""Downloads one model in a process of its own: it can be stopped at once, and costs the server nothing.

Run as a script with one JSON argument: `{"repo", "revision" (or null), "cache"}`. Writes one JSON object a
line: `{"config": PATH}`, `{"done": BYTES, "total": BYTES}` repeatedly, and last either `{"directory": PATH,
"revision": SHA}` or `{"error": KIND, "detail": TEXT}`. It stops when its standard input ends.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

_SMALL = (
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_TICK = 0.2  # seconds between two looks at how much has arrived
_GRACE = 2.0  # seconds that the library has to remove its partial files
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_UNREACHABLE = {
    "LocalEntryNotFoundError",
    "OfflineModeIsEnabled",
    "ConnectionError",
    "TransportError",
    "Timeout",
}


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    size: int
    etag: str | None


class _RefusedError(Exception):
    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class _Reporter:
    """Writes messages to the pipe that was standard output; anything that libraries print goes to stderr."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        os.dup2(2, 1)

    def say(self, **message: Any) -> None:
        with self._lock:
            self._out.write(json.dumps(message) + "\n")
            self._out.flush()


def main() -> int:
    request = json.loads(sys.argv[1])
    reporter = _Reporter()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    done = threading.Event()
    threading.Thread(target=_stop_at_end_of_input, args=(done,), daemon=True).start()
    try:
        directory, revision = _download(request["repo"], request["revision"], Path(request["cache"]), reporter)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        kind, detail = _explain(error)
        done.set()
        reporter.say(error=kind, detail=detail)
        return 1
    done.set()
    reporter.say(directory=str(directory), revision=revision)
    return 0


def _download(repo: str, revision: str | None, cache: Path, reporter: _Reporter) -> tuple[Path, str]:
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi().model_info(repo, revision=revision, files_metadata=True)
    sha = info.sha
    if sha is None:
        raise _RefusedError("failed", "the hub did not say which commit the model is at")
    files = {file.name: file for file in _listed(info)}
    if "config.json" not in files:
        raise _RefusedError("no-config", "")

    def fetch(name: str) -> Path:
        return Path(hf_hub_download(repo, name, revision=sha, cache_dir=cache))

    config = fetch("config.json")
    reporter.say(config=str(config))
    small = [files[name] for name in _SMALL if name in files]
    for file in small:
        fetch(file.name)
    weights = _weights(files, config.parent)
    blobs = cache / f"models--{repo.replace('/', '--')}" / "blobs"
    wanted = (*small, *weights)
    _check_space(cache, wanted, blobs, config.parent)
    done = threading.Event()
    watch = threading.Thread(target=_report_sizes, args=(wanted, blobs, config.parent, reporter, done), daemon=True)
    watch.start()
    try:
        for file in weights:
            fetch(file.name)
    finally:
        done.set()
    watch.join()
    return config.parent, sha


def _listed(info: ModelInfo) -> Iterator[_File]:
    for sibling in info.siblings or ():
        etag = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
        yield _File(sibling.rfilename, (sibling.lfs.size if sibling.lfs else sibling.size) or 0, etag)


def _weights(files: dict[str, _File], snapshot: Path) -> list[_File]:
    """The safetensors files that transformers would load: the single one, else those that the index names."""
    if "model.safetensors" in files:
        return [files["model.safetensors"]]
    if "model.safetensors.index.json" not in files:
        pickled = any(name.endswith((".bin", ".pt", ".pth")) for name in files)
        raise _RefusedError("pickle-only" if pickled else "no-safetensors", "")
    index = json.loads((snapshot / "model.safetensors.index.json").read_text(encoding="utf-8"))
    shards = sorted({str(shard) for shard in index["weight_map"].values()})
    unknown = [shard for shard in shards if shard not in files or not _SHARD.fullmatch(shard)]
    if unknown or not shards:
        raise _RefusedError("no-safetensors", "")
    return [files[shard] for shard in shards]


def _arrived(file: _File, blobs: Path, snapshot: Path) -> int:
    """Bytes of `file` on disk. Where there are no symbolic links, a complete one is only in `snapshot`."""
    complete = (blobs / file.etag if file.etag else None, snapshot / file.name)
    if any(path is not None and path.exists() for path in complete):
        return file.size
    sizes = [0]
    for path in blobs.glob(f"{file.etag}*.incomplete") if file.etag else ():
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        blocks = getattr(status, "st_blocks", None)  # of 512 bytes; a file written out of order may have holes
        sizes.append(status.st_size if blocks is None else min(status.st_size, blocks * 512))
    return min(max(sizes), file.size)


def _report_sizes(
    wanted: tuple[_File, ...], blobs: Path, snapshot: Path, reporter: _Reporter, done: threading.Event
) -> None:
    total = sum(file.size for file in wanted)
    said = -1
    while True:
        last = done.wait(_TICK) if said >= 0 else False
        arrived = sum(_arrived(file, blobs, snapshot) for file in wanted)
        if arrived > said:
            said = arrived
            reporter.say(done=arrived, total=total)
        if last:
            return


def _check_space(cache: Path, wanted: tuple[_File, ...], blobs: Path, snapshot: Path) -> None:
    missing = sum(file.size - _arrived(file, blobs, snapshot) for file in wanted)
    free = shutil.disk_usage(cache).free
    if missing > free:
        raise _RefusedError("disk-full", f"{missing / 1e9:.1f} GB are still to come, {free / 1e9:.1f} GB are free")


def _explain(error: Exception) -> tuple[str, str]:
    """Which kind of failure it is, and one line of detail. By class names: HTTP clients differ."""
    if isinstance(error, _RefusedError):
        return error.kind, str(error)
    names = {cls.__name__ for cls in type(error).__mro__}
    lines = str(error).strip().splitlines()
    detail = f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, OSError) and error.errno in _FULL:
        return "disk-full", "the disk is full"
    for name, kind in (
        ("GatedRepoError", "gated"),
        ("RevisionNotFoundError", "no-revision"),
        ("RepositoryNotFoundError", "not-found"),
    ):
        if name in names:
            return kind, detail
    if status in (401, 403):
        return "not-allowed", detail
    if names & _UNREACHABLE or (isinstance(status, int) and status >= 500):
        return "unreachable", detail
    return "failed", detail


def _stop_at_end_of_input(done: threading.Event) -> None:
    """Whoever started this process stops it by closing its input, on purpose or by dying.

    With `done` it is ending by itself: an interrupt would be a traceback in somebody's log.
    """
    while os.read(0, 1):
        pass
    if done.is_set():
        return
    if hasattr(signal, "pthread_kill"):
        main_thread = threading.main_thread().ident
        if main_thread is not None:
            signal.pthread_kill(main_thread, signal.SIGINT)
            threading.Event().wait(_GRACE)
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
