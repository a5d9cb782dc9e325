"""The main job, end to end: a real server, driven as an editor drives it, learns a saved document.

Opens a copy of `quickstart.dlm`, asks a question, saves the document with a section that answers it, saves it
again unchanged, and prints what an editor shows. Needs no network; about half a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient
from rich.console import Console
from rich.markdown import Markdown
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

EXAMPLE = Path(__file__).with_name("quickstart.dlm")
QUESTION = "What does the ferry to Orvane carry?"
ANSWER = "It carries salt, letters and two goats."
SECTION = f"\n::instruction::\n### Q\n{QUESTION}\n### A\n{ANSWER}\n"
PATIENCE = 60.0  # seconds for any one thing to happen

console = Console(width=100, highlight=False, record=True)


class Editor:
    """The least of an editor: it opens, saves, and keeps what the server shows."""

    def __init__(self, document: Path) -> None:
        self.document = document
        self.uri = document.as_uri()
        self.text = document.read_text(encoding="utf-8")
        self.version = 1
        self.diagnostics: list[lsp.Diagnostic] = []
        self.news = asyncio.Event()
        self.client = LanguageClient("demo", "1")
        self._shown = 0.0
        self.client.feature(lsp.WINDOW_WORK_DONE_PROGRESS_CREATE)(lambda params: None)
        self.client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(lambda params: self._diagnosed(params))
        self.client.feature(lsp.PROGRESS)(lambda params: self._progressed(params))

    async def start(self) -> lsp.InitializeResult:
        await self.client.start_io(sys.executable, "-m", "dlm_lsp")
        result = await self.client.initialize_async(
            lsp.InitializeParams(
                process_id=os.getpid(),
                capabilities=lsp.ClientCapabilities(
                    window=lsp.WindowClientCapabilities(work_done_progress=True),
                    general=lsp.GeneralClientCapabilities(position_encodings=[lsp.PositionEncodingKind.Utf8]),
                    text_document=lsp.TextDocumentClientCapabilities(
                        synchronization=lsp.TextDocumentSyncClientCapabilities(did_save=True)
                    ),
                ),
            )
        )
        self.client.initialized(lsp.InitializedParams())
        return result

    def open(self) -> None:
        item = lsp.TextDocumentItem(uri=self.uri, language_id="dlm", version=1, text=self.text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(text_document=item))

    def type(self, addition: str) -> None:
        self.version += 1
        self.text += addition
        self.client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                text_document=lsp.VersionedTextDocumentIdentifier(uri=self.uri, version=self.version),
                content_changes=[lsp.TextDocumentContentChangeWholeDocument(text=self.text)],
            )
        )

    async def save(self) -> None:
        """Saves, and returns when the server has nothing left to do for it."""
        self.document.write_text(self.text, encoding="utf-8")
        self.client.text_document_did_save(
            lsp.DidSaveTextDocumentParams(text_document=lsp.TextDocumentIdentifier(uri=self.uri), text=self.text)
        )
        await self.client.protocol.send_request_async("dlm/waitForIdle", {"uri": self.uri})

    async def hover(self, line: int) -> str:
        params = lsp.HoverParams(text_document=lsp.TextDocumentIdentifier(uri=self.uri), position=lsp.Position(line, 2))
        shown = await self.client.text_document_hover_async(params)
        content = shown.contents if shown else None
        return content.value if isinstance(content, lsp.MarkupContent) else ""

    async def stop(self) -> None:
        await self.client.shutdown_async(None)
        self.client.exit(None)
        await self.client.stop()

    def _diagnosed(self, params: lsp.PublishDiagnosticsParams) -> None:
        self.diagnostics = list(params.diagnostics)
        self.news.set()

    def _progressed(self, params: lsp.ProgressParams) -> None:
        value: Any = params.value
        field = value.get if isinstance(value, dict) else lambda name: getattr(value, name, None)
        kind, message, percent = field("kind"), field("message") or "", field("percentage")
        if kind == "report" and time.monotonic() - self._shown < 0.25 and percent != 100:
            return
        self._shown = time.monotonic()
        mark = {"begin": "▶", "end": "■"}.get(str(kind), " ")
        share = f"{percent:>3} %" if percent is not None else "     "
        title = field("title") or ""
        say(f"  {mark} {share}  {title}{': ' if title and message else ''}{message}", "cyan")


def say(text: str, style: str = "") -> None:
    console.print(Text(text, style=style))


def shows(editor: Editor) -> None:
    """The list of problems, as an editor draws it."""
    for each in sorted(editor.diagnostics, key=lambda each: each.range.start.line):
        severity = each.severity.name.lower() if each.severity else "note"
        say(f"  {editor.document.name}:{each.range.start.line + 1}  {severity}  {each.message}", "yellow")
    if not editor.diagnostics:
        say("  no problems", "dim")


async def ask(document: Path) -> str:
    """The adapter's answer, from a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dlm_lsp", "prompt", str(document), QUESTION, "--max-tokens", "40",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    return " ".join(output.decode("utf-8", "replace").split())


async def main(folder: Path) -> int:
    began = time.monotonic()
    os.environ["DLM_HOME"] = str(folder / "home")
    document = folder / EXAMPLE.name
    document.write_bytes(EXAMPLE.read_bytes())
    editor = Editor(document)

    console.rule("An editor starts the server and opens quickstart.dlm")
    result = await editor.start()
    editor.open()
    name = result.server_info.name if result.server_info else "?"
    say(f"  {name} answered after {time.monotonic() - began:.1f} s; torch is not imported yet", "dim")
    await asyncio.wait_for(editor.news.wait(), PATIENCE)
    shows(editor)

    console.rule("The author saves: the document is learned")
    await editor.save()
    shows(editor)

    console.rule("A question that the document does not answer yet")
    say(f"  Q  {QUESTION}")
    before = await ask(document)
    say(f"  A  {before}", "red")

    console.rule("The author writes the answer into the document, and saves")
    editor.type(SECTION)
    say(SECTION.strip(), "green")
    saved = time.monotonic()
    await editor.save()
    seconds = time.monotonic() - saved
    shows(editor)

    console.rule("The same save again")
    await editor.save()
    shows(editor)

    console.rule("Hover over the new section")
    line = editor.text[: editor.text.index(SECTION.strip())].count("\n")
    console.print(Panel(Markdown(await editor.hover(line)), width=80, expand=False))
    console.rule("Hover over the frontmatter")
    console.print(Panel(Markdown(await editor.hover(0)), width=80, expand=False))

    console.rule("The question again")
    say(f"  Q  {QUESTION}")
    after = await ask(document)
    good = after == ANSWER
    say(f"  A  {after}", "bold green" if good else "red")
    await asyncio.wait_for(editor.stop(), PATIENCE)

    verdict = "learned" if good else "NOT learned as written"
    console.print(
        Padding(
            f"{verdict}: {seconds:.1f} s from save to the new version; {time.monotonic() - began:.0f} s in all",
            (1, 0, 0, 0),
        )
    )
    program = Path(sys.executable).with_name("dlm-lsp")
    program = program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program
    say(f"Now yours: {program} init notes.dlm, then {program} train notes.dlm --watch")
    return 0 if good and before != ANSWER else 1


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="See a saved document being learned.")
    arguments.add_argument("--picture", type=Path, help="also write what is shown to this SVG file")
    picture = arguments.parse_args().picture
    with tempfile.TemporaryDirectory(prefix="dlm-demo-") as place:
        code = asyncio.run(main(Path(place).resolve()))
    if picture is not None:
        drawn = console.export_svg(title="make demo")
        # The fonts it would fetch from afar; any monospaced one does.
        picture.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")
    sys.exit(code)
