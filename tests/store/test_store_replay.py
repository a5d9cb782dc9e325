"""The replay corpus: remembering, forgetting for good, and reading around damage."""

from __future__ import annotations

import json
import os
import struct
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlm_lsp.store import Replay, Snapshot, Store, disk
from dlm_lsp.store.replay import MAGIC, MAX_FRAME_BYTES, Change, decode_snapshot, encode_snapshot
from tests.store.store_helpers import T0, section


def texts(replay: Replay) -> set[str]:
    return {snapshot.content for snapshot in replay.read()}


def add(replay: Replay, additions: Sequence[tuple[str, str, str]], run_id: int, at: float) -> int:
    return written(replay, (), additions, run_id, at).added


def drop(replay: Replay, section_ids: Sequence[str]) -> int:
    return written(replay, section_ids, (), 0, 0.0).removed


def written(
    replay: Replay, remove: Sequence[str], additions: Sequence[tuple[str, str, str]], run_id: int, at: float
) -> Change:
    with replay.changing(remove, additions, run_id, at) as change:
        if change.files:
            disk.write_all(change.files, flushed=change.flushed)
        return change


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    made = Replay(tmp_path / "replay")
    add(made, [(section(i), "instruction", f"secret {i} " * 50) for i in range(3)], 7, T0)
    return made


def test_adding_twice_remembers_once(replay: Replay) -> None:
    size = replay.corpus.stat().st_size
    assert add(replay, [(section(1), "instruction", "secret 1 " * 50)], 8, T0 + 9) == 0
    assert replay.corpus.stat().st_size == size
    assert len(replay.read()) == 3
    assert replay.read()[0].training_runs_seen == (7,)


def test_dropping_removes_the_text_from_the_disk(replay: Replay) -> None:
    kept = replay.corpus.read_bytes()
    assert drop(replay, [section(1), "ffffffffffffffff"]) == 1
    assert replay.ids() == {section(0), section(2)}
    assert texts(replay) == {"secret 0 " * 50, "secret 2 " * 50}
    assert len(replay.corpus.read_bytes()) < len(kept)
    assert replay.sound()


def test_dead_bytes_at_the_tail_do_no_harm(replay: Replay) -> None:
    with replay.corpus.open("ab") as corpus:
        corpus.write(replay.corpus.read_bytes()[:40])
    assert replay.sound()
    add(replay, [(section(9), "prose", "nine")], 8, T0)
    assert texts(replay) == {"nine", *(f"secret {i} " * 50 for i in range(3))}


def test_a_crash_between_corpus_and_index_is_seen_and_repaired(replay: Replay) -> None:
    old_index = replay.index.read_bytes()
    drop(replay, [section(0)])
    replay.index.write_bytes(old_index)
    assert not replay.sound()
    assert replay.ids() == {section(1), section(2)}
    assert texts(replay) == {"secret 1 " * 50, "secret 2 " * 50}
    replay.repair()
    assert replay.sound()
    entries = json.loads(replay.index.read_text())
    assert [entry["added_at"] for entry in entries] == ["2026-02-02T02:40:00"] * 2


@pytest.mark.parametrize("index", [b"", b"{}", b"[1]", b'[{"section_id": "x"}]', None])
def test_a_lost_index_is_rebuilt_from_the_frames(replay: Replay, index: bytes | None) -> None:
    if index is None:
        replay.index.unlink()
    else:
        replay.index.write_bytes(index)
    assert len(replay.read()) == 3
    add(replay, [(section(4), "prose", "four")], 8, T0)
    assert len(replay.read()) == 4
    assert replay.sound()


def test_one_corrupt_frame_costs_one_section(replay: Replay) -> None:
    entry = json.loads(replay.index.read_text())[1]
    data = bytearray(replay.corpus.read_bytes())
    middle = entry["byte_offset"] + entry["length"] // 2
    data[middle : middle + 8] = os.urandom(8)
    replay.corpus.write_bytes(data)
    left = {snapshot.section_id for snapshot in replay.read()}
    assert {section(0), section(1), section(2)} - {entry["section_id"]} <= left


def test_a_frame_that_claims_to_be_huge_is_refused_before_it_is_unpacked() -> None:
    frame = b"\x28\xb5\x2f\xfd" + b"\xe0" + struct.pack("<Q", MAX_FRAME_BYTES + 1) + b"\x01\x00\x00"
    with pytest.raises(ValueError, match="too large"):
        decode_snapshot(frame)


def test_a_failed_append_leaves_the_corpus_as_it_was(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    before = replay.corpus.read_bytes()

    def full(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "_write", full)
    with pytest.raises(OSError, match="No space"):
        add(replay, [(section(8), "prose", "eight")], 8, T0)
    assert replay.corpus.read_bytes() == before


@settings(max_examples=60, deadline=None)
@given(noise=st.binary(max_size=200), cut=st.integers(0, 400), index=st.booleans())
def test_whatever_the_corpus_holds_reading_never_raises(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, cut: int, index: bool
) -> None:
    replay = Replay(tmp_path_factory.mktemp("noise"))
    add(replay, [(section(i), "prose", f"text {i}") for i in range(2)], 1, T0)
    data = replay.corpus.read_bytes()
    replay.corpus.write_bytes(data[:cut] + noise + data[cut:])
    if not index:
        replay.index.unlink()
    assert texts(replay) <= {"text 0", "text 1"}
    add(replay, [(section(5), "prose", "text 5")], 1, T0)
    assert "text 5" in texts(replay)


def test_a_snapshot_survives_its_frame(replay: Replay) -> None:
    for snapshot in replay.read():
        assert decode_snapshot(encode_snapshot(snapshot)) == snapshot


def test_frames_that_would_fill_the_memory_are_passed_over(store: Store) -> None:
    """Four bytes of a frame can stand for 128 KiB of text: 64 kB for two gigabytes."""
    block = (128 * 1024 << 3 | 2).to_bytes(3, "little") + b"x"
    silent = MAGIC + b"\x00\x58" + block * 16_000
    told = MAGIC + b"\xa0" + (2**31 - 1).to_bytes(4, "little") + block * 16_000
    layout = store.layout
    layout.replay.mkdir(parents=True)
    for bomb in (silent, silent + b"\x01\x00\x00", told + b"\x01\x00\x00"):
        (layout.replay / "corpus.zst").write_bytes(bomb)
        tracemalloc.start()
        try:
            assert store.replay().read() == ()
            assert store.replay().ids() == frozenset()
            assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
        finally:
            tracemalloc.stop()


def test_a_corpus_that_was_found_sound_is_not_unpacked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Replay(tmp_path)
    ids = [f"{number:016x}" for number in range(1, 4)]
    add(memory, [(each, "prose", f"text {each}") for each in ids[:2]], 1, T0)
    assert memory.sound()
    unpacked = []

    def counted(frame: bytes) -> Snapshot:
        unpacked.append(decode_snapshot(frame))
        return unpacked[-1]

    monkeypatch.setattr("dlm_lsp.store.replay.decode_snapshot", counted)
    add(memory, [(ids[2], "prose", "new")], 2, T0)
    drop(memory, ids[:1])
    assert memory.sound()
    assert unpacked == [], "what this process has added to it is sound, too"
    assert Replay(tmp_path).sound()
    assert [each.section_id for each in unpacked] == ids[1:]
    corpus = tmp_path / "corpus.zst"
    corpus.write_bytes(corpus.read_bytes()[:-2] + b"\0\0")
    os.utime(corpus, (T0, T0))
    assert not memory.sound(), "a corpus that changed is looked at"
