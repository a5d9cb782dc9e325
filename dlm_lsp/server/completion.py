"""What can be written at a place: keys, values, bases, fences, headers, adapters, paths. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lsprotocol import types

from dlm_lsp.document import Range, describe_key, keys_at
from dlm_lsp.document.body import MEDIA_ATTRIBUTES
from dlm_lsp.document.cursor import (
    AtAdapter,
    AtAttribute,
    AtFence,
    AtHeader,
    AtKey,
    AtPath,
    AtValue,
    Cursor,
)
from dlm_lsp.document.exchanges import headers_of
from dlm_lsp.server.convert import Positions
from dlm_lsp.server.hover import base_rows, key_rows, plain, rounded
from dlm_lsp.server.nearby import NearBase
from dlm_lsp.training.bases import BUILTIN, BaseFacts, RegistryEntry, registry

TRIGGERS = (":", "#", "/", " ")

# What can stand in YAML without quotes, and within those of YAML and of fences, which take no escapes.
_PLAIN_PATH = re.compile(r"[\w./~][^\s\"'#:{}\[\],&*]*(?: [^\s\"'#:{}\[\],&*]+)*")
_QUOTED_PATH = re.compile(r"[^\"'\\\x00-\x1f\x7f-\U0010ffff]*")

_FENCES = {
    "::instruction::": ("Questions and answers", "::instruction::\n### Q\n${1:Question?}\n### A\n${2:Answer.}\n$0"),
    "::prose::": ("Text to read on from", "::prose::\n$0"),
    "::preference::": (
        "A prompt with a better and a worse answer",
        "::preference::\n### Prompt\n${1:Prompt}\n### Chosen\n${2:Better answer}\n### Rejected\n${3:Worse answer}\n$0",
    ),
    "::image::": ("A picture with its caption", '::image path="${1:picture.png}" alt="${2:What it shows}"::\n$0'),
    "::audio::": ("A recording", '::audio path="${1:sound.wav}" transcript="${2:What is said}"::\n$0'),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """What is known around the place. `paths` lists what begins with a path, as names that end the path so far."""

    cursor: Cursor
    adapters: tuple[str, ...]
    paths: Callable[[str], Iterable[tuple[str, bool]]]  # name, and whether it is a directory
    snippets: bool
    bases: Sequence[NearBase] = ()  # those on this machine that are not in the registry, and folders with some


def complete(offer: Offer, positions: Positions) -> list[types.CompletionItem]:
    """The items for a place; documentation comes when an item is looked at (`resolved`)."""
    match offer.cursor:
        case AtKey():
            return [_key(offer.cursor, name, positions) for name in _free_keys(offer.cursor)]
        case AtValue():
            return (
                _bases(offer, offer.cursor, positions)
                if offer.cursor.path == ("base_model",)
                else _values(offer.cursor, positions)
            )
        case AtFence():
            return [
                _item(name, offer.cursor.range, positions, snippet if offer.snippets else _plain(snippet), about,
                      kind=types.CompletionItemKind.Snippet, snippet=offer.snippets)
                for name, (about, snippet) in _FENCES.items()
            ]  # fmt: skip
        case AtHeader():
            names = headers_of(offer.cursor.kind)
            kind = types.CompletionItemKind.Keyword
            return [
                _item(
                    name, offer.cursor.range, positions, name, kind=kind, sort=f"{int(name != offer.cursor.due)}{name}"
                )
                for name in names
            ]
        case AtAdapter():
            kind = types.CompletionItemKind.Variable
            return [_item(name, offer.cursor.range, positions, name, kind=kind) for name in offer.adapters]
        case AtAttribute():
            return _attributes(offer.cursor, positions, snippets=offer.snippets)
        case AtPath():
            return _paths(offer, offer.cursor, positions)


def resolved(
    item: types.CompletionItem, base: Callable[[str], BaseFacts | None], *, markdown: bool
) -> types.CompletionItem:
    """`item` with its documentation; unchanged when it has none."""
    data: Any = item.data if isinstance(item.data, dict) else {}
    rows: list[str] = []
    if isinstance(path := data.get("key"), list):
        info = describe_key(tuple(path))
        rows = key_rows(info) if info else []
    elif isinstance(name := data.get("base"), str) and (facts := base(name)):
        rows = base_rows(facts)
    if rows:
        text = "  \n".join(rows)
        item.documentation = types.MarkupContent(types.MarkupKind.Markdown, text) if markdown else plain(text)
    return item


def _free_keys(cursor: AtKey) -> Sequence[str]:
    return [name for name in keys_at(cursor.parent) if name not in cursor.written]


def _key(cursor: AtKey, name: str, positions: Positions) -> types.CompletionItem:
    path = (*cursor.parent, name)
    info = describe_key(path)
    text = name
    if cursor.alone:
        below = " " * (cursor.indent + 2)
        nested = keys_at(path)
        many = info is not None and info.type.startswith("list of mappings")
        text = f"{name}:\n{below}" if nested else f"{name}:\n{below}- " if many else f"{name}: "
    required = info is not None and info.required
    return _item(
        name,
        cursor.range,
        positions,
        text,
        (info.expected if info else ""),
        kind=types.CompletionItemKind.Property,
        sort=f"{0 if required else 1}{name}",
        data={"key": list(path)},
    )


def _values(cursor: AtValue, positions: Positions) -> list[types.CompletionItem]:
    info = describe_key(cursor.path)
    if info is None:
        return []
    names = list(info.allowed)
    names += ["true", "false"] if info.type.startswith("true or false") else []
    return [
        _item(
            name,
            cursor.range,
            positions,
            name,
            "default" if name == info.default else "",
            kind=types.CompletionItemKind.EnumMember,
            sort=f"{number:02d}",
            data={"key": list(cursor.path)},
        )
        for number, name in enumerate(names)
    ]


def _bases(offer: Offer, cursor: AtValue, positions: Positions) -> list[types.CompletionItem]:
    """The built-in one, what is on this machine, and the registry by size."""
    here = {base.name for base in offer.bases}
    found = [_base(BUILTIN, "0", "in the package, works offline", cursor, positions)]
    for base in offer.bases:
        if base.facts is None:
            kind = types.CompletionItemKind.Folder
            found.append(_item(base.name, cursor.range, positions, base.name, kind=kind, sort=f"3{base.name}"))
        elif base.name not in registry():
            detail = base.facts.obstacle or f"{_facts(base.facts)} · on this machine"
            found.append(_base(base.name, f"1{base.name}", detail, cursor, positions))
    for name, entry in registry().items():
        detail = _facts(entry)
        detail += "" if entry.modality.startswith("text") else f" · {entry.modality}, not trained on save"
        detail += " · on this machine" if name in here else ""
        found.append(_base(name, f"2{entry.parameters:015d}", detail, cursor, positions))
    return found


def _facts(base: RegistryEntry | BaseFacts) -> str:
    known = [rounded(base.parameters)] if base.parameters is not None else []
    known += [f"context {base.context_length:,}"] if base.context_length is not None else []
    return " · ".join((*known, base.license) if base.license else known)


def _base(name: str, sort: str, detail: str, cursor: AtValue, positions: Positions) -> types.CompletionItem:
    kind = types.CompletionItemKind.Value
    return _item(name, cursor.range, positions, name, detail, kind=kind, sort=sort, data={"base": name})


def _attributes(cursor: AtAttribute, positions: Positions, *, snippets: bool) -> list[types.CompletionItem]:
    names = [name for name in MEDIA_ATTRIBUTES[cursor.kind] if name not in cursor.written]
    kind = types.CompletionItemKind.Field
    return [
        _item(name, cursor.range, positions, f'{name}="$1"' if snippets else f'{name}=""', kind=kind, snippet=snippets)
        for name in names
    ]


def _paths(offer: Offer, cursor: AtPath, positions: Positions) -> list[types.CompletionItem]:
    folder = cursor.text.rpartition("/")[0] + "/" if "/" in cursor.text else ""
    return [
        _item(
            f"{name}/" if is_folder else name,
            cursor.range,
            positions,
            f"{folder}{name}{'/' if is_folder else ''}",
            kind=types.CompletionItemKind.Folder if is_folder else types.CompletionItemKind.File,
            filter_=f"{folder}{name}",
        )
        for name, is_folder in offer.paths(folder)
        if (_PLAIN_PATH if cursor.plain else _QUOTED_PATH).fullmatch(f"{folder}{name}")
    ]


def _plain(snippet: str) -> str:
    """A snippet's text for clients without snippets: its placeholders as ordinary text."""
    text = snippet
    while "${" in text:
        before, _, rest = text.partition("${")
        inside, _, after = rest.partition("}")
        text = before + inside.partition(":")[2] + after
    return text.replace("$0", "")


def _item(
    label: str,
    where: Range,
    positions: Positions,
    text: str,
    detail: str = "",
    *,
    kind: types.CompletionItemKind,
    snippet: bool = False,
    sort: str | None = None,
    filter_: str | None = None,
    data: dict[str, Any] | None = None,
) -> types.CompletionItem:
    return types.CompletionItem(
        label=label,
        kind=kind,
        detail=detail or None,
        sort_text=sort,
        filter_text=filter_ or label,
        insert_text_format=types.InsertTextFormat.Snippet if snippet else types.InsertTextFormat.PlainText,
        text_edit=types.TextEdit(positions.range(where), text),
        data=data,
    )
