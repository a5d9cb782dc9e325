"""Files of a store and of a base model: whatever they hold, reading them ends in a value or one known error."""

from __future__ import annotations

import atexit
import json
import shutil
import struct
import tempfile
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import cbor2
import zstandard

from dlm_lsp.store import StoreError, lock, manifest, paths, replay
from dlm_lsp.store.dlm_lock import read_dlm_lock
from dlm_lsp.training.bases import base_facts, check_reference
from tests.fuzz.choices import Choices, as_text
from tests.fuzz.targets.target import Target, built

_DLM_ID = "01HZ4X7TGZM3J1A2B3C4D5E6F7"
_NOW = 1_800_000_000.0
_SECTION = "0123456789abcdef"
_ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**64, 2**70, 0.5, -0.0, 1e308, float("inf"), float("nan"), "", "x", "\ud800",
    "\x1b[31m", "\u202e", "2026-01-01T00:00:00", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00", "soon", "completed", "running", _DLM_ID, _SECTION, "adapter/versions/v0001", [], {},
    [[]], {"": {}}, "x" * 300,
)  # fmt: skip


def manifests(data: bytes) -> None:
    choices = built(data)
    raw = data[1:] if choices is None else _json(_manifest(choices), choices)
    kept = manifest.salvage(raw)
    whole = manifest.Manifest.model_validate({"dlm_id": "-", "base_model": "-"} | kept)
    assert manifest.encode(manifest.decode(manifest.encode(whole)).manifest) == manifest.encode(whole)
    try:
        read = manifest.decode(raw)
    except StoreError as error:
        assert error.code in ("manifest-corrupt", "manifest-newer")
        return
    again = manifest.decode(manifest.encode(read.manifest))
    assert (again.foreign, manifest.encode(again.manifest)) == ((), manifest.encode(read.manifest))
    assert read.manifest.next_run_id > 0


def frames(data: bytes) -> None:
    """One of the ways in which a corpus is read, as the first byte says: in a row they would take too long."""
    choices = built(data)
    sound: dict[str, str] = {}
    raw = data[1:] if choices is None else _corpus(choices, sound)
    way = data[0] >> 1 & 3 if data else 0
    if way == 0:
        _frame(raw)
        return
    _pieces(raw)
    corpus = replay.Replay(folder())
    corpus.corpus.write_bytes(raw)
    corpus.index.unlink(missing_ok=True)
    if way == 1:
        corpus.index.write_bytes(b"[" if choices is None else _index(choices))
        assert len(corpus.read()) <= len(raw)
        corpus.ids()
        return
    ids = {snapshot.section_id: snapshot.content for snapshot in corpus.read()}
    assert ids == sound or not sound
    if way == 3:
        corpus.repair()
        assert corpus.sound()
        assert corpus.ids() == set(ids)


def _frame(raw: bytes) -> None:
    try:
        snapshot = replay.decode_snapshot(raw)
    except ValueError:
        return
    assert replay.decode_snapshot(replay.encode_snapshot(snapshot)) == snapshot


def _pieces(raw: bytes) -> None:
    """Frames do not overlap, and each is what stands at its offset."""
    end = 0
    for offset, frame in replay._frames(raw):
        assert offset >= end
        assert raw[offset : offset + len(frame)] == frame
        end = offset + len(frame)


def locks(data: bytes) -> None:
    choices = built(data)
    layout = _layout()
    if choices is None:
        layout.lock.write_bytes(data[1:])
        layout.dlm_lock.write_bytes(data[1:])
    else:
        pid, host, since = choices.pick((1, 2**22, 2**31, 2**70, 0, -1)), choices.text(20), choices.pick(_ODD)
        ends = choices.pick(("\n", "\r\n", "\n\n", "", " \n"))
        content = f"{pid}{ends}{host}{ends}{since}{ends}".encode(errors="backslashreplace")
        layout.lock.write_bytes(content + choices.raw(20))
        layout.dlm_lock.write_bytes(_json({name: value(choices) for name in ("a", "lock_version")}, choices))
    holder = lock.holder(layout, lambda: _NOW)
    assert holder is not None
    assert holder.host.isprintable()
    assert len(holder.host) <= 255
    assert holder.detail.isprintable()
    assert holder.state in ("alive", "dead", "foreign", "unreadable")
    assert holder.pid is None or holder.pid > 0
    found = read_dlm_lock(layout)
    assert found is None or isinstance(found, dict)


def bases(data: bytes) -> None:
    """A base beside the document is looked at whenever the document is parsed."""
    choices = built(data) or Choices(b"")
    raw = data[1:] if not choices.left else b""
    base = folder() / "base"
    base.mkdir(exist_ok=True)
    config: Any = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    for _ in choices.several(6):
        config[choices.pick(_CONFIG)] = value(choices)
    header: Any = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    for _ in choices.several(6):
        header[choices.pick(("__metadata__", "w", "v"))] = value(choices)
        header["v"] = {name: value(choices) for name in ("dtype", "shape", "data_offsets")}
    weights = _json(header, choices)
    sharded = choices.flag(4)
    (base / "config.json").write_bytes(raw or _json(config, choices))
    (base / "tokenizer.json").write_bytes(b"{}")
    (base / "model.safetensors").write_bytes(
        raw or struct.pack("<Q", choices.pick((len(weights), 2**63, 0, 99_999_999))) + weights + b"\0" * 8
    )
    if sharded:
        (base / "model.safetensors").rename(base / "model-1.safetensors")
        index = {"weight_map": {"w": choices.pick(("model-1.safetensors", "../x", "/dev/zero", 5, None))}}
        (base / "model.safetensors.index.json").write_bytes(_json(index, choices))
    refusal = check_reference("base", base.parent)
    assert refusal is None or (refusal.code and str(refusal) and len(str(refusal)) < 1_000)
    facts = base_facts("base", base.parent)
    assert facts is not None
    assert facts.directory == base


TARGETS = (
    Target("manifest", manifests),
    Target("replay", frames),
    Target("lock", locks),
    Target("base", bases),
)

_CONFIG = ("architectures", "model_type", "auto_map", "quantization_config", "max_position_embeddings", "n_ctx", "x")


# --- building --------------------------------------------------------------------------------------------------------


@cache
def folder() -> Path:
    """A folder in memory where there is one; gone with the process."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="dlm-fuzz-", dir=memory if memory.is_dir() else None)).resolve()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _layout() -> paths.Layout:
    layout = paths.Layout.of(folder(), _DLM_ID)
    layout.root.mkdir(parents=True)
    return layout


def value(choices: Choices, depth: int = 0) -> Any:
    """Any JSON value, more often an odd one."""
    kind = choices.below(8)
    if kind == 0 or depth > 6:
        return choices.text(20)
    if kind == 1:
        return [value(choices, depth + 1) for _ in choices.several(5)]
    if kind == 2:
        return {choices.text(6): value(choices, depth + 1) for _ in choices.several(5)}
    return choices.pick(_ODD)


def _json(plain: Any, choices: Choices) -> bytes:
    """JSON, now and then spoilt: cut, doubled, or nested too deep."""
    raw = json.dumps(plain).encode()
    kind = choices.below(12)
    if kind == 1:
        return raw[: choices.below(len(raw) + 1)]
    if kind == 2:
        return raw[:-1] + b', "x": ' + choices.pick((b"[", b'{"a":')) * choices.below(40_000)
    if kind == 3:
        return raw[:-1] + b', "x": ' + b"9" * choices.below(20_000) + b"}"
    if kind == 4:
        return raw[:-1] + b", " + raw[1:]
    return raw


def _manifest(choices: Choices) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    if choices.flag():
        plain |= {"dlm_id": _DLM_ID, "base_model": "b"}
    for _ in choices.several(12):
        plain[choices.pick((*manifest.Manifest.model_fields, "foreign", "\x1b"))] = value(choices)
    if choices.flag():
        plain["training_runs"] = [_run(choices) for _ in choices.several(5)]
    return plain


def _run(choices: Choices) -> Any:
    if choices.flag(6):
        return value(choices)
    run: dict[str, Any] = {"run_id": 1, "started_at": "2026-01-01T00:00:00", "adapter_version": 1, "seed": 1}
    for _ in choices.several(5):
        run[choices.pick((*manifest.TrainingRun.model_fields, "foreign"))] = value(choices)
    return run


def _corpus(choices: Choices, sound: dict[str, str]) -> bytes:
    """Frames, sound and spoilt; `sound` gets what must be found, if nothing else is among them."""
    pieces = []
    spoilt = False
    for _ in choices.several(12):
        kind = choices.below(8)
        section_id = f"{choices.below(50):016x}"
        moment = datetime(2026, 1, 1 + choices.below(28))
        if kind < 3:
            text = as_text(choices.raw(60)).encode(errors="replace").decode()
            snapshot = replay.Snapshot(section_id, choices.pick(("prose", "instruction")), text, moment, moment)
            pieces.append(replay.encode_snapshot(snapshot))
            sound[section_id] = text
            continue
        spoilt = True
        if kind == 3:
            pieces.append(choices.raw(60))
        elif kind == 4:
            pieces.append(replay.MAGIC + choices.raw(40))
        elif kind == 5:
            pieces.append(_bomb(choices.below(2_000), last=choices.flag()))
        elif kind == 6:
            pieces.append(zstandard.compress(choices.raw(80), 1))
        else:
            pieces.append(zstandard.compress(_cbor(choices), 3))
    if spoilt:
        sound.clear()
    return b"".join(pieces)


def _bomb(blocks: int, *, last: bool) -> bytes:
    """A frame of blocks that each say 128 KiB of one byte."""
    header = replay.MAGIC + b"\xa0" + (blocks * 128 * 1024).to_bytes(4, "little")  # one segment, four bytes of size
    block = (128 * 1024 << 3 | 2).to_bytes(3, "little") + b"x"
    end = (0 << 3 | 1).to_bytes(3, "little") if last else b""
    return header + block * blocks + end


_TAGS = (0, 1, 2, 3, 4, 5, 28, 29, 30, 35, 36, 37, 100, 258, 260, 43000)


def _cbor(choices: Choices) -> bytes:
    plain: dict[str, Any] = {
        "section_id": _SECTION,
        "section_type": "prose",
        "content": "c",
        "first_seen_at": "2026-01-01",
        "last_seen_at": 0,
    }
    for _ in choices.several(5):
        name = choices.pick((*replay.Snapshot.__dataclass_fields__, "x"))
        found = value(choices)
        plain[name] = cbor2.CBORTag(
            choices.pick((0, 1, 2, 3, 4, 5, 28, 29, 30, 35, 36, 37, 100, 258, 260, 43000)), found
        )
    try:
        return cbor2.dumps(plain) + choices.raw(10)
    except (cbor2.CBOREncodeError, UnicodeEncodeError):
        return choices.raw(40)


def _index(choices: Choices) -> bytes:
    entries = []
    for _ in choices.several(4):
        entry: dict[str, Any] = {"section_id": f"{choices.below(50):016x}", "added_at": "2026-01-01T00:00:00"}
        entry |= {"byte_offset": choices.below(300), "length": choices.below(300)}
        if choices.flag(4):
            entry[choices.pick(tuple(entry))] = value(choices)
        entries.append(entry)
    return _json(entries, choices)
