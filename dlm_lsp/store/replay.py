"""The replay corpus: snapshots of learned sections, as zstd frames of canonical CBOR with an index.

The frames describe themselves, so a lost or wrong index is rebuilt by reading them; bytes that are no frame
(left by a crash in the middle of a write) are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import cbor2
import zstandard
from pydantic import Field, TypeAdapter, ValidationError

from dlm_lsp.store import disk
from dlm_lsp.store.kept import Kept
from dlm_lsp.store.manifest import Moment
from dlm_lsp.store.regular import Signature
from dlm_lsp.store.times import naive

ReplayType = Literal["prose", "instruction", "preference"]

# RFC 8878, "Zstandard Frames" and "Blocks".
_HEADER_BYTES = 18  # the longest header of a frame
_HAS_CHECKSUM = 0b100
_BLOCK_BYTES = 128 * 1024
_REPEATED, _RESERVED = 1, 3

LEVEL = 3
MAGIC = b"\x28\xb5\x2f\xfd"
MAX_FRAME_BYTES = 64 * 1024 * 1024  # unpacked; no section is that large, so a broken frame cannot fill the memory
MAX_UNPACKED_BYTES = 512 * 1024 * 1024  # of a whole corpus; what comes after that is passed over


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A remembered section. Moments are naive UTC."""

    section_id: str
    section_type: ReplayType
    content: str
    first_seen_at: Moment
    last_seen_at: Moment
    training_runs_seen: tuple[int, ...] = ()
    auto_mined: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the index: where a frame lies in the corpus, in bytes."""

    section_id: str
    byte_offset: Annotated[int, Field(ge=0)]
    length: Annotated[int, Field(gt=0)]
    added_at: Moment
    weight: float = 1.0


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """One frame: zstd level 3 with the content's size and no checksum, of a canonical CBOR map."""
    plain = {
        "section_id": snapshot.section_id,
        "section_type": snapshot.section_type,
        "content": snapshot.content,
        "auto_mined": snapshot.auto_mined,
        "first_seen_at": snapshot.first_seen_at.replace(tzinfo=UTC),
        "last_seen_at": snapshot.last_seen_at.replace(tzinfo=UTC),
        "training_runs_seen": list(snapshot.training_runs_seen),
    }
    packed = cbor2.dumps(plain, canonical=True)
    packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False, write_content_size=True)
    return packer.compress(packed)


def decode_snapshot(frame: bytes) -> Snapshot:
    """The snapshot in one frame. Raises ValueError when it is damaged."""
    try:
        packed = zstandard.ZstdDecompressor().decompress(frame, max_output_size=_unpacked_size(frame))
        snapshot = _SNAPSHOT.validate_python(cbor2.loads(packed))
        check_addition(snapshot.section_id, snapshot.section_type)
        return snapshot
    except (zstandard.ZstdError, cbor2.CBORError, ValueError, RecursionError) as error:
        raise ValueError(f"damaged replay frame: {error}") from error


def _unpacked_size(frame: bytes) -> int:
    """The bytes that a frame says it holds, as the format's do. Raises ValueError for none, and for too many."""
    try:
        size = zstandard.frame_content_size(frame)
    except zstandard.ZstdError as error:
        raise ValueError(f"damaged replay frame: {error}") from error
    if not 0 <= size <= MAX_FRAME_BYTES:
        raise ValueError(f"damaged replay frame: its size is {'not given' if size < 0 else 'too large'}")
    return size


@dataclass(frozen=True, slots=True)
class Change:
    """How many sections are `added` and `removed`; the files to be replaced, in this order, once `flushed` are."""

    added: int
    removed: int
    files: dict[Path, bytes] = field(default_factory=dict)
    flushed: list[Path] = field(default_factory=list)


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """As they stand in the index: by section id."""
    return tuple(sorted(entries, key=lambda entry: entry.section_id))


def encode_index(entries: Iterable[Entry]) -> bytes:
    """The index file's bytes: a JSON array sorted by section id, two spaces, a final LF, naive moments."""
    ordered = list(in_order(entries))
    return (json.dumps(_INDEX.dump_python(ordered, mode="json"), sort_keys=True, indent=2) + "\n").encode()


class Replay:
    """The corpus in a folder. Making one touches nothing; only `changing` and `repair` write.

    What did not change since it was read is not read again.
    """

    def __init__(self, folder: Path) -> None:
        self.corpus = folder / "corpus.zst"
        self.index = folder / "index.json"
        self._entries: Kept[tuple[Entry, ...] | None] = Kept()
        self._sound: tuple[Signature | None, Signature | None] | None = None  # when all was found to be so

    def entries(self) -> tuple[Entry, ...] | None:
        """The index as written, empty when there is none; None when it is damaged or not of this corpus."""
        found = disk.facts(self.corpus)
        size = 0 if found is None else found.st_size
        if disk.facts(self.index) is None:
            return () if size == 0 else None
        entries = self._entries.of(self.index, self._read_index)
        if entries is None:
            return None
        fits = all(entry.byte_offset + entry.length <= size for entry in entries)
        fits = fits and sum(entry.length for entry in entries) <= size  # no frame is named twice
        return entries if fits else None

    def _read_index(self) -> tuple[Entry, ...] | None:
        try:
            return tuple(_INDEX.validate_json(disk.read(self.index) or b""))
        except ValidationError:
            return None

    def ids(self) -> frozenset[str]:
        """The section ids that are remembered. Cheap: reads the index only, unless that is damaged."""
        entries = self.entries()
        if entries is None:
            return frozenset(snapshot.section_id for _, _, snapshot in self._scanned())
        return frozenset(entry.section_id for entry in entries)

    def read(self) -> tuple[Snapshot, ...]:
        """Everything remembered, by section id; frames that are damaged or dead are passed over."""
        if (indexed := self._indexed()) is not None:
            return indexed
        newest = {each.section_id: each for _, _, each in self._scanned()}
        return tuple(snapshot for _, snapshot in sorted(newest.items()))

    def some(self, section_ids: Collection[str]) -> tuple[Snapshot, ...]:
        """Those of `section_ids` that are remembered; unpacks only them. None of a corpus with a damaged index."""
        wanted = frozenset(section_ids)
        entries = [entry for entry in self.entries() or () if entry.section_id in wanted]
        data = disk.read(self.corpus) or b"" if entries else b""
        places = ((entry.byte_offset, entry.byte_offset + entry.length) for entry in entries)
        found = _unpacked((start, data[start:end]) for start, end in places)
        return tuple(snapshot for _, _, snapshot in found if snapshot.section_id in wanted)

    def sound(self) -> bool:
        """Whether every entry of the index points at a frame that can be read."""
        state = self._state()
        if state == self._sound:
            return True
        entries = self.entries()
        if entries is None:
            return False
        data = disk.read(self.corpus) or b""
        frames = ((0, data[entry.byte_offset : entry.byte_offset + entry.length]) for entry in entries)
        found = [each.section_id for _, _, each in _unpacked(frames)]
        if found != [entry.section_id for entry in entries]:
            return False
        self._sound = state
        return True

    def _state(self) -> tuple[Signature | None, Signature | None]:
        return disk.signature(self.index), disk.signature(self.corpus)

    def unreadable(self) -> bytes:
        """What of the corpus is no sound frame."""
        data, end, parts = disk.read(self.corpus) or b"", 0, []
        for offset, length, _ in _unpacked(_frames(data)):
            parts.append(data[end:offset])
            end = offset + length
        return b"".join((*parts, data[end:]))

    def _indexed(self) -> tuple[Snapshot, ...] | None:
        """What the index names; None when it is damaged or names something that cannot be read."""
        entries = self.entries()
        if entries is None:
            return None
        data = disk.read(self.corpus) or b""
        places = ((entry.byte_offset, entry.byte_offset + entry.length) for entry in entries)
        found = {each.section_id: each for _, _, each in _unpacked((start, data[start:end]) for start, end in places)}
        return tuple(found.values()) if found.keys() == {entry.section_id for entry in entries} else None

    @contextmanager
    def changing(
        self, remove: Collection[str], additions: Sequence[tuple[str, str, str]], run_id: int, at: float
    ) -> Iterator[Change]:
        """Forgets the sections `remove` (ids) for good and remembers `additions` (id, type, content).

        Inside, the caller writes what the change names. What is done already is passed over.

        Additions are appended, and a crash before the new index leaves dead bytes at the corpus's end beside the old
        one: nothing is lost. When something goes, the corpus is written anew; a crash then leaves the new corpus
        beside the old index, which `repair` sees and sets right. Raises ValueError for what is no section id.
        """
        known = {entry.section_id for entry in self.entries() or ()}
        sound = self.sound() if known.intersection(remove) else self._sound is not None and self._sound == self._state()
        entries = self.entries()
        if entries is None or (known.intersection(remove) and not sound):
            entries, sound = tuple(self.repair()), False
        doomed = set(remove)
        kept = [entry for entry in entries if entry.section_id not in doomed]
        frames = self._frames_of(additions, {entry.section_id for entry in kept}, run_id, at)
        change = Change(len(frames), len(entries) - len(kept))
        if change.added or change.removed:
            now = in_order(self._changed(change, kept, frames, naive(at)))
            change.files[self.index] = encode_index(now)
            yield change
            if (written := disk.signature(self.index)) is not None:
                self._entries.put(self.index, written, now)
                self._sound = self._state() if sound else None
        else:
            yield change

    def _frames_of(
        self, additions: Sequence[tuple[str, str, str]], known: set[str], run_id: int, at: float
    ) -> list[tuple[str, bytes]]:
        moment = naive(at)
        frames: list[tuple[str, bytes]] = []
        for section_id, section_type, content in additions:
            kind = check_addition(section_id, section_type)
            if section_id not in known:
                known.add(section_id)
                snapshot = Snapshot(section_id, kind, content, moment, moment, (run_id,))
                frames.append((section_id, encode_snapshot(snapshot)))
        return frames

    def _changed(
        self, change: Change, kept: list[Entry], frames: list[tuple[str, bytes]], moment: datetime
    ) -> Iterator[Entry]:
        """The new entries; what the corpus is to hold is appended, or is part of the change."""
        more = b"".join(frame for _, frame in frames)
        if change.removed:
            data, place = disk.read(self.corpus) or b"", 0
            parts = [data[entry.byte_offset : entry.byte_offset + entry.length] for entry in kept]
            change.files[self.corpus] = b"".join((*parts, more))
            for entry in kept:
                yield replace(entry, byte_offset=place)
                place += entry.length
        else:
            disk.make_folders(self.corpus.parent)
            place = disk.append(self.corpus, more, durable=False)
            change.flushed.append(self.corpus)
            yield from kept
        for section_id, frame in frames:
            yield Entry(section_id, place, len(frame), moment)
            place += len(frame)

    def repair(self) -> list[Entry]:
        """Makes index and corpus agree again, from the frames themselves. Returns the new entries."""
        found = {
            snapshot.section_id: Entry(
                section_id=snapshot.section_id,
                byte_offset=offset,
                length=length,
                added_at=snapshot.last_seen_at,
            )
            for offset, length, snapshot in self._scanned()
        }
        disk.make_folders(self.index.parent)
        disk.write(self.index, encode_index(list(found.values())))
        return list(found.values())

    def _scanned(self) -> Iterator[tuple[int, int, Snapshot]]:
        """Offset, length and snapshot of every sound frame in the corpus; of two with one id the later counts."""
        return _unpacked(_frames(disk.read(self.corpus) or b""))


def check_addition(section_id: str, section_type: str) -> ReplayType:
    """Raises ValueError unless the format allows to remember such a section."""
    if len(section_id) != 16 or set(section_id) - set("0123456789abcdef"):
        raise ValueError(f"{section_id!r} is no section id (16 lower-case hex digits)")
    if section_type not in get_args(ReplayType):
        raise ValueError(f"sections of type {section_type!r} are not replayed")
    return cast(ReplayType, section_type)


def _unpacked(frames: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, int, Snapshot]]:
    """Offset, length and snapshot of the sound ones among `frames`, until they are more than any corpus holds."""
    left = MAX_UNPACKED_BYTES
    for offset, frame in frames:
        with suppress(ValueError):
            size = _unpacked_size(frame)
            left -= size
            if left >= 0:
                yield offset, len(frame), decode_snapshot(frame)


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every complete zstd frame in `data` with its offset; garbage between them is passed over."""
    offset = data.find(MAGIC)
    ends: dict[int, int | None] = {}
    while offset >= 0:
        end = _frame_end(data, offset, ends)
        if end is None:
            offset = data.find(MAGIC, offset + 1)
        else:
            yield offset, data[offset:end]
            offset = data.find(MAGIC, end)


def _frame_end(data: bytes, offset: int, ends: dict[int, int | None]) -> int | None:
    """Where the frame at `offset` ends by what its headers say, None when it is not whole. Unpacks nothing."""
    try:
        place = offset + zstandard.frame_header_size(data[offset : offset + _HEADER_BYTES])
    except zstandard.ZstdError:
        return None
    end = _blocks_end(data, place, ends)
    if end is not None and data[offset + 4] & _HAS_CHECKSUM:
        end += 4
    return end if end is not None and end <= len(data) else None


def _blocks_end(data: bytes, place: int, ends: dict[int, int | None]) -> int | None:
    """Where the row of blocks that begins at `place` ends.

    `ends` keeps what is known: bytes that can be read as many overlapping rows are walked once.
    """
    walked = []
    end: int | None = None
    while place not in ends:
        walked.append(place)
        header = int.from_bytes(data[place : place + 3], "little")
        kind, size = header >> 1 & 3, header >> 3
        following = place + 3 + (1 if kind == _REPEATED else size)
        if kind == _RESERVED or size > _BLOCK_BYTES or following > len(data):
            break
        if header & 1:  # the last block
            end = following
            break
        place = following
    else:
        end = ends[place]
    ends.update(dict.fromkeys(walked, end))
    return end


_INDEX: TypeAdapter[list[Entry]] = TypeAdapter(list[Entry])
_SNAPSHOT = TypeAdapter(Snapshot)
