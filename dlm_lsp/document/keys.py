"""What a frontmatter key means: read from the schema's models, for hover, completion and messages."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dlm_lsp.document.model import KeyPath
from dlm_lsp.document.schema import Frontmatter


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """All that the schema says of one key.

    `type` is such as "integer" or "`auto` or integer", `default` is as one would write it in YAML ("" for a
    mapping, whose keys have their own), `bounds` is such as "1 to 256" or "", `allowed` are the values of a
    choice, and `expected` says type, bounds and choice in one phrase.
    """

    path: KeyPath
    meaning: str
    type: str
    default: str
    required: bool
    bounds: str
    allowed: tuple[str, ...]
    expected: str


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place in the schema: its type, the constraints on it, and the field it belongs to."""

    annotation: Any
    constraints: tuple[Any, ...] = ()
    field: FieldInfo | None = None
    meaning: str = ""


def describe_key(path: KeyPath) -> KeyInfo | None:
    """What the key at `path` means, or None when the schema has none there.

    `path` is as in `Document.keys`: ("training", "sources", 0, "path"), ("training", "adapters", NAME).
    """
    slot = _slot(path)
    if slot is None or not path:
        return None
    allowed = _allowed(slot.annotation)
    bounds = _bounds(slot)
    kind = _type_text(slot.annotation)
    required = slot.field is not None and slot.field.is_required()
    default = ""
    if slot.field is not None and not required:
        default = _yaml_text(slot.field.get_default(call_default_factory=False))
    return KeyInfo(path, slot.meaning, kind, default, required, bounds, allowed, _expected(slot.annotation, bounds))


def keys_at(path: KeyPath) -> tuple[str, ...]:
    """The keys that may stand in the mapping at `path` (`()` is the top level); none where names are free."""
    slot = _slot(path)
    model = _model(slot.annotation) if slot else None
    return tuple(model.model_fields) if model else ()


def _slot(path: KeyPath) -> _Slot | None:
    slot = _Slot(Frontmatter)
    for step in path:
        below = _below(slot, step)
        if below is None:
            return None
        slot = below
    return slot


def _below(slot: _Slot, step: str | int) -> _Slot | None:
    for option in _options(slot.annotation):
        arguments = get_args(option)
        if isinstance(step, int):
            if get_origin(option) is tuple:
                return _Slot(arguments[0], meaning=slot.meaning)
        elif get_origin(option) is dict:
            return _Slot(arguments[1], meaning="A named adapter.")
        elif isinstance(option, type) and issubclass(option, BaseModel):
            field = option.model_fields.get(step)
            if field is not None:
                return _Slot(field.annotation, tuple(field.metadata), field, field.description or "")
    return None


def _options(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union, without null and without the wrapping of constraints."""
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(option for part in get_args(annotation) if part is not type(None) for option in _options(part))
    return (annotation,)


def _model(annotation: Any) -> type[BaseModel] | None:
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _nullable(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation)


def _allowed(annotation: Any) -> tuple[str, ...]:
    return tuple(
        str(value) for option in _options(annotation) if get_origin(option) is Literal for value in get_args(option)
    )


_SCALARS = {bool: "true or false", int: "integer", float: "number", str: "text"}


def _type_text(annotation: Any) -> str:
    names = []
    for option in _options(annotation):
        if get_origin(option) is Literal:
            names.append(" or ".join(f"`{value}`" for value in get_args(option)))
        elif get_origin(option) is tuple:
            item = get_args(option)[0]
            names.append("list of texts" if item is str else "list of mappings")
        else:
            names.append(_SCALARS.get(option, "mapping"))
    if _nullable(annotation):
        names.append("nothing")
    return " or ".join(names)


def _bounds(slot: _Slot) -> str:
    low = high = ""
    inclusive = True
    for constraint in (*slot.constraints, *_inner_constraints(slot.annotation)):
        match constraint:
            case annotated_types.Ge(ge=value):
                low = f"{value}"
            case annotated_types.Gt(gt=value):
                low, inclusive = f"{value}", False
            case annotated_types.Le(le=value):
                high = f"{value}"
            case annotated_types.MinLen():
                return "not empty"
    if low and high:
        return f"{low} to {high}" if inclusive else f"greater than {low} and at most {high}"
    if low:
        return f"at least {low}" if inclusive else f"greater than {low}"
    return f"at most {high}" if high else ""


def _inner_constraints(annotation: Any) -> tuple[Any, ...]:
    """Constraints on one alternative of a union, as in `Literal["auto"] | Annotated[int, Field(ge=1)]`."""
    found: list[Any] = []
    for part in get_args(annotation):
        if get_origin(part) is Annotated:
            for extra in get_args(part)[1:]:
                found += extra.metadata if isinstance(extra, FieldInfo) else [extra]
    return tuple(found)


def _expected(annotation: Any, bounds: str) -> str:
    allowed = _allowed(annotation)
    phrases = [f"one of {', '.join(f'`{value}`' for value in allowed)}"] if len(allowed) > 1 else []
    phrases += [f"`{allowed[0]}`"] if len(allowed) == 1 else []
    for option in _options(annotation):
        if get_origin(option) is Literal:
            continue
        if option in (int, float):
            open_ended = option is float and not (" to " in bounds or "at most" in bounds)
            phrase = "an integer" if option is int else "a finite number" if open_ended else "a number"
            joint = "from " if " to " in bounds else "of " if bounds.startswith("at") else ""
            phrases.append(f"{phrase} {joint}{bounds}".rstrip())
        elif option is bool:
            phrases.append("true or false")
        elif option is str:
            phrases.append("text that is not empty" if bounds else "text (quote it if it looks like something else)")
        elif get_origin(option) is tuple:
            phrases.append("a list of texts" if get_args(option)[0] is str else "a list of mappings")
        else:
            phrases.append("a mapping (indented `key: value` lines)")
    if _nullable(annotation):
        phrases.append("nothing (`null`)")
    return " or ".join(phrases)


def _yaml_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(repr(item) for item in value)}]".replace("'", '"')
    return "" if isinstance(value, BaseModel) or str(value) == "PydanticUndefined" else str(value)
