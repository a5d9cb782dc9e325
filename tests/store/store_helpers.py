"""Commits to make, and what must be true of a store that holds them. Also run as a program by the kill test."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from dlm_lsp.store import Commit, DlmLock, Held, Holder, Known, Ledger, Store, Version
from dlm_lsp.store.versions import Checker

DLM_ID = "01HZ0000000000000000000000"
T0 = 1_770_000_000.25


def section(step: int) -> str:
    return hashlib.sha256(f"prose\ntext {step}".encode()).hexdigest()[:16]


def weights(step: int) -> bytes:
    return save({"lora_A": np.full((8, 16), step, np.float32), "lora_B": np.ones(3, np.float16)})


def a_commit(step: int, *, keep: int = 10, full: bool = False) -> Commit:
    """Step `step` of a document that gains section `step` and loses section `step - 2`."""
    known = Known(0, step, True, True, "a" * 16, section(step), "2026-02-02T02:40:00Z", 2.5, 0.5)
    return Commit(
        files={
            "adapter_model.safetensors": weights(step),
            "adapter_config.json": b'{"base_model_name_or_path": "org/base"}',
            "tokenizer.json": b"{}",
            "training_state.pt": b"state %d" % step,
        },
        kind="full" if full else "cycle",
        started_at=T0 + 10 * step,
        ended_at=T0 + 10 * step + 3,
        steps=step,
        seed=42,
        base_model="builtin:tiny",
        base_revision="r1",
        content_hashes=[section(step - 1), section(step)],
        ledger=Ledger(lessons={f"{step:016x}": known}, base_id="org/base", shape="s", data=f"d{step}"),
        final_train_loss=1 / step,
        pinned_versions={"torch": "2.6.0"},
        replay_add=[(section(step - 1), "prose", f"text {step - 1}"), (section(step), "prose", f"text {step}")],
        replay_remove=[section(step - 2)],
        dlm_lock=DlmLock("0" * 64, "r1", "cpu", 42, {"torch": "2.6.0"}) if full else None,
        keep=keep,
    )


def held(store: Store) -> Held:
    """The lock, which must be free."""
    got = store.try_lock()
    assert not isinstance(got, Holder), got.detail
    return got


def run(store: Store, step: int, *, keep: int = 10, full: bool = False) -> Version:
    """One whole run: lock, recover, commit."""
    with held(store) as lock:
        store.recover(lock)
        return store.commit(lock, a_commit(step, keep=keep, full=full))


def step_of(version: Version) -> int:
    """Which step the version's weights are from."""
    tensors = load((version.path / "adapter_model.safetensors").read_bytes())
    return int(tensors["lora_A"][0, 0])


def assert_sound(store: Store) -> int | None:
    """Current version, manifest, replay and ledger tell of one and the same step, and nothing lies about."""
    fresh = Store(store.root.parent.parent, store.dlm_id)
    look = fresh.inspect()
    assert look.leftovers == ()
    current = fresh.current()
    manifest = fresh.manifest()
    if current is None:
        assert fresh.ledger() is None
        assert manifest is None or manifest.adapter_version == 0
        assert not list(store.root.glob("adapter/versions/*"))
        return None
    step = step_of(current)
    assert Checker().fault(fresh.layout, current.number) is None
    assert (store.root / "adapter/current.txt").read_text() == f"adapter/versions/v{current.number:04d}\n"
    assert fresh.training_state(current) == b"state %d" % step
    assert manifest is not None
    assert manifest.adapter_version == current.number
    assert list(manifest.content_hashes) == sorted([section(step - 1), section(step)]) or set(
        manifest.content_hashes
    ) == {section(step - 1), section(step)}
    recorded = manifest.run_of(current.number)
    assert recorded is not None
    assert recorded.steps == step
    assert fresh.replay().ids() == {section(step - 1), section(step)}
    assert {one.content for one in fresh.replay().read()} == {f"text {step - 1}", f"text {step}"}
    ledger = fresh.ledger()
    assert ledger is not None
    assert ledger.version == current.number
    assert ledger.data == f"d{step}"
    assert all(known.version == current.number for known in ledger.lessons.values())
    assert not (store.root / "lsp/intent.json").exists()
    return step


def main(home: str, first: int) -> None:
    """Commits for ever, telling each step once it is committed."""
    store = Store(Path(home), DLM_ID)
    step = first
    while True:
        version = run(store, step, keep=2, full=step % 3 == 0)
        sys.stdout.write(f"{step} {version.number}\n")
        sys.stdout.flush()
        step += 1


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
