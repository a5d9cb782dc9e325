"""How YAML values are written: as whole lines, or on one line; each reads back as the value that it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import yaml


def block(value: object, column: int, step: int) -> str:
    """`value` as whole lines that begin at `column`; each ends with LF."""
    blanks = " " * column
    if isinstance(value, Mapping) and value:
        return "".join(_entry(f"{blanks}{flow(key)}:", item, column, step) for key, item in value.items())
    if isinstance(value, list) and value:
        return "".join(_item(item, column, step) for item in value)
    return f"{blanks}{flow(value)}\n"


def _entry(head: str, item: object, column: int, step: int) -> str:
    if isinstance(item, Mapping | list) and item and not _is_short(item):
        return f"{head}\n{block(item, column + step, step)}"
    return f"{head} {flow(item)}\n"


def _item(item: object, column: int, step: int) -> str:
    if isinstance(item, Mapping) and item:
        lines = block(item, column + 2, step)
        return f"{lines[:column]}- {lines[column + 2 :]}"
    return f"{' ' * column}- {flow(item)}\n"


def _is_short(item: object) -> bool:
    """Whether a list reads better on one line: plain values only."""
    return isinstance(item, list) and not any(isinstance(each, Mapping | list) for each in item)


def flow(value: object) -> str:
    """`value` on one line, valid inside brackets as well."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        return value if _is_plain(value) else _quoted(value)
    return _NUMBERS[type(value)](value) if type(value) in _NUMBERS else _quoted(str(value))


_NUMBERS: Mapping[type, Callable[[object], str]] = {
    bool: lambda value: "true" if value else "false",
    type(None): lambda value: "null",
    int: str,
    float: lambda value: _float(value),
}


def _float(value: object) -> str:
    """YAML 1.1 reads `1e-05` as text: it needs the point."""
    shown = repr(value)
    named = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}
    if shown in named:
        return named[shown]
    mantissa, e, exponent = shown.partition("e")
    if not e:
        return shown
    sign = "" if exponent.startswith("-") else "+"
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{sign}{exponent.lstrip('+')}"


def _is_plain(text: str) -> bool:
    """Whether `text` reads as itself without quotes, alone, as a key and within brackets."""
    if not text or len(text) > 1_000 or text[0] in "?-:" or "\n" in text:
        return False
    try:
        found: Sequence[object] = (yaml.safe_load(text), *yaml.safe_load(f"[{text}, {{{text}: {text}}}]"))
    except yaml.YAMLError:
        return False
    except Exception:  # malformed dates and numbers end in bare Python errors inside PyYAML
        return False
    return list(found) == [text, text, {text: text}]


def _quoted(text: str) -> str:
    """In double quotes; what YAML does not take as it is, as an escape."""
    shown = json.dumps(text, ensure_ascii=False)
    return "".join(each if each == " " or each.isprintable() else _escape(ord(each)) for each in shown)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
