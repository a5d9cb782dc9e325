"""Adapter versions on disk: the pointer, each version's record of ours, and whether a version is complete."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Literal

from pydantic import TypeAdapter

from dlm_lsp.store import disk
from dlm_lsp.store.errors import StoreError
from dlm_lsp.store.kept import Kept
from dlm_lsp.store.ledger import Ledger
from dlm_lsp.store.manifest import ReadManifest
from dlm_lsp.store.paths import Layout, version_name, version_number
from dlm_lsp.store.times import Seconds

RunKind = Literal["cycle", "full"]

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
TRAINING_STATE = "training_state.pt"
TRAINING_STATE_DIGEST = "training_state.pt.sha256"

_MAX_DIGEST = 1024  # bytes of a file with one
_POINTER = re.compile(r"adapter/versions/(v\d{4,})")


@dataclass(frozen=True, slots=True)
class Version:
    """A committed adapter: its number and its folder. `notes` says what committing it did besides."""

    number: int
    path: Path
    notes: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """How a version came to be. Moments in seconds since the epoch; the loss in nats per trained token.

    `replaced`: the version that was current before it; None for the first, and in records of before 0.2.
    """

    run_id: int
    kind: RunKind
    started_at: Seconds
    ended_at: Seconds
    steps: int
    seed: int
    base_model: str
    base_revision: str | None = None
    final_train_loss: float | None = None
    pinned_versions: Mapping[str, str] = field(default_factory=dict)
    source_path: str | None = None
    summary_path: str | None = None
    replaced: int | None = None


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file's length in bytes and its SHA-256 in hex."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> FileDigest:
        return cls(len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """What we keep about a version of ours in `lsp/versions/vNNNN.json`.

    Because the ledger lies with its version, moving the pointer moves what is said to be known, in one step.
    """

    version: int
    run: RunFacts
    content_hashes: tuple[str, ...]
    files: Mapping[str, FileDigest]
    ledger: Ledger


def encode_record(record: VersionRecord) -> bytes:
    """The record file's bytes: one JSON object."""
    return _RECORD.dump_json(record) + b"\n"


def decode_record(data: bytes) -> VersionRecord:
    """Raises ValueError for what is no record; keys of later releases are passed over."""
    return _RECORD.validate_json(data)


def read_record(layout: Layout, number: int) -> VersionRecord | None:
    """Our record of a version; None when another tool made it, or the record is damaged."""
    data = disk.read(layout.record(number))
    if data is None:
        return None
    try:
        record = decode_record(data)
    except ValueError:
        return None
    return record if record.version == number else None


def numbers(layout: Layout) -> tuple[int, ...]:
    """The numbers of all version folders, ascending, complete or not."""
    found = (version_number(name) for name in disk.names(layout.versions))
    return tuple(sorted(number for number in found if number is not None))


def pointed(layout: Layout) -> int | None:
    """The version number that `current.txt` names, whether or not it is there; None when it names none."""
    text = disk.read_text(layout.current)
    match = _POINTER.fullmatch(text.strip()) if text else None
    return version_number(match[1]) if match else None


def point_at(layout: Layout, number: int) -> None:
    """Makes `number` the current version, atomically and durably."""
    disk.make_folders(layout.adapter)
    disk.write(layout.current, pointer(number))


def pointer(number: int) -> bytes:
    """What `current.txt` says when `number` is current."""
    return f"adapter/versions/{version_name(number)}\n".encode()


def current(layout: Layout) -> Version | None:
    """The version that answers questions, or None while there is none."""
    number = pointed(layout)
    if number is None or not disk.is_folder(layout.version(number)):
        return None
    return Version(number, layout.version(number))


def read_training_state(folder: Path) -> bytes | None:
    """The bytes of a version's `training_state.pt` if its digest file is there and matches, else None."""
    data = disk.read(folder / TRAINING_STATE)
    digest = disk.read(folder / TRAINING_STATE_DIGEST, _MAX_DIGEST)
    if data is None or digest is None or hashlib.sha256(data).hexdigest().encode() != digest.strip():
        return None
    return data


_SEEN_FILES = 256


@dataclass(frozen=True, slots=True)
class Abstract:
    """What is kept of each record: its version's files, and the ids of the sections that it learned."""

    files: Mapping[str, FileDigest]
    sections: frozenset[str]


class Checker:
    """Judges whether versions are complete; what did not change since is not judged, and not read, again.

    `newest` is the record that was read or written last, `manifest` the manifest.
    """

    def __init__(self) -> None:
        self.newest: Kept[VersionRecord | None] = Kept()
        self.manifest: Kept[ReadManifest | None] = Kept()
        self._abstracts: Kept[Abstract | None] = Kept(_SEEN_FILES)
        self._seen: dict[tuple[str, int, int, int], str | None] = {}

    def record(self, layout: Layout, number: int) -> Abstract | None:
        """Of our record of a version; None when another tool made it, or the record is damaged."""
        return self._abstracts.of(layout.record(number), lambda: self._abstract(layout, number))

    def _abstract(self, layout: Layout, number: int) -> Abstract | None:
        record = self.newest.of(layout.record(number), lambda: read_record(layout, number))
        if record is None:
            return None
        # Most sections stand in all records: one object for each.
        return Abstract(record.files, frozenset(map(intern, record.content_hashes)))

    def fault(self, layout: Layout, number: int) -> str | None:
        """Why version `number` cannot be used, such as "adapter_config.json is missing"; None when it can.

        A version of ours must match its record, but for the optimizer's state, which has a digest of its own
        and can be done without. Another tool's must hold an adapter whose weights file is whole.
        """
        folder = layout.version(number)
        if not disk.is_folder(folder):
            return "its folder is missing"
        record = self.record(layout, number)
        expected: Mapping[str, FileDigest | None] = {CONFIG: None, WEIGHTS: None} if record is None else record.files
        for name, digest in expected.items():
            if not name.startswith("training_state."):
                fault = self._file_fault(folder / name, digest)
                if fault is not None:
                    return f"{name} {fault}"
        return None

    def _file_fault(self, path: Path, digest: FileDigest | None) -> str | None:
        found = disk.facts(path)
        if found is None:
            return "is missing"
        if not disk.is_regular(found):
            return "is not a regular file"
        if digest is not None and found.st_size != digest.size:
            return f"has {found.st_size} bytes instead of {digest.size}"
        key = (str(path), found.st_size, found.st_mtime_ns, found.st_ino)
        if key not in self._seen:
            if len(self._seen) >= _SEEN_FILES:
                self._seen.clear()  # most of them were pruned long ago
            self._seen[key] = _content_fault(path.name, disk.read(path) or b"", digest)
        return self._seen[key]


def check_weights(data: bytes) -> None:
    """Raises StoreError unless `data` is a safetensors file whose every number is finite."""
    for name, dtype, raw in _tensors(data):
        if not _all_finite(dtype, raw):
            raise StoreError(
                f"the learned weights are not finite ({name}); the previous version stays. "
                "Lower training.learning_rate, or use training.precision: fp32",
                "weights-not-finite",
            )


def _tensors(data: bytes) -> list[tuple[str, str, bytes]]:
    from safetensors import SafetensorError, deserialize

    try:
        found = deserialize(data)  # type: ignore[no-untyped-call]
        return [(name, str(item["dtype"]), bytes(item["data"])) for name, item in found]
    except SafetensorError as error:
        raise StoreError(f"{WEIGHTS} is no whole safetensors file: {error}", "bad-commit") from error


def _all_finite(dtype: str, raw: bytes) -> bool:
    import numpy  # heavy, and needed at a commit only

    kind, bits = _NOT_FINITE.get(dtype, ("", 0))
    if not kind:  # integers and booleans
        return True
    values = numpy.frombuffer(raw, dtype=kind)
    return not bool(numpy.any((values & values.dtype.type(bits)) == bits))


# A number is infinite or no number when all bits of its exponent are set (in F8_E4M3: of the mantissa too).
_NOT_FINITE = {
    "F64": ("<u8", 0x7FF0000000000000),
    "F32": ("<u4", 0x7F800000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
    "F8_E5M2": ("<u1", 0x7C),
    "F8_E4M3": ("<u1", 0x7F),
}


def _content_fault(name: str, data: bytes, digest: FileDigest | None) -> str | None:
    if digest is not None:
        return None if FileDigest.of(data) == digest else "does not match its digest"
    if name == WEIGHTS:
        try:
            _tensors(data)
        except StoreError:
            return "is no whole safetensors file"
    return None if data else "is empty"


_RECORD = TypeAdapter(VersionRecord)
