"""JSON of files that others may have written: plain data, nested no deeper than anything here can carry."""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 100


def loads(data: bytes | str) -> Any:
    """The value that `data` says. Raises ValueError for what is no JSON, and for what is nested too deep."""
    try:
        value = json.loads(data)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for each in level for child in _children(each)]
        if not level:
            return value
    raise ValueError(_TOO_DEEP)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


_TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"
