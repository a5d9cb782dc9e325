"""The files that other tools read, byte for byte as the format says."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import cbor2
import pytest
import zstandard

from dlm_lsp.store import DlmLock, Manifest, Store, StoreError, dlm_home, manifest
from dlm_lsp.store.paths import Layout
from tests.store.store_helpers import DLM_ID, a_commit, held, run, section


def test_home_comes_from_the_argument_then_the_environment_then_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DLM_HOME", str(tmp_path / "from-environment"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert dlm_home(tmp_path / "given") == tmp_path / "given"
    assert dlm_home("~/given") == tmp_path / "given"
    assert dlm_home() == tmp_path / "from-environment"
    monkeypatch.setenv("DLM_HOME", "")
    monkeypatch.delenv("APPDATA", raising=False)
    assert dlm_home(None) == tmp_path / ".dlm"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("APPDATA", str(tmp_path / "roaming"))
    assert dlm_home() == tmp_path / "roaming" / "dlm"


@pytest.mark.parametrize("wrong", ["../../etc", "01hz0000000000000000000000", "", "01HZ000000000000000000000U"])
def test_a_wrong_id_never_becomes_a_path(home: Path, wrong: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store(home, wrong)
    assert caught.value.code == "bad-id"


def test_manifest_bytes(store: Store) -> None:
    run(store, 1)
    text = (store.root / "manifest.json").read_text(encoding="utf-8")
    value = json.loads(text)
    assert text == json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert list(value) == [
        "adapter_config_sha256", "adapter_sha256", "adapter_version", "adapter_versions", "base_model",
        "base_model_revision", "base_model_sha256", "content_hashes", "created_at", "dlm_id", "exports",
        "license_acceptance", "pinned_versions", "schema_version", "source_path", "training_runs", "updated_at",
    ]  # fmt: skip
    assert value["created_at"] == value["updated_at"] == "2026-02-02T02:40:13"
    assert value["content_hashes"] == {section(0): section(0), section(1): section(1)}
    assert value["training_runs"] == [
        {
            "adapter_name": None,
            "adapter_version": 1,
            "base_model_revision": "r1",
            "ended_at": "2026-02-02T02:40:13",
            "final_train_loss": 1.0,
            "final_val_loss": None,
            "pinned_versions": {"torch": "2.6.0"},
            "run_id": 1,
            "seed": 42,
            "started_at": "2026-02-02T02:40:10",
            "status": "completed",
            "steps": 1,
            "summary_path": "logs/train-000001-20260202T024013.summary.json",
            "weight_distribution": None,
        }
    ]
    summary = json.loads((store.root / value["training_runs"][0]["summary_path"]).read_text())
    assert summary["duration_seconds"] == 3.0
    assert summary["adapter_version"] == 1


def test_moments_of_other_tools_become_naive_utc_seconds() -> None:
    data = json.dumps(
        {
            "dlm_id": DLM_ID,
            "base_model": "b",
            "created_at": "2026-01-01T01:00:00.5+01:00",
            "updated_at": "2026-01-01T00:00:01Z",
        }
    )
    read = manifest.decode(data.encode()).manifest
    assert read.created_at == datetime(2026, 1, 1)
    again = json.loads(manifest.encode(read))
    assert (again["created_at"], again["updated_at"]) == ("2026-01-01T00:00:00", "2026-01-01T00:00:01")


def test_not_a_number_is_written_as_null() -> None:
    read = manifest.decode(
        b'{"dlm_id": "x", "base_model": "b", "training_runs": [{"run_id": 1, "started_at": "2026-01-01T00:00:00",'
        b' "adapter_version": 1, "seed": 1, "final_train_loss": NaN}]}'
    )
    assert b"NaN" not in manifest.encode(read.manifest)


def test_version_folder_and_pointer(store: Store) -> None:
    version = run(store, 1)
    assert (store.root / "adapter/current.txt").read_bytes() == b"adapter/versions/v0001\n"
    assert version.path == store.root / "adapter/versions/v0001"
    assert json.loads((version.path / "training_run.json").read_text()) == {"use_qlora": False}
    pinned = json.loads((version.path / "pinned_versions.json").read_text())
    assert pinned["torch"] == "2.6.0"
    assert pinned["bitsandbytes"] is None
    digest = (version.path / "training_state.pt.sha256").read_text()
    assert len(digest) == 65
    assert digest.endswith("\n")
    assert store.training_state(version) == b"state 1"
    (version.path / "training_state.pt").write_bytes(b"state 7")
    assert store.training_state(version) is None


def test_a_version_over_four_bits_says_so(store: Store) -> None:
    """Other tools load the base as it was when the adapter learned on it."""
    with held(store) as lock:
        pinned = {"torch": "2.6.0", "bitsandbytes": "0.50.2"}
        version = store.commit(lock, replace(a_commit(1), pinned_versions=pinned))
    assert json.loads((version.path / "training_run.json").read_text()) == {"use_qlora": True}
    assert json.loads((version.path / "pinned_versions.json").read_text())["bitsandbytes"] == "0.50.2"


def test_replay_bytes(store: Store) -> None:
    run(store, 1)
    index = json.loads((store.root / "replay/index.json").read_text())
    assert (store.root / "replay/index.json").read_text() == json.dumps(index, indent=2, sort_keys=True) + "\n"
    assert [entry["section_id"] for entry in index] == sorted([section(0), section(1)])
    assert all(entry["added_at"] == "2026-02-02T02:40:13" and entry["weight"] == 1.0 for entry in index)
    corpus = (store.root / "replay/corpus.zst").read_bytes()
    entry = next(entry for entry in index if entry["section_id"] == section(1))
    frame = corpus[entry["byte_offset"] : entry["byte_offset"] + entry["length"]]
    header = zstandard.get_frame_parameters(frame)
    assert not header.has_checksum
    packed = zstandard.ZstdDecompressor().decompress(frame)
    assert header.content_size == len(packed)
    moment = b"\xc0\x74" + b"2026-02-02T02:40:13Z"  # tag 0, text of 20 bytes
    assert packed == (
        b"\xa7"
        b"\x67content\x66text 1"
        b"\x6aauto_mined\xf4"
        b"\x6asection_id\x70" + section(1).encode() + b"\x6clast_seen_at" + moment + b"\x6csection_type\x65prose"
        b"\x6dfirst_seen_at" + moment + b"\x72training_runs_seen\x81\x01"
    )
    assert packed == cbor2.dumps(cbor2.loads(packed), canonical=True)


def test_dlm_lock_bytes_are_written_by_a_full_retrain_only(store: Store) -> None:
    run(store, 1)
    assert store.dlm_lock() is None
    run(store, 2, full=True)
    text = (store.root / "dlm.lock").read_text()
    value = json.loads(text)
    assert text == json.dumps(value, indent=2, sort_keys=True) + "\n"
    assert value == {
        "base_model_revision": "r1",
        "base_model_sha256": None,
        "created_at": "2026-02-02T02:40:23.250000Z",
        "cuda_version": None,
        "determinism_class": "best-effort",
        "determinism_flags": {},
        "dlm_id": DLM_ID,
        "dlm_sha256": "0" * 64,
        "hardware_tier": "cpu",
        "last_run_id": 2,
        "license_acceptance": None,
        "lock_version": 1,
        "pinned_versions": {"torch": "2.6.0"},
        "rocm_version": None,
        "seed": 42,
        "world_size": 1,
    }
    assert store.dlm_lock() == value


@pytest.mark.parametrize(("digest", "revision"), [("0" * 63, "r"), ("G" * 64, "r"), ("0" * 64, "")])
def test_a_dlm_lock_that_other_tools_would_refuse_cannot_be_made(digest: str, revision: str) -> None:
    with pytest.raises(ValueError, match="must"):
        DlmLock(digest, revision, "cpu", 42)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_everything_but_the_lock_is_for_its_owner_only(store: Store) -> None:
    with held(store) as lock:
        store.commit(lock, a_commit(1))
        assert stat.S_IMODE((store.root / ".lock").stat().st_mode) & 0o600 == 0o600
        (store.root / ".lock").chmod(0o600)
        for path in [store.root, *store.root.rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_no_document_text_outside_the_replay_corpus(store: Store) -> None:
    run(store, 1)
    for path in store.root.rglob("*"):
        if path.is_file():
            assert b"text 1" not in path.read_bytes(), path


def test_a_record_of_an_earlier_release_is_read_and_says_nothing_of_what_it_did_not_know(store: Store) -> None:
    run(store, 1)
    path = store.layout.record(1)
    record = json.loads(path.read_text())
    del record["run"]["replaced"]
    (known,) = record["ledger"]["lessons"].values()
    for name in ("score", "exact", "scored_in", "forgotten_since", "sound_in"):
        del known[name]
    path.write_text(json.dumps(record))
    ledger = Store(store.root.parent.parent, DLM_ID).ledger()
    assert ledger is not None
    (read,) = ledger.lessons.values()
    assert (read.version, read.learned) == (1, True)
    assert (read.score, read.exact, read.scored_in, read.forgotten_since, read.sound_in) == (None,) * 5


def test_a_version_s_record_names_the_one_that_it_replaced(store: Store) -> None:
    run(store, 1)
    run(store, 2)
    with held(store) as lock:
        store.revert(lock, 1)
    run(store, 3)
    records = [store.record(number) for number in (1, 2, 3)]
    assert [record.run.replaced for record in records if record] == [None, 1, 1]


def test_reading_creates_nothing(home: Path, store: Store) -> None:
    home.mkdir()
    assert not store.exists()
    assert store.current() is None
    assert store.versions() == ()
    assert store.manifest() is None
    assert store.ledger() is None
    assert store.record(1) is None
    assert store.dlm_lock() is None
    assert store.journal() == ()
    assert store.holder() is None
    assert store.replay().read() == ()
    assert store.inspect().leftovers == ()
    assert store.unlock() == "the store is not locked"
    assert list(home.iterdir()) == []


def test_default_manifest_needs_two_names_only() -> None:
    made = Manifest(dlm_id=DLM_ID, base_model="b")
    assert made.next_run_id == 1
    assert manifest.decode(manifest.encode(made)).manifest == made


def test_layout_names_are_the_formats(home: Path) -> None:
    layout = Layout.of(home, DLM_ID)
    assert layout.version(12) == home / "store" / DLM_ID / "adapter" / "versions" / "v0012"
    assert layout.version(12345).name == "v12345"
