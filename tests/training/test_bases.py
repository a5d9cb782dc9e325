"""What `base_model` may say: the builtin base, a directory, a key, a model of the hub; and what not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dlm_lsp.training.bases import BUILTIN, ResolvedBase, base_facts, check_reference, known_revision, registry, resolve
from dlm_lsp.training.protocol import BaseRequest, LearnerError
from tests.training.model_files import CONFIG, safetensors, write_model


@pytest.fixture(autouse=True)
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))


def get(reference: str, document_dir: Path) -> ResolvedBase:
    return resolve(BaseRequest(reference, str(document_dir)), lambda text, fraction: None, lambda: False)


def refusal(reference: str, document_dir: Path) -> LearnerError:
    """The error that both `resolve` and the check while typing give."""
    with pytest.raises(LearnerError) as caught:
        get(reference, document_dir)
    checked = check_reference(reference, document_dir)
    assert checked is not None
    assert (str(checked), checked.code, checked.key) == (str(caught.value), caught.value.code, "base_model")
    return caught.value


def config(**changes: object) -> bytes:
    return json.dumps(CONFIG | changes).encode()


def test_builtin_base(tmp_path: Path) -> None:
    base = get(BUILTIN, tmp_path)
    assert base.hf_id == BUILTIN
    assert (base.directory / "tokenizer.json").is_file()
    facts = base_facts(BUILTIN)
    assert facts is not None
    assert facts.parameters == base.parameters > 1_000_000
    assert facts.obstacle is None
    assert "builtin:tiny" in str(refusal("builtin:huge", tmp_path))


def test_directory_relative_and_absolute(tmp_path: Path) -> None:
    directory = write_model(tmp_path / "models" / "tiny")
    documents = tmp_path / "notes"
    documents.mkdir()
    absolute = get(str(directory), documents)
    for reference, start in (
        ("models/tiny", tmp_path),
        ("../models/tiny", documents),
        ("tiny", directory.parent),
    ):
        base = get(reference, start)
        assert base.directory == directory
        assert (base.hf_id, base.revision) == (absolute.hf_id, absolute.revision) == (str(directory), base.revision)
        assert (base.parameters, base.context_length) == (160, 128)


def test_directory_revision_follows_its_content(tmp_path: Path) -> None:
    directory = write_model(tmp_path / "a")
    before = get("a", tmp_path).revision
    assert re.fullmatch(r"[0-9a-f]{40}", before)
    write_model(tmp_path / "b")
    assert get("b", tmp_path).revision == before  # a copy is the same base
    weights = bytearray((directory / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    write_model(directory, model__safetensors=bytes(weights))
    assert get("a", tmp_path).revision != before


def test_the_revision_is_known_without_resolving(tmp_path: Path) -> None:
    write_model(tmp_path / "models")
    for reference in ("models", BUILTIN):
        known = known_revision(BaseRequest(reference, str(tmp_path), "0" * 40))
        assert known == get(reference, tmp_path).revision, "what was recorded is no pin for files that can be looked at"
    recorded, key = "a" * 40, "smollm2-135m"
    assert known_revision(BaseRequest(key, str(tmp_path), recorded)) == recorded
    assert known_revision(BaseRequest(key, str(tmp_path))) == registry()[key].revision
    for nowhere in ("hf:acme/unseen", "no-such-base", "./gone", "~nobody-here/models", "a\0b"):
        assert known_revision(BaseRequest(nowhere, str(tmp_path))) is None


def test_directory_revision_of_large_weights_is_sampled(tmp_path: Path) -> None:
    large = bytearray(safetensors({"embed": (1000, 1000)}))
    directory = write_model(tmp_path / "a", model__safetensors=bytes(large))
    before = get("a", tmp_path).revision
    large[-1] ^= 1
    write_model(directory, model__safetensors=bytes(large))
    assert get("a", tmp_path).revision != before


@pytest.mark.parametrize(
    ("files", "code", "says"),
    [
        ({"config__json": None}, "base-no-config", "no config.json"),
        ({"config__json": b"{"}, "base-bad-config", "cannot be read"),
        ({"config__json": b"[]"}, "base-bad-config", "not a JSON object"),
        ({"config__json": b"{}"}, "base-bad-config", "does not name its architecture"),
        ({"model__safetensors": None}, "base-no-safetensors", "safetensors"),
        ({"model__safetensors": None, "pytorch_model__bin": b"x"}, "base-no-safetensors", "pickle"),
        ({"model__safetensors": b"version https://git-lfs"}, "base-incomplete", "git lfs pull"),
        ({"model__safetensors": safetensors({"a": (9,)})[:-1]}, "base-incomplete", "cut short"),
        ({"tokenizer__json": None}, "base-no-tokenizer", "no tokenizer.json"),
        (
            {"config__json": config(architectures=["BertForMaskedLM"], model_type="bert")},
            "base-unsupported",
            "not a language model that continues text",
        ),
        (
            {"config__json": config(architectures=["NovelForCausalLM"], model_type="novel")},
            "base-unsupported",
            "Update transformers",
        ),
        (
            {"config__json": config(architectures=["NovelForCausalLM"], auto_map={"AutoModel": "novel.Novel"})},
            "base-remote-code",
            "running Python code from its own repository",
        ),
        ({"config__json": config(quantization_config={"quant_method": "gptq"})}, "base-quantised", "(gptq)"),
    ],
)
def test_unusable_directory(tmp_path: Path, files: dict[str, bytes | None], code: str, says: str) -> None:
    write_model(tmp_path / "model", **files)
    error = refusal("model", tmp_path)
    assert error.code == code
    assert says in str(error)
    assert "The directory model" in str(error) or "of The directory model" in str(error)
    facts = base_facts("model", tmp_path)
    assert facts is not None
    assert facts.obstacle is not None


def test_own_code_is_ignored_when_transformers_has_the_model(tmp_path: Path) -> None:
    write_model(tmp_path / "model", config__json=config(auto_map={"AutoModelForCausalLM": "own.Own"}))
    assert get("model", tmp_path).architecture == "LlamaForCausalLM"


def test_index_that_names_missing_or_outside_files(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "../model-00002-of-00002.safetensors"}}
    directory = write_model(tmp_path / "model", model__safetensors=None)
    (directory / "model-00001-of-00002.safetensors").write_bytes(safetensors({"a": (2,)}))
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(safetensors({"b": (2,)}))
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    error = refusal("model", tmp_path)
    assert error.code == "base-incomplete"
    assert "1 of its 2 weight files" in str(error)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("smollm2-135", "Did you mean smollm2-135m"),
        ("Qwen2.5-0.5B", "qwen2.5-0.5b"),
        ("gpt-5", "hf:ORG/NAME"),
        (
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            "hf:HuggingFaceTB/SmolLM2-135M-Instruct or its key smollm2-135m",
        ),
        ("acme/model", "write hf:acme/model"),
        ("./nowhere", "no directory ./nowhere"),
        ("/nowhere/at/all", "no directory /nowhere/at/all"),
        ("hf:acme", "hf:ORG/NAME"),
        ("hf:acme/../other", "hf:ORG/NAME"),
        ("hf:a/b/c", "hf:ORG/NAME"),
        ("note.txt", "is a file"),
        ("x\0y", "neither a known base"),
    ],
)
def test_reference_that_names_nothing(tmp_path: Path, reference: str, says: str) -> None:
    (tmp_path / "note.txt").write_text("no model")
    error = refusal(reference, tmp_path)
    assert error.code == "base-unknown"
    assert says in str(error)
    assert base_facts(reference, tmp_path) is None


@pytest.mark.parametrize(("key", "kind"), [("internvl2-2b", "vision"), ("qwen2-audio-7b-instruct", "audio")])
def test_bases_of_other_kinds_are_refused_and_still_described(tmp_path: Path, key: str, kind: str) -> None:
    error = refusal(key, tmp_path)
    assert error.code == "base-not-text"
    assert f"{key} is a {kind}-language base" in str(error)
    facts = base_facts(key)
    assert facts is not None
    assert facts.obstacle == str(error)


def test_registry_facts() -> None:
    entries = registry()
    assert len(entries) == 27
    assert all(re.fullmatch(r"[0-9a-f]{40}", entry.revision) for entry in entries.values())
    facts = base_facts("llama-3.2-1b")
    assert facts is not None
    assert (facts.hf_id, facts.gated, facts.context_length) == (
        "meta-llama/Llama-3.2-1B-Instruct",
        True,
        131072,
    )
    assert (facts.parameters, facts.directory, facts.obstacle) == (1_000_000_000, None, None)


def test_key_goes_before_a_directory_of_the_same_name(tmp_path: Path) -> None:
    write_model(tmp_path / "smollm2-135m")
    facts = base_facts("smollm2-135m", tmp_path)
    assert facts is not None
    assert facts.hf_id == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert get("./smollm2-135m", tmp_path).directory == tmp_path / "smollm2-135m"


def test_unseen_model_of_the_hub_has_its_name_for_a_fact() -> None:
    facts = base_facts("hf:acme/model")
    assert facts is not None
    assert (facts.hf_id, facts.parameters, facts.directory) == ("acme/model", None, None)


def test_facts_need_no_heavy_import(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    code = (
        "import sys; from dlm_lsp.training.bases import base_facts\n"
        "for name in ('builtin:tiny', 'smollm2-135m', 'hf:a/b', 'model'): assert base_facts(name), name\n"
        "heavy = {'torch', 'transformers', 'peft', 'huggingface_hub', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_documentation_lists_every_base_and_every_code() -> None:
    root = Path(__file__).parents[2]
    text = (root / "docs" / "bases.md").read_text(encoding="utf-8")
    for entry in registry().values():
        size = f"{entry.parameters / 1e9:g} B" if entry.parameters >= 1e9 else f"{entry.parameters / 1e6:g} M"
        row = next(line for line in text.splitlines() if line.startswith(f"| `{entry.key}` |"))
        for fact in (entry.hf_id, entry.revision[:12], f" {size} ", f"{entry.context_length:,}", entry.license):
            assert fact in row
        assert row.endswith(", gated |") is entry.gated
    package = root / "dlm_lsp" / "training"
    modules = ("bases.py", "base_files.py", "hub.py")
    codes = {code for name in modules for code in re.findall(r'"(base-[a-z-]+)"', (package / name).read_text())}
    assert {code for code in codes if f"`{code}`" not in text} == set()


@pytest.mark.parametrize(
    ("reference", "nearest"),
    [
        ("smolm2-135m", "smollm2-135m"),
        ("SmolLM2-135M-Instruct", "smollm2-135m"),
        ("hf:smollm2-135m", "smollm2-135m"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm2-135m"),
        ("HuggingFaceTB/SmolLM2-135M-Instrct", "smollm2-135m"),
        ("Qwen/Qwen2.5-0.5-Instruct", "qwen2.5-0.5b"),
        ("builtin:tny", "builtin:tiny"),
        ("acme/model", "hf:acme/model"),
    ],
)
def test_the_nearest_base_is_suggested_first(tmp_path: Path, reference: str, nearest: str) -> None:
    assert refusal(reference, tmp_path).suggestions[0] == nearest


def test_what_is_like_no_base_has_no_suggestion(tmp_path: Path) -> None:
    assert refusal("zzzz", tmp_path).suggestions == ()
