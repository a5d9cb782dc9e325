"""Files of a made-up base model, small and complete."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "max_position_embeddings": 128,
}
TOKENIZER = b'{"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}'


def safetensors(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """A safetensors file of zeros in 32 bits, with tensors of these names and shapes."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def write_model(directory: Path, **files: bytes | None) -> Path:
    """A complete base in `directory`; `files` (dots as `__`) replace its own, None leaves one out."""
    directory.mkdir(parents=True, exist_ok=True)
    contents: dict[str, bytes | None] = {
        "config.json": json.dumps(CONFIG).encode(),
        "tokenizer.json": TOKENIZER,
        "model.safetensors": safetensors({"embed": (10, 8), "lm_head": (10, 8)}),
    }
    contents |= {name.replace("__", "."): data for name, data in files.items()}
    for name, data in contents.items():
        if data is not None:
            (directory / name).write_bytes(data)
    return directory
