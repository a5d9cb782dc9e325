"""What lies in a base model's directory: whether it can be trained, and its facts. No torch, no network."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import math
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlm_lsp.store import plain_json, read_regular, read_start
from dlm_lsp.training.protocol import LearnerError

INCOMPLETE = frozenset({"base-no-config", "base-no-safetensors", "base-incomplete", "base-no-tokenizer"})
"""Codes of `read_base` that say files are missing, rather than that the model is of a wrong kind."""

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_MAX_HEADER = 25_000_000  # bytes; a model of a hundred thousand tensors has about 15 MB
_MAX_JSON = 25_000_000  # bytes of a config.json or an index
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
_CONTENT = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
_OPENED = (".json", ".safetensors", ".txt", ".jinja", ".model")  # what of a base's directory is ever opened
_BLOCK = 4096  # bytes
_SAMPLES = 64
_WHOLE = 1 << 20  # files up to this size are hashed whole


@dataclass(frozen=True, slots=True)
class BaseFiles:
    """A complete, trainable base in `directory`. `parameters` counts the numbers in the weight files."""

    directory: Path
    architecture: str
    parameters: int
    context_length: int | None


def read_base(directory: Path, name: str) -> BaseFiles:
    """The base in `directory`, called `name` in messages.

    Raises LearnerError: `base-no-config`, `base-no-safetensors`, `base-incomplete`, `base-no-tokenizer`, or
    what `check_config` raises.
    """
    _check_entries(directory, name)
    config = read_config(directory, name)
    architecture = check_config(config, name)
    weights = _weight_files(directory, name)
    parameters = sum(_count_parameters(path, name) for path in weights)
    _check_tokenizer(directory, name)
    return BaseFiles(
        directory=directory,
        architecture=architecture,
        parameters=parameters,
        context_length=next((n for key in _CONTEXT_KEYS if isinstance(n := config.get(key), int)), None),
    )


def _check_entries(directory: Path, name: str) -> None:
    """Raises LearnerError `base-bad-config` for a pipe or a device, which would keep whatever opens it waiting."""
    try:
        with os.scandir(directory) as entries:
            odd = next((each.name for each in entries if each.name.endswith(_OPENED) and _is_odd(each)), None)
    except OSError as error:
        raise _error("base-bad-config", f"{name} cannot be read: {error.strerror}.") from None
    if odd is not None:
        raise _error("base-bad-config", f"{odd} in {name} is not a regular file: put a copy of the file there.")


def _is_odd(entry: os.DirEntry[str]) -> bool:
    try:
        mode = entry.stat().st_mode
    except OSError:  # a link to nothing or to itself: whoever needs the file says that it is missing
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def read_config(directory: Path, name: str) -> dict[str, Any]:
    """The model's `config.json`. Raises LearnerError `base-no-config` or `base-bad-config`."""
    try:
        config = _read_json(directory / "config.json")
    except FileNotFoundError:
        raise _error(
            "base-no-config",
            f"{name} has no config.json: a base is a directory with config.json, {_WEIGHTS} and"
            " tokenizer.json, as save_pretrained() of transformers writes it.",
        ) from None
    except (OSError, ValueError) as error:
        raise _error("base-bad-config", f"The config.json of {name} cannot be read: {error}.") from None
    if not isinstance(config, dict):
        raise _error("base-bad-config", f"The config.json of {name} is not a JSON object.")
    return config


def check_config(config: Mapping[str, Any], name: str) -> str:
    """The architecture that `config` names, if it is one that can be trained here.

    Raises LearnerError: `base-unsupported` (not a causal language model of text, or unknown to the installed
    transformers), `base-remote-code` (its model class comes as code of its own), `base-quantised`.
    """
    declared = config.get("architectures")
    architecture = declared[0] if isinstance(declared, list) and declared else None
    if not isinstance(architecture, str) or not architecture.isidentifier():
        raise _error("base-bad-config", f"The config.json of {name} does not name its architecture.")
    if not _in_transformers(architecture, str(config.get("model_type", ""))):
        if config.get("auto_map"):
            raise _error(
                "base-remote-code",
                f"{name} can only be loaded by running Python code from its own repository ({architecture}),"
                " which is never done here. Choose a base whose architecture is part of transformers.",
            )
        raise _error(
            "base-unsupported",
            f"{name} has the architecture {architecture}, which the installed transformers does not have."
            " Update transformers, or choose another base.",
        )
    if not architecture.endswith(("ForCausalLM", "LMHeadModel")):
        raise _error(
            "base-unsupported",
            f"{name} is a {architecture}, not a language model that continues text (…ForCausalLM). Choose a text base.",
        )
    quantisation = config.get("quantization_config")
    if quantisation:
        method = quantisation.get("quant_method", "") if isinstance(quantisation, Mapping) else ""
        raise _error(
            "base-quantised",
            f"The weights of {name} are quantised{f' ({method})' if method else ''} and cannot be trained on."
            " Choose the unquantised model.",
        )
    return architecture


def content_revision(directory: Path) -> str:
    """40 hex digits that change when the model's files do: a directory has no commit to be pinned by.

    SHA-256 over the names and sizes of configuration, tokenizer and weights, the whole of small files, and 64
    evenly spaced blocks of 4 KiB of large ones: the same after a copy, and cheap at any size.
    """
    digest = hashlib.sha256()
    present = [directory / name for name in _CONTENT if (directory / name).is_file()]
    for path in (*present, *sorted(path for path in directory.glob("*.safetensors") if path.is_file())):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= _WHOLE:
                digest.update(file.read())
                continue
            for sample in range(_SAMPLES):
                file.seek((size - _BLOCK) * sample // (_SAMPLES - 1))
                digest.update(file.read(_BLOCK))
    return digest.hexdigest()[:40]


def _weight_files(directory: Path, name: str) -> list[Path]:
    """The weight files that transformers would load: the single one, else those that the index names."""
    single = directory / _WEIGHTS
    if single.is_file():
        return [single]
    try:
        index = _read_json(directory / _INDEX)
        shards = sorted({str(shard) for shard in index["weight_map"].values()})
    except FileNotFoundError:
        pickled = any(any(directory.glob(pattern)) for pattern in ("*.bin", "*.pt", "*.pth"))
        raise _error(
            "base-no-safetensors",
            f"{name} has its weights only as pickle files (.bin), which can run code when they are read and"
            " are not read here. Choose a base with safetensors, or convert it: save_pretrained() of"
            f" transformers writes {_WEIGHTS}."
            if pickled
            else f"{name} has no weights in the safetensors format ({_WEIGHTS}, or several with {_INDEX}).",
        ) from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _error("base-incomplete", f"The {_INDEX} of {name} cannot be read: {error}.") from None
    missing = [shard for shard in shards if Path(shard).name != shard or not (directory / shard).is_file()]
    if missing or not shards:
        raise _error(
            "base-incomplete",
            f"{name} lacks {len(missing)} of its {len(shards)} weight files"
            f"{f', such as {missing[0]}' if missing else ''}.",
        )
    return [directory / shard for shard in shards]


def _count_parameters(path: Path, name: str) -> int:
    """How many numbers a safetensors file holds, from its header: a u64 length (little endian), then JSON."""
    try:
        (length,) = struct.unpack("<Q", read_start(path, 8))
        if length > _MAX_HEADER:
            raise ValueError("its header is too long")
        header = plain_json.loads(read_start(path, 8 + length)[8:])
        shapes = {key: tensor["shape"] for key, tensor in header.items() if key != "__metadata__"}
        end = max((tensor["data_offsets"][1] for key, tensor in header.items() if key != "__metadata__"), default=0)
        cut = path.stat().st_size < 8 + length + end
        parameters: int = sum(math.prod(shape) for shape in shapes.values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
        raise _error(
            "base-incomplete",
            f"{path.name} of {name} is not a safetensors file ({error}). If the directory is a git clone, its"
            " large files may be missing: run `git lfs pull` there.",
        ) from None
    if cut:
        raise _error("base-incomplete", f"{path.name} of {name} is cut short: copy or download it again.")
    return parameters


def _read_json(path: Path) -> Any:
    """Raises OSError, and ValueError for what is no JSON."""
    return plain_json.loads(read_regular(path, _MAX_JSON).decode())


def _check_tokenizer(directory: Path, name: str) -> None:
    if (directory / "tokenizer.json").is_file():
        return
    if (directory / "vocab.json").is_file() and (directory / "merges.txt").is_file():
        return
    raise _error(
        "base-no-tokenizer",
        f"{name} has no tokenizer.json: save its tokenizer with save_pretrained() of transformers, which writes it.",
    )


@functools.lru_cache(256)
def _in_transformers(architecture: str, model_type: str) -> bool:
    """Whether the installed transformers defines the class, found without importing it, as that is slow."""
    found = importlib.util.find_spec("transformers")
    if found is None or found.origin is None:
        return True
    models = Path(found.origin).parent / "models"
    module = model_type.replace("-", "_")
    expected = models / module / f"modeling_{module}.py" if module.isidentifier() else None
    known = [expected] if expected and _is_file(expected) else list(models.glob("*/modeling_*.py"))
    return not known or any(f"class {architecture}(" in text for text in _texts(known))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name too long
        return False


def _texts(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        yield path.read_text(encoding="utf-8", errors="replace")


def _error(code: str, message: str) -> LearnerError:
    return LearnerError(message, code=code, key="base_model")
