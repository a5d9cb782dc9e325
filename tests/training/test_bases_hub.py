"""Bases of the hub, against a small hub of the tests' own: download, pin, cache, refusals, stop."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from dlm_lsp.training import hub_download
from dlm_lsp.training.bases import ResolvedBase, base_facts, resolve
from dlm_lsp.training.hub import cache_directory
from dlm_lsp.training.protocol import BaseRequest, LearnerError, LearningCancelled
from tests.training.local_hub import HubModel, LocalHub, serve
from tests.training.model_files import CONFIG, TOKENIZER, safetensors

REPO = "acme/small"
FIRST, SECOND = "1" * 40, "2" * 40
MODEL = {
    "config.json": json.dumps(CONFIG).encode(),
    "tokenizer.json": TOKENIZER,
    "chat_template.jinja": b"{{ messages }}",
    "model.safetensors": safetensors({"embed": (400, 1000)}),
    "pytorch_model.bin": b"never wanted",
    "modeling_small.py": b"never wanted",
    "original/model.safetensors": b"never wanted",
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with serve() as running:
        running.models[REPO] = HubModel({FIRST: MODEL})
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        for name in (
            "HF_HUB_CACHE",
            "HUGGINGFACE_HUB_CACHE",
            "HF_HUB_OFFLINE",
            "TRANSFORMERS_OFFLINE",
            "HF_TOKEN",
        ):
            monkeypatch.delenv(name, raising=False)
        yield running


def get(reference: str = f"hf:{REPO}", revision: str | None = None) -> ResolvedBase:
    return resolve(BaseRequest(reference, ".", revision), lambda text, fraction: None, lambda: False)


def refusal(reference: str = f"hf:{REPO}", revision: str | None = None) -> LearnerError:
    with pytest.raises(LearnerError) as caught:
        get(reference, revision)
    assert caught.value.key == "base_model"
    return caught.value


def test_download_takes_what_is_needed_and_tells_how_far_it_is(hub: LocalHub) -> None:
    said: list[tuple[str, float | None]] = []
    base = resolve(BaseRequest(f"hf:{REPO}", "."), lambda text, fraction: said.append((text, fraction)), lambda: False)
    assert {path.name for path in base.directory.iterdir()} == {
        "config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "model.safetensors",
    }
    assert (base.directory / "model.safetensors").read_bytes() == MODEL["model.safetensors"]
    assert (base.hf_id, base.revision, base.parameters, base.context_length) == (REPO, FIRST, 400_000, 128)
    fractions = [fraction for _, fraction in said if fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert said[0] == (f"{REPO} (asking the hub)", None)
    assert said[-1][0] == f"{REPO}: 1.6 of 1.6 MB"


def test_a_download_that_is_done_ends_quietly(hub: LocalHub, capfd: pytest.CaptureFixture[str]) -> None:
    """Its input is closed as soon as it has said where the files are: no traceback of an interrupt comes of that."""
    for _ in range(3):
        get()
        refusal("hf:acme/none")
    assert capfd.readouterr().err == ""


def test_the_hub_is_asked_for_the_model_and_for_nothing_else(hub: LocalHub) -> None:
    get()
    assert [request for request in hub.requests if REPO not in request] == []


def test_recorded_revision_stays_and_makes_no_request(hub: LocalHub) -> None:
    first = get()
    hub.models[REPO].commits[SECOND] = MODEL | {"model.safetensors": safetensors({"embed": (300, 1000)})}
    hub.requests.clear()
    assert get(revision=first.revision) == first
    assert hub.requests == []
    assert get().revision == SECOND  # nothing recorded: the newest one


def test_recorded_revision_is_downloaded_even_when_the_model_moved_on(hub: LocalHub) -> None:
    hub.models[REPO].commits[SECOND] = MODEL | {"model.safetensors": safetensors({"embed": (300, 1000)})}
    base = get(revision=FIRST)
    assert (base.revision, base.parameters) == (FIRST, 400_000)


def test_registry_key_is_pinned(hub: LocalHub) -> None:
    pin = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
    hub.models["HuggingFaceTB/SmolLM2-135M-Instruct"] = HubModel({pin: MODEL, SECOND: MODEL})
    base = get("smollm2-135m")
    assert (base.revision, base.hf_id) == (pin, "HuggingFaceTB/SmolLM2-135M-Instruct")
    assert (base.license, base.context_length) == ("Apache-2.0", 8192)
    hub.requests.clear()
    assert get("smollm2-135m") == base
    assert hub.requests == []


def test_several_weight_files(hub: LocalHub) -> None:
    shards = {f"model-0000{n}-of-00002.safetensors": safetensors({f"layer{n}": (n, 1000)}) for n in (1, 2)}
    index = json.dumps({"weight_map": {"layer1": next(iter(shards)), "layer2": list(shards)[1]}}).encode()
    small = {name: data for name, data in MODEL.items() if name != "model.safetensors"}
    sharded = small | shards | {"model.safetensors.index.json": index}
    hub.models[REPO] = HubModel({FIRST: sharded})
    base = get()
    assert base.parameters == 3000
    (base.directory / list(shards)[1]).unlink()
    assert get(revision=FIRST).parameters == 3000  # completed again


def test_cached_works_without_network(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    base = get()
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert get(revision=FIRST) == base
    assert get() == base  # nothing recorded yet: what is here is pinned
    assert hub.requests == []
    facts = base_facts(f"hf:{REPO}")
    assert facts is not None
    assert (facts.parameters, facts.revision, facts.directory) == (400_000, FIRST, base.directory)


def test_unreachable_hub_falls_back_to_what_is_cached(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    base = get()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert get() == base


def test_offline_and_not_cached(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    error = refusal()
    assert error.code == "base-offline"
    assert "HF_HUB_OFFLINE is set" in str(error)
    assert hub.requests == []


def test_unreachable_and_not_cached(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    error = refusal(revision=FIRST)
    assert error.code == "base-offline"
    assert "http://127.0.0.1:9 cannot be reached" in str(error)


def test_gated(hub: LocalHub) -> None:
    hub.models[REPO].gated = True
    error = refusal()
    assert error.code == "base-gated"
    assert f"accept its licence at {hub.url}/{REPO}" in str(error)
    assert "hf auth login" in str(error)


def test_refused_token(hub: LocalHub) -> None:
    wrong = "Invalid credentials in Authorization header"
    hub.models[REPO].refusal = (HTTPStatus.UNAUTHORIZED, "", wrong)
    error = refusal()
    assert error.code == "base-not-allowed"
    assert "HF_TOKEN" in str(error)


def test_hub_that_fails_falls_back_to_what_is_cached(hub: LocalHub) -> None:
    base = get()
    hub.models[REPO].refusal = (HTTPStatus.INTERNAL_SERVER_ERROR, "", "out of order")
    assert get() == base
    assert refusal(revision=SECOND).code == "base-offline"


def test_missing_model_and_missing_commit(hub: LocalHub) -> None:
    error = refusal("hf:acme/nothing")
    assert error.code == "base-not-found"
    assert "no model acme/nothing" in str(error)
    error = refusal(revision=SECOND)
    assert error.code == "base-not-found"
    assert SECOND in str(error)


def test_pickled_weights_are_never_downloaded(hub: LocalHub) -> None:
    hub.models[REPO] = HubModel({FIRST: {name: MODEL[name] for name in ("config.json", "pytorch_model.bin")}})
    error = refusal()
    assert error.code == "base-no-safetensors"
    assert "pickle" in str(error)
    assert not any(".bin" in request for request in hub.requests)


def test_refused_by_its_configuration_before_its_weights_come(hub: LocalHub) -> None:
    config = CONFIG | {
        "architectures": ["SmallModel"],
        "model_type": "small",
        "auto_map": {"AutoModel": "x.Small"},
    }
    hub.models[REPO] = HubModel({FIRST: MODEL | {"config.json": json.dumps(config).encode()}})
    hub.hold = "model.safetensors"  # it would never arrive
    error = refusal()
    assert error.code == "base-remote-code"
    assert not any(".py" in request for request in hub.requests)


def test_stop_while_downloading_leaves_no_partial_file(hub: LocalHub) -> None:
    hub.hold = "model.safetensors"
    with pytest.raises(LearningCancelled):
        resolve(BaseRequest(f"hf:{REPO}", "."), lambda text, fraction: None, hub.held.is_set)
    assert list(cache_directory().rglob("*.incomplete")) == []
    hub.go.set()
    hub.hold = None
    assert get().parameters == 400_000


def test_progress_moves_within_a_file(hub: LocalHub) -> None:
    large = safetensors({"embed": (8, 1024, 1024)})  # the hub's library writes in pieces of 10 MiB
    hub.models[REPO] = HubModel({FIRST: MODEL | {"model.safetensors": large}})
    hub.hold = "model.safetensors"
    moved = threading.Event()

    def progress(text: str, fraction: float | None) -> None:
        if fraction is not None and 0.2 < fraction < 0.8:
            moved.set()
            hub.go.set()

    resolve(BaseRequest(f"hf:{REPO}", "."), progress, lambda: False)
    assert moved.is_set()


def test_full_disk(hub: LocalHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The downloading process, which is not ours to patch, starts on a machine with one free kilobyte."""
    customize = "import shutil\nshutil.disk_usage = lambda path: shutil._ntuple_diskusage(1000, 0, 1000)\n"
    (tmp_path / "sitecustomize.py").write_text(customize, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    error = refusal()
    assert error.code == "base-disk-full"
    assert "HF_HUB_CACHE" in str(error)
    assert not any("GET" in request and "model.safetensors" in request for request in hub.requests)


def test_disk_that_fills_up_on_the_way_is_told_as_such() -> None:
    assert hub_download._explain(OSError(28, "No space left on device"))[0] == "disk-full"


def test_stop_is_polled_before_anything_is_asked(hub: LocalHub) -> None:
    asked = itertools.count()
    with pytest.raises(LearningCancelled):
        resolve(BaseRequest(f"hf:{REPO}", "."), lambda text, fraction: None, lambda: next(asked) >= 0)
    assert next(asked) == 1
