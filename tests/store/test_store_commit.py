"""Commits: what they refuse, what they write, and how they get along with what other tools wrote meanwhile."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from dlm_lsp.store import Commit, JournalEntry, Store, StoreError, disk, lines, manifest
from tests.store.store_helpers import DLM_ID, T0, a_commit, assert_sound, held, run, section, weights


def raw_safetensors(dtype: str, item: int, *values: bytes) -> bytes:
    """A safetensors file with one tensor of any dtype, from the raw bytes of its values."""
    data = b"".join(values)
    header = {"w": {"dtype": dtype, "shape": [len(data) // item], "data_offsets": [0, len(data)]}}
    packed = json.dumps(header).encode()
    return struct.pack("<Q", len(packed)) + packed + data


def test_version_manifest_replay_and_ledger_agree(store: Store) -> None:
    for step in (1, 2, 3):
        version = run(store, step)
        assert version.number == step
        assert version.notes == ()
        assert assert_sound(store) == step
    ledger = store.ledger()
    assert ledger is not None
    known = ledger.lessons[f"{3:016x}"]
    assert (known.version, known.times_seen, known.loss_before, known.loss_after) == (3, 3, 2.5, 0.5)
    assert (ledger.base_id, ledger.shape) == ("org/base", "s")
    record = store.record(2)
    assert record is not None
    assert (record.run.kind, record.run.steps, record.run.run_id) == ("cycle", 2, 2)
    assert [entry.version for entry in store.journal() if entry.event == "finished"] == [1, 2, 3]


def test_lessons_of_earlier_versions_keep_their_version(store: Store) -> None:
    run(store, 1)
    first = store.ledger()
    assert first is not None
    second = a_commit(2)
    merged = replace(second.ledger, lessons={**first.lessons, **second.ledger.lessons})
    with held(store) as lock:
        store.commit(lock, replace(second, ledger=merged))
    ledger = store.ledger()
    assert ledger is not None
    assert {known.version for known in ledger.lessons.values()} == {1, 2}


@pytest.mark.parametrize(
    ("dtype", "item", "good", "bad"),
    [
        ("F64", 8, struct.pack("<d", 1e308), struct.pack("<d", float("nan"))),
        ("F32", 4, struct.pack("<f", -3e38), struct.pack("<f", float("-inf"))),
        ("F16", 2, struct.pack("<e", 65504.0), struct.pack("<e", float("inf"))),
        ("BF16", 2, struct.pack("<f", 3e38)[2:], struct.pack("<f", float("nan"))[2:]),
        ("BF16", 2, struct.pack("<f", -1.0)[2:], struct.pack("<f", float("-inf"))[2:]),
    ],
)
def test_weights_that_are_not_finite_change_nothing(
    store: Store, dtype: str, item: int, good: bytes, bad: bytes
) -> None:
    run(store, 1)
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    what = a_commit(2)

    def committing(*values: bytes) -> Commit:
        return replace(what, files={**what.files, "adapter_model.safetensors": raw_safetensors(dtype, item, *values)})

    with held(store) as lock:
        with pytest.raises(StoreError, match="not finite") as caught:
            store.commit(lock, committing(good, bad, good))
        assert caught.value.code == "weights-not-finite"
    assert {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()} == before
    with held(store) as lock:
        assert store.commit(lock, committing(good, good)).number == 2


def with_files(**files: bytes) -> Callable[[Commit], Commit]:
    named = {name.replace("__", "."): data for name, data in files.items()}
    return lambda what: replace(what, files={**what.files, **named})


@pytest.mark.parametrize(
    "spoil",
    [
        with_files(adapter_model__safetensors=b"\x00" * 20),
        with_files(adapter_model__safetensors=weights(1)[:-1]),
        with_files(adapter_config__json=b""),
        with_files(training_run__json=b"{}"),
        lambda what: replace(what, files={**what.files, "../evil": b""}),
        lambda what: replace(what, files={**what.files, ".hidden": b""}),
        lambda what: replace(what, replay_add=[("nothex", "prose", "text")]),
        lambda what: replace(what, replay_add=[(section(1), "image", "text")]),
        lambda what: replace(what, base_model=""),
        lambda what: replace(what, ended_at=float("nan")),
    ],
)
def test_what_is_no_version_is_refused(store: Store, spoil: Callable[[Commit], Commit]) -> None:
    with held(store) as lock:
        with pytest.raises(StoreError) as caught:
            store.commit(lock, spoil(a_commit(1)))
        assert caught.value.code == "bad-commit"
    assert store.current() is None
    assert store.versions() == ()


def test_old_versions_of_ours_are_pruned(store: Store) -> None:
    theirs = store.root / "adapter/versions/v0001"
    theirs.mkdir(parents=True)
    (theirs / "adapter_model.safetensors").write_bytes(weights(9))
    for step in range(1, 7):
        run(store, step, keep=3)
    assert [version.number for version in store.versions()] == [1, 5, 6, 7]
    assert sorted(path.name for path in store.layout.records.iterdir()) == ["v0005.json", "v0006.json", "v0007.json"]
    now = store.manifest()
    assert now is not None
    assert len(now.training_runs) == 6
    run(store, 7, keep=0)
    assert [version.number for version in store.versions()] == [1, 8]


def test_numbers_are_never_used_twice(store: Store) -> None:
    for name in ("v0003-rejected", "v0007.uncommitted-20260101T000000", "other"):
        (store.root / "adapter/versions" / name).mkdir(parents=True)
    assert run(store, 1).number == 8


def test_what_another_tool_writes_into_the_manifest_stays(store: Store) -> None:
    run(store, 1)
    with held(store) as lock:
        store.recover(lock)
        value = json.loads(store.layout.manifest.read_text())
        export = {"exported_at": "2026-02-02T03:00:00", "quant": "Q4_K_M", "target": "ollama", "merged": False}
        licence = {"accepted_at": "2026-02-02T03:00:00", "license_url": "u", "license_spdx": "s", "via": "cli_flag"}
        value |= {"exports": [export], "license_acceptance": licence, "adapter_versions": {"tone": 4}}
        value["training_runs"].append({**value["training_runs"][0], "run_id": 2, "adapter_name": "tone"})
        store.layout.manifest.write_text(json.dumps(value))
        store.commit(lock, a_commit(2, full=True))
    now = store.manifest()
    assert now is not None
    assert list(now.exports) == [export]
    assert now.license_acceptance == licence
    assert now.adapter_versions == {"tone": 4}
    assert [(run.run_id, run.adapter_version) for run in now.training_runs] == [(1, 1), (2, 1), (3, 2)]
    lock_file = store.dlm_lock()
    assert lock_file is not None
    assert lock_file["license_acceptance"] == licence
    assert lock_file["last_run_id"] == 3


def test_a_manifest_with_unknown_keys_is_kept_as_a_copy(store: Store) -> None:
    run(store, 1)
    value = json.loads(store.layout.manifest.read_text())
    value["flavour"] = "new"
    value["training_runs"][0]["mood"] = 3
    store.layout.manifest.write_text(json.dumps(value))
    version = run(store, 2)
    assert any("flavour, training_runs.0.mood" in note for note in version.notes)
    copies = list(store.root.glob("manifest.json.foreign-keys-*"))
    assert [json.loads(copy.read_text()) for copy in copies] == [value]
    assert manifest.decode(store.layout.manifest.read_bytes()).foreign == ()
    assert assert_sound(store) == 2


def test_a_manifest_of_a_newer_dlm_is_not_touched(store: Store) -> None:
    run(store, 1)
    lock = held(store)  # taken before the newer program wrote
    value = json.loads(store.layout.manifest.read_text()) | {"schema_version": 2, "novelty": []}
    store.layout.manifest.write_text(json.dumps(value))
    (store.root / "manifest.json.tmp.999999999.0123abcd").write_text("x")
    with lock:
        before = everything(store)
        for act in (
            store.try_lock,
            store.unlock,
            lambda: store.recover(lock),
            lambda: store.revert(lock),
            lambda: store.commit(lock, a_commit(2)),
            store.inspect,
        ):
            with pytest.raises(StoreError, match="newer dlm") as caught:
                act()
            assert caught.value.code == "manifest-newer"
    before.pop(".lock")
    assert everything(store) == before


def everything(store: Store) -> dict[str, bytes | None]:
    """Every file of the store with its content, every folder by name."""
    paths = store.root.rglob("*")
    return {str(path.relative_to(store.root)): path.read_bytes() if path.is_file() else None for path in paths}


def test_reads_are_cached_until_the_file_changes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run(store, 1)
    other = Store(store.root.parent.parent, DLM_ID)
    reads: list[str] = []
    real = disk.read
    monkeypatch.setattr(disk, "read", lambda path: reads.append(path.name) or real(path))
    for _ in range(5):
        assert store.ledger() == other.ledger()
        assert store.ledger() is not None
        assert store.manifest() == other.manifest()
        assert store.manifest() is not None
    assert reads.count("v0001.json") == 1, "by the one that has not written it"
    assert reads.count("manifest.json") == 1
    run(other, 2)
    ledger = store.ledger()
    assert ledger is not None
    assert ledger.version == 2


def test_many_weights_are_committed_as_given(store: Store) -> None:
    given = save({f"layer.{i}": np.arange(12, dtype=np.float32).reshape(3, 4) for i in range(20)})
    with held(store) as lock:
        what = a_commit(1)
        version = store.commit(lock, replace(what, files={**what.files, "adapter_model.safetensors": given}))
    assert (version.path / "adapter_model.safetensors").read_bytes() == given


def test_the_journal_is_bounded_and_survives_torn_lines(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.note(JournalEntry("started", T0))
    assert not store.exists(), "without a store there is nothing to note"
    run(store, 1)
    with store.layout.journal.open("ab") as file:
        file.write(b'{"event": "sta')
    store.note(JournalEntry("cancelled", T0, kind="cycle", run=2, steps=5))
    assert [entry.event for entry in store.journal()] == ["finished", "cancelled"]
    monkeypatch.setattr(lines, "MAX_BYTES", 4096)
    for number in range(200):
        store.note(JournalEntry("failed", T0 + number, detail="x" * 40))
    assert store.layout.journal.stat().st_size <= 4096
    assert store.journal()[-1].at == T0 + 199


def test_a_relative_pointer_that_leaves_the_store_is_not_followed(store: Store, tmp_path: Path) -> None:
    run(store, 1)
    (store.root / "adapter/current.txt").write_text("../../../../v0001\n")
    assert store.current() is None
    with held(store) as lock:
        assert "names no version" in store.recover(lock)[0]
    assert assert_sound(store) == 1


def test_a_store_remembers_no_more_than_its_last_record_however_many_it_committed(store: Store) -> None:
    """A record holds the ledger of all that is known: one kept for each version would grow with their square."""
    for step in range(1, 6):
        run(store, step)
        assert store.ledger() is not None
        assert store.manifest() is not None
    assert len(store._checker.newest._known) == len(store._checker.manifest._known) == 1


def test_what_was_committed_is_looked_at_again_without_reading_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each save looks at the whole store: that must not grow with what is in it."""
    for step in range(1, 4):
        run(store, step)
    with held(store) as lock:
        store.recover(lock)
        reads: list[str] = []
        real = disk.read
        monkeypatch.setattr(disk, "read", lambda path: reads.append(path.name) or real(path))
        assert store.recover(lock) == ()
        assert store.ledger() is not None
        assert len(store.ever_learned()) == 4
        assert not {name for name in reads if name.endswith(("json", "zst", "safetensors"))} - {"intent.json"}
        (store.layout.record(2)).write_bytes(b"{}")
        assert "the record of version 2 is damaged" in store.recover(lock)[0]
