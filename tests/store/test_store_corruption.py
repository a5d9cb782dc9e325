"""Every file of a store, spoilt in every way in which power cuts and people spoil files: rebuilt, or set aside."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import cbor2
import pytest
import zstandard

from dlm_lsp.store import Store
from dlm_lsp.store.replay import Replay
from tests.store.store_helpers import assert_sound, held, run, section
from tests.store.test_store_recovery import recovered

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda data: data[: len(data) * 2 // 3],
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "ends in zeros": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "garbage": lambda data: b"\x00" + Random(7).randbytes(max(len(data) - 1, 63)),
}

# What recovery says of a damaged file; None: nothing depends on its content, so there is nothing to say.
FILES: dict[str, str | None] = {
    "manifest.json": "is damaged",
    "adapter/current.txt": "names no version: version 3 is current now",
    "adapter/versions/v0003/adapter_model.safetensors": "the current version 3 cannot be used",
    "adapter/versions/v0003/adapter_config.json": "the current version 3 cannot be used",
    "adapter/versions/v0003/tokenizer.json": "the current version 3 cannot be used",
    "adapter/versions/v0003/training_state.pt": None,
    "adapter/versions/v0003/training_state.pt.sha256": None,
    "replay/corpus.zst": "the replay",
    "replay/index.json": "the replay index does not fit its corpus",
    "dlm.lock": "dlm.lock is damaged",
    "lsp/versions/v0003.json": "the record of version 3 is damaged",
    "lsp/journal.jsonl": "the journal is damaged",
    "lsp/lock": None,
}


@pytest.fixture(autouse=True)
def no_waiting_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def contents(store: Store) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_a_spoilt_file_is_told_kept_and_does_not_stop_training(store: Store, name: str, damage: str) -> None:
    for step in (1, 2, 3):
        run(store, step, full=True)
    path = store.root / name
    before = path.read_bytes()
    spoilt = DAMAGE[damage](before)
    path.write_bytes(spoilt)
    said = recovered(Store(store.root.parent.parent, store.dlm_id))
    expected = FILES[name]
    if spoilt == before or (name == "lsp/journal.jsonl" and damage in ("cut off", "empty")):
        expected = None  # a line that a crash cut off is passed over; a journal that is gone begins anew
    if name == "replay/corpus.zst" and damage == "cut off":
        expected = "the replay index does not fit its corpus"
    assert any(expected in sentence for sentence in said) if expected else said == ()
    if spoilt and expected and name not in ("adapter/current.txt", "replay/corpus.zst"):
        kept = contents(store)
        assert any(data == spoilt and ".damaged-" in str(where) for where, data in kept.items()), "never deleted"
    current = store.current()
    assert current is not None
    assert current.number == (2 if "the current version 3" in (expected or "") else 3)
    number = run(store, 4).number
    assert number == 4
    assert assert_sound(store) == 4
    assert store.inspect().leftovers == ()


def bad_cbor(store: Store) -> bytes:
    """The corpus with a frame in the middle that unpacks well, and is no CBOR."""
    replay = Replay(store.layout.replay)
    first = min(replay.entries() or (), key=lambda entry: entry.byte_offset)
    data = replay.corpus.read_bytes()
    frame = zstandard.ZstdCompressor(level=3).compress(Random(1).randbytes(first.length - 9))
    assert len(frame) == first.length
    return frame + data[first.length :]


def test_a_frame_that_is_no_cbor_is_kept_aside_and_the_others_stay(store: Store) -> None:
    run(store, 1)
    corpus = store.layout.replay / "corpus.zst"
    spoilt = bad_cbor(store)
    corpus.write_bytes(spoilt)
    (said,) = recovered(store)
    assert "the replay corpus is damaged: rebuilt with 1 section(s), the rest is kept as corpus.zst.damaged-" in said
    (aside,) = store.layout.replay.glob("corpus.zst.damaged-*")
    assert spoilt.startswith(aside.read_bytes())
    assert len(store.replay().read()) == 1
    assert Replay(store.layout.replay).sound()


def test_a_frame_of_another_shape_is_damage_too(store: Store) -> None:
    run(store, 1)
    replay = Replay(store.layout.replay)
    last = max(replay.entries() or (), key=lambda entry: entry.byte_offset)
    odd = zstandard.ZstdCompressor(level=3).compress(cbor2.dumps({"section_id": 5}))
    data = replay.corpus.read_bytes()[: last.byte_offset] + odd.ljust(last.length, b"\0")
    replay.corpus.write_bytes(data)
    (said,) = recovered(store)
    assert "the replay corpus is damaged" in said
    assert run(store, 2).number == 2
    assert assert_sound(store) == 2, "what the document still holds is remembered again"


def test_everything_spoilt_at_once_loses_the_least(store: Store) -> None:
    """A power cut in a bad moment: zeros in all that was written last."""
    for step in (1, 2, 3):
        run(store, step)
    for name in FILES:
        path = store.root / name
        if path.exists():
            path.write_bytes(bytes(path.stat().st_size))
    said = recovered(store)
    assert len(said) >= 6
    current, manifest, ledger = store.current(), store.manifest(), store.ledger()
    assert current is not None
    assert manifest is not None
    assert ledger is not None
    assert (current.number, manifest.adapter_version, ledger.version) == (2, 2, 2)
    assert set(manifest.content_hashes) == {section(1), section(2)}
    assert run(store, 3).number == 4
    assert assert_sound(store) == 3


def test_a_lock_file_of_zeros_is_one_that_a_power_cut_left(store: Store) -> None:
    run(store, 1)
    lock = store.layout.lock
    lock.write_bytes(bytes(40))
    os.utime(lock, (1, 1))
    with held(store) as ours:
        assert "left half-written" in ours.notes[0]
    assert run(store, 2).number == 2
