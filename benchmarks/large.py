"""Large documents against the goals: completion, hover, keystrokes, and what an editor asks after each of them.

Everything is measured from outside, over the standard streams of the server as installed: from the moment the first
byte is sent to the moment the last byte of the answer is read and decoded. `python -m benchmarks.large`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.client import Client
from benchmarks.documents import document, exchange
from benchmarks.figures import percentile, table

PUBLISH = "textDocument/publishDiagnostics"
VSCODE = {
    "textDocument": {
        "documentSymbol": {"hierarchicalDocumentSymbolSupport": True},
        "foldingRange": {"rangeLimit": 5_000, "lineFoldingOnly": True},
        "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["", "quickfix", "source"]}}},
        "publishDiagnostics": {"relatedInformation": True, "versionSupport": True, "dataSupport": True},
        "hover": {"contentFormat": ["markdown", "plaintext"]},
    }
}
PAUSE = 0.06  # seconds between two keystrokes: sixteen a second, as nobody types
PROSE = "Mira keeps the light at Orvane, and writes every night what the sea did, which ships went by and why.\n"


def sections(count: int = 5_000) -> str:
    """About 1 MB in `count` instruction sections."""
    chance = random.Random(1)
    body = "".join(f"{exchange(chance)}{PROSE}" for _ in range(count))
    return document(0, seed=1) + body


def prose(size: int = 1_000_000, count: int = 8) -> str:
    """`size` characters in `count` prose sections with a heading every ten lines."""
    lines = size // count // len(PROSE)
    parts = []
    for number in range(count):
        text = "".join(("\n## Night\n\n" if line % 10 == 0 else "") + f"{line} {PROSE}" for line in range(lines))
        parts.append(f"\n::prose::\n# Log {number}\n{text}")
    return document(0, seed=1) + "".join(parts)


def exchanges(size: int = 1_000_000, count: int = 8) -> str:
    """`size` characters in `count` instruction sections of hundreds of exchanges each."""
    chance, parts, total = random.Random(2), [], 0
    for _ in range(count):
        part = "\n::instruction::\n"
        while len(part) < size // count:
            part += exchange(chance).partition("::instruction::\n")[2] + PROSE + "\n"
        parts.append(part)
        total += len(part)
    return document(0, seed=1) + "".join(parts)


def sources(count: int = 2_000) -> str:
    """A frontmatter that names `count` sources, above a hundred sections."""
    listed = "".join(f"    - path: notes/chapter-{number}.md\n" for number in range(count))
    return document(100, seed=1, settings=f"training:\n  sources:\n{listed}")


DOCUMENTS: dict[str, Callable[[], str]] = {
    "5,000 sections": sections,
    "8 long texts": prose,
    "8 long Q/A sections": exchanges,
    "2,000 sources": sources,
}


class Editor:
    """One open document, and what an editor does with it."""

    def __init__(self, client: Client, path: Path, text: str) -> None:
        self.client = client
        self.path = path
        self.lines = text.split("\n")
        self.head = self.lines.index("---", 1)
        self.version = 1
        self.of = {"textDocument": {"uri": path.as_uri()}}
        client.open(path, text)

    def places(self, count: int) -> Iterator[tuple[int, int]]:
        """Places in lines of ordinary text all over the body."""
        chance = random.Random(count)
        while count:
            number = chance.randrange(self.head + 1, len(self.lines))
            if len(self.lines[number]) > 20:
                count -= 1
                yield number, chance.randrange(10, len(self.lines[number]))

    def type(self, line: int, column: int, text: str) -> None:
        self.version += 1
        place = {"line": line, "character": column}
        written = {**self.of["textDocument"], "version": self.version}
        change = {"range": {"start": place, "end": place}, "text": text}
        self.client.notify("textDocument/didChange", {"textDocument": written, "contentChanges": [change]})

    def erase(self, line: int, column: int, text: str) -> None:
        self.version += 1
        end = {"line": line + 1, "character": 0} if text == "\n" else {"line": line, "character": column + len(text)}
        written = {**self.of["textDocument"], "version": self.version}
        change = {"range": {"start": {"line": line, "character": column}, "end": end}, "text": ""}
        self.client.notify("textDocument/didChange", {"textDocument": written, "contentChanges": [change]})

    async def told(self) -> None:
        """Until the problems of the newest text came."""
        await self.client.until(self._is_told)

    def _is_told(self) -> bool | None:
        for method, params in reversed(self.client.news):
            if method == PUBLISH:
                return params.get("version") == self.version or None
        return None

    async def at(self, method: str, line: int, column: int) -> Any:
        return await self.client.request(method, {**self.of, "position": {"line": line, "character": column}})

    async def burst(self, line: int) -> None:
        """What VS Code asks after a keystroke, all at once."""
        end = {"line": min(line + 50, len(self.lines) - 1), "character": 0}
        shown = {"start": {"line": max(line - 50, 0), "character": 0}, "end": end}
        ask = self.client.request
        await asyncio.gather(
            ask("textDocument/semanticTokens/range", {**self.of, "range": shown}),
            ask("textDocument/semanticTokens/full", self.of),
            ask("textDocument/documentSymbol", self.of),
            ask("textDocument/foldingRange", self.of),
            ask("textDocument/codeLens", self.of),
            ask("textDocument/documentLink", self.of),
            ask("textDocument/codeAction", {**self.of, "range": shown, "context": {"diagnostics": []}}),
        )


def busy(process: psutil.Process) -> float:
    """Seconds of processor time."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def timed(work: Any) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1000


async def measured(folder: Path, name: str, count: int) -> list[list[str]]:
    text, path = DOCUMENTS[name](), folder / "large.dlm"
    client = await Client.start(folder / "home")
    await client.initialize(declared=VSCODE)
    opening = time.perf_counter()
    editor = Editor(client, path, text)
    await editor.told()
    opened = (time.perf_counter() - opening) * 1000
    process = psutil.Process(client.process.pid)
    rows: dict[str, list[float]] = {}
    spent: dict[str, float] = {}

    async def take(title: str, work: Awaitable[Any], since: float | None = None) -> None:
        before = busy(process) if since is None else since
        rows.setdefault(title, []).append(await timed(work))
        spent[title] = spent.get(title, 0.0) + busy(process) - before

    for line, column in editor.places(count):
        await take("hover", editor.at("textDocument/hover", line, column))
        await take("completion", editor.at("textDocument/completion", line, column))
    for title, key in (("a letter → problems", "x"), ("a new line → problems", "\n")):
        for line, column in editor.places(count):
            since = busy(process)
            editor.type(line, column, key)
            await take(title, editor.told(), since)
            await asyncio.sleep(PAUSE)
            editor.erase(line, column, key)
            await editor.told()
            await asyncio.sleep(PAUSE)
    few = max(count // 5, 5)
    for line, column in editor.places(few):
        since = busy(process)
        for _ in range(20):
            editor.type(line, column, "x")
        await take("20 keystrokes, then a hover", editor.at("textDocument/hover", line, column), since)
        await editor.told()
        editor.erase(line, column, "x" * 20)
        await editor.told()
        await asyncio.sleep(PAUSE)
    for line, column in editor.places(few):
        since = busy(process)
        editor.type(line, column, "x")
        await take("a letter, then all that an editor asks", editor.burst(line), since)
        editor.erase(line, column, "x")
        await editor.told()
        await asyncio.sleep(PAUSE)
    size = process.memory_info().rss / 1e6
    await client.stop()
    print(f"{name}: {len(text):,} characters, opened in {opened:.0f} ms, {size:.0f} MB resident at the end")
    return [
        [
            name,
            title,
            str(len(values)),
            *(f"{percentile(values, share):.1f}" for share in (0.5, 0.95, 0.99)),
            f"{spent[title] / len(values) * 1000:.1f}",
        ]
        for title, values in rows.items()
    ]


async def brackets(folder: Path, depth: int, count: int) -> list[str]:
    """A keystroke in a frontmatter of `depth` nested brackets."""
    text = document(3, seed=1, settings=f"tags: {'[' * depth}{']' * depth}\n")
    client = await Client.start(folder / "home")
    await client.initialize(declared={})
    editor = Editor(client, folder / "nested.dlm", text)
    await editor.told()
    waits, before = [], busy(psutil.Process(client.process.pid))
    for _ in range(count):
        editor.type(3, 6, "[")
        waits.append(await timed(editor.told()))
        await asyncio.sleep(PAUSE)
    spent = (busy(psutil.Process(client.process.pid)) - before) / count * 1000
    await client.stop()
    shares = [f"{percentile(waits, share):.1f}" for share in (0.5, 0.95, 0.99)]
    return ["10,000 brackets", "a bracket → problems", str(count), *shares, f"{spent:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how often each thing is done")
    parser.add_argument("--only", nargs="+", choices=[*DOCUMENTS, "brackets"], default=[*DOCUMENTS, "brackets"])
    options = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    rows: list[list[str]] = []
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder).resolve()
            if name == "brackets":
                rows.append(asyncio.run(brackets(place, 10_000, options.count)))
            else:
                rows += asyncio.run(measured(place, name, options.count))
    print("\n" + table(["document", "what", "n", "p50 ms", "p95", "p99", "server's own ms, mean"], rows))


if __name__ == "__main__":
    main()
