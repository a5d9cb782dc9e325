"""`make soak`: hundreds of saves on a real server; threads, descriptors, tokens and memory have to stay flat.

`python -m tests.soak.soak` prints a table for each learner and ends with 1 if a bound was broken. The tables
inside of a server are counted by a third part, on a server in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import statistics
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from lsprotocol import types

from dlm_lsp.runs.control import RunControl
from dlm_lsp.runs.records import Record
from dlm_lsp.server.documents import OpenDocument
from tests.fakes import FAIL, FakeLearner
from tests.server.editor import SERVER, Editor, exchange
from tests.server.inside import Inside, inside

REAL = ("-m", "dlm_lsp")
SETTINGS = {"debounceMs": 0, "keepVersions": 3, "maxSteps": 12}

# How much the server's memory may grow (MB): with the fake learner between the first and the last third of the
# saves after the warm-up (the ledger of what was learned grows by right), with the real one after its third run.
FAKE_GROWTH = 6.0
REAL_GROWTH = 50.0
# One helper thread may come or go: the interpreter's pool makes them at need.
THREADS, DESCRIPTORS = 1, 1


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server's process has after so many saves, with nothing going on."""

    saves: int
    threads: int
    descriptors: int
    open_tokens: int
    megabytes: float


class Author:
    """Saves in turn what is new, what is the same, and what fails; opens and closes other documents between."""

    def __init__(self, folder: Path, *, failing: bool = True) -> None:
        self.folder = folder
        self.failing = failing
        self.saved = ""

    def text(self, number: int) -> str:
        """The text of save `number`: six sections, one of them new each time, three documents in turn."""
        if number % 10 == 7 and self.saved:
            return self.saved  # nothing new
        if self.failing and number % 25 == 24:
            return self._text(number, FAIL)
        self.saved = self._text(number, f"It is number {number}.")
        return self.saved

    def _text(self, number: int, answer: str) -> str:
        head = f"---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F{number % 3}\nbase_model: builtin:tiny\n---\n"
        known = "".join(exchange(f"What is fact {each}?", f"Fact {each} is so.") for each in range(5))
        return head + known + exchange("What is the latest?", answer)

    def path(self, number: int) -> Path:
        return self.folder / f"document-{number % 3}.dlm"

    def other(self, number: int) -> Path:
        """A document that is only looked at; never the same one twice."""
        return self.folder / f"other-{number}.dlm"


async def on_a_process(editor: Editor, author: Author, saves: int, every: int) -> list[Sample]:
    """`saves` saves in a real server; a sample after each `every` of them."""
    samples = []
    opened: set[str] = set()
    for number in range(saves):
        author.saved = author.saved if number % 10 == 7 else ""
        path = author.path(number)
        text = author.text(number)
        if path.as_uri() not in opened:
            opened.add(editor.open(path, ""))
        editor.save(path, text)
        await editor.idle(path.as_uri())
        await editor.hover(path.as_uri(), 0)
        if number % 5 == 4:
            editor.close(editor.open(author.other(number), text))
        if number % every == every - 1:
            samples.append(sample(editor, number + 1))
    return samples


def sample(editor: Editor, saves: int) -> Sample:
    process = psutil.Process(editor.process.pid)
    stories: dict[Any, list[str]] = {}
    for params in editor.all(types.PROGRESS):
        stories.setdefault(params.token, []).append(params.value["kind"])
    with process.oneshot():
        return Sample(
            saves=saves,
            threads=process.num_threads(),
            descriptors=process.num_fds(),
            open_tokens=sum(1 for story in stories.values() if story[-1] != "end"),
            megabytes=process.memory_info().rss / 1e6,
        )


def broken(samples: Sequence[Sample], growth: float, *, warm: int) -> list[str]:
    """A sentence for each bound that the samples after the first `warm` ones break."""
    flat = samples[warm:]
    threads, descriptors = [each.threads for each in flat], [each.descriptors for each in flat]
    third = max(1, len(flat) // 3)
    before = statistics.median(each.megabytes for each in flat[:third])
    after = statistics.median(each.megabytes for each in flat[-third:])
    found = []
    if max(threads) - threads[0] > THREADS:
        found.append(f"threads grew from {threads[0]} to {max(threads)}")
    if max(descriptors) - descriptors[0] > DESCRIPTORS:
        found.append(f"file descriptors grew from {descriptors[0]} to {max(descriptors)}")
    if any(each.open_tokens for each in flat):
        found.append(f"progress without an end: {[each.open_tokens for each in flat]}")
    if after - before > growth:
        found.append(f"memory grew from {before:.1f} to {after:.1f} MB; {growth:g} MB are allowed")
    return found


async def tables(client: Inside) -> Counter[str]:
    """How many entries every table has that could keep something of a run, a document or a request."""
    server = client.server
    while server._tasks or server.reporter._tasks:  # what the client was asked last is just being answered
        await asyncio.wait({*server._tasks, *server.reporter._tasks}, timeout=20)
    gc.collect()
    kept = (Record, RunControl, OpenDocument)
    ours = Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, kept))
    outbox, reporter, sync = server.outbox, server.reporter, server.sync
    return Counter(
        {
            "request futures": len(server.protocol._request_futures),
            "result types": len(server.protocol._result_types),
            "tasks of the server": len(server._tasks) + len(reporter._tasks),
            "tasks of the loop": len(asyncio.all_tasks()),
            "runs shown": len(reporter._runs),
            "outbox": sum(map(len, (outbox._waiting, outbox._timers, outbox._last))),
            "published": len(outbox._published),
            "documents": len(list(server.documents)),
            "sync": len(sync._timers) + len(sync._handed) + len(sync.disk._looks) + len(sync.disk._timers),
            "statuses": len(server.supervisor.statuses()),
            "threads": threading.active_count(),
            **{f"objects: {name}": number for name, number in ours.items()},
        }
    )


async def in_this_process(folder: Path, saves: int) -> tuple[Counter[str], Counter[str]]:
    """The tables after a sixth of the saves, and at the end."""
    author = Author(folder)
    middle: Counter[str] = Counter()
    # A logged exception keeps its frames for whoever collects the log, as test runners do.
    async with inside(folder / "inside", FakeLearner(diary=False), **SETTINGS, logLevel="error") as client:
        uris = [client.open(author.path(number), "") for number in range(3)]
        for number in range(saves):
            author.saved = author.saved if number % 10 == 7 else ""
            client.save(author.path(number), author.text(number))
            await client.request("dlm/waitForIdle", {"uri": uris[number % 3]})
            if number % 5 == 4:
                client.close_document(client.open(author.other(number), author.text(number)))
            client.told.clear()
            if number == saves // 6:
                middle = await tables(client)
        return middle, await tables(client)


def table(title: str, samples: Sequence[Sample]) -> str:
    lines = [f"## {title}", "", "| saves | threads | descriptors | open tokens | resident MB |", "|" + " --- |" * 5]
    for each in samples:
        facts = (each.saves, each.threads, each.descriptors, each.open_tokens, f"{each.megabytes:.1f}")
        lines.append("| " + " | ".join(map(str, facts)) + " |")
    return "\n".join(lines) + "\n"


async def soak(folder: Path, fake: int, real: int) -> int:
    failures = []
    for title, server, saves, growth, warm in (
        ("fake learner", (str(SERVER),), fake, FAKE_GROWTH, 2),
        ("real learner", REAL, real, REAL_GROWTH, 1),
    ):
        if not saves:
            continue
        place = folder / title.split()[0]
        place.mkdir()
        editor = Editor()
        await editor.begin(place / "home", server=server, settings=SETTINGS)
        author = Author(place, failing=title.startswith("fake"))
        samples = await on_a_process(editor, author, saves, max(3, saves // 16))
        assert await editor.end() == 0
        print(table(f"{saves} saves, {title}", samples))
        failures += [f"{title}: {each}" for each in broken(samples, growth, warm=warm)]
    place = folder / "inside"
    place.mkdir()
    middle, end = await in_this_process(place, max(fake, 60))
    print("## Tables inside of the server\n")
    for name in sorted(middle | end):
        print(f"- {name}: {middle[name]} after a sixth, {end[name]} at the end")
    failures += [f"{name} grew from {middle[name]} to {end[name]}" for name in end if end[name] > middle[name]]
    for failure in failures:
        print(f"BROKEN: {failure}", file=sys.stderr)
    print(f"\n{len(failures)} bounds broken")
    return 1 if failures else 0


def main() -> None:
    logging.getLogger("pygls").setLevel(logging.ERROR)  # the client's own; it knows no `dlm/` notifications
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fake", type=int, default=500, help="saves with the fake learner")
    parser.add_argument("--real", type=int, default=50, help="saves with the real learner")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(asyncio.run(soak(Path(folder).resolve(), options.fake, options.real)))


if __name__ == "__main__":
    main()
