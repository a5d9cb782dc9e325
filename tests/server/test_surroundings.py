"""What a document names beside itself, on the real process: media, sources, its base's memory and licence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from lsprotocol import types

from dlm_lsp.training.bases import registry
from tests.server.editor import DLM_ID, Editor, exchange

Begin = Callable[..., Awaitable[Editor]]


def document(training: str = "", body: str = "", base: str = "builtin:tiny") -> str:
    return f"---\ndlm_id: {DLM_ID}\nbase_model: {base}\n{training}---\n{body}"


def sources(*paths: str, more: str = "") -> str:
    return "training:\n  sources:\n" + "".join(f"    - path: {path}\n{more}" for path in paths)


async def told(editor: Editor, uri: str, code: str) -> list[types.Diagnostic]:
    """Waits until `code` is told of a document; all of it."""

    def look() -> list[types.Diagnostic] | None:
        return [each for each in editor.diagnostics.get(uri, ()) if each.code == code] or None

    return await editor.until(look)


async def gone(editor: Editor, uri: str, code: str) -> None:
    await editor.until(lambda: uri in editor.diagnostics and code not in editor.codes(uri))


def marked(text: str, diagnostic: types.Diagnostic) -> str:
    """The text that a diagnostic of one line stands on."""
    place = diagnostic.range
    assert place.start.line == place.end.line
    return text.split("\n")[place.start.line][place.start.character : place.end.character]


async def test_a_missing_medium_is_told_at_its_path_until_it_is_there(begin: Begin, tmp_path: Path) -> None:
    body = '::image path="pictures/sea.png" alt="The sea"::\nThe sea.\n\n::audio path="a.wav" transcript="x"::\n'
    text = document(body=body)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    editor = await begin()
    uri = editor.open(tmp_path / "a.dlm", text)
    (problem,) = await told(editor, uri, "media-missing")
    assert marked(text, problem) == "pictures/sea.png"
    assert problem.severity == types.DiagnosticSeverity.Warning and "pictures/sea.png does not exist" in problem.message
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "sea.png").write_bytes(b"PNG")
    editor.watcher_saw(tmp_path / "a.dlm")
    await gone(editor, uri, "media-missing")


async def test_media_that_the_base_cannot_take_are_told_at_their_fence(begin: Begin, tmp_path: Path) -> None:
    text = document(body='Text.\n\n::image path="sea.png" alt="The sea"::\nThe sea.\n')
    (tmp_path / "sea.png").write_bytes(b"PNG")
    editor = await begin()
    uri = editor.open(tmp_path / "a.dlm", text)
    (problem,) = await told(editor, uri, "media-not-taken")
    assert marked(text, problem) == '::image path="sea.png" alt="The sea"::'
    assert "builtin:tiny takes text only, so this image section teaches it nothing" in problem.message
    editor.change(uri, text.replace("builtin:tiny", "qwen2-vl-2b-instruct"))
    await gone(editor, uri, "media-not-taken")


async def test_sources_that_give_nothing_are_told_on_their_directive(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.md").write_text("Text.")
    text = document(sources("nowhere", "empty", "full", more='      include: ["*.md"]\n'))
    editor = await begin()
    uri = editor.open(tmp_path / "a.dlm", text)
    (missing,) = await told(editor, uri, "source-missing")
    (empty,) = await told(editor, uri, "source-empty")
    assert (marked(text, missing), marked(text, empty)) == ("nowhere", "empty")
    # What is written above moves the places at once, and asks for no new look.
    moved = text.replace("base_model", "# a comment\nbase_model")
    editor.change(uri, moved)
    await editor.until(lambda: {each.range.start.line for each in editor.diagnostics[uri]} == {6, 8} or None)
    (tmp_path / "empty" / "b.md").write_text("Text.")
    editor.save(tmp_path / "a.dlm", moved)
    await gone(editor, uri, "source-empty")
    assert [marked(moved, each) for each in await told(editor, uri, "source-missing")] == ["nowhere"]
    await editor.idle(uri)


async def test_what_a_run_told_of_a_source_is_not_told_twice(begin: Begin, tmp_path: Path) -> None:
    text = document(sources("nowhere"), exchange("One?", "1."))
    editor = await begin()
    uri = editor.open(tmp_path / "a.dlm", text)
    await told(editor, uri, "source-missing")
    editor.save(tmp_path / "a.dlm", text)
    await editor.idle(uri)
    assert editor.codes(uri).count("source-missing") == 1


@pytest.mark.skipif(psutil.virtual_memory().available > 180 * 2**30, reason="even this base fits here")
async def test_a_base_that_does_not_fit_is_told_with_its_estimate_and_stops_nothing(
    begin: Begin, tmp_path: Path
) -> None:
    text = document(base="mixtral-8x7b-instruct", body=exchange("One?", "1."))
    editor = await begin()
    uri = editor.open(tmp_path / "a.dlm", text)
    (problem,) = await told(editor, uri, "base-too-large")
    assert marked(text, problem) == "mixtral-8x7b-instruct"
    assert problem.severity == types.DiagnosticSeverity.Warning
    weights = registry()["mixtral-8x7b-instruct"].parameters * 4 / 2**30
    assert (
        problem.message.startswith("If trained on this machine's CPU")
        and f"weights {weights:.1f} GiB" in problem.message
    )
    editor.change(uri, text.replace("mixtral-8x7b-instruct", "builtin:tiny"))
    await gone(editor, uri, "base-too-large")


LICENCES = (
    ("llama-3.2-1b", "base-licence", "https://huggingface.co/meta-llama/Llama-3.2-1B"),
    ("hf:some-org/some-model", "base-licence-unknown", "https://huggingface.co/some-org/some-model"),
)


async def test_a_licence_to_accept_or_to_read_is_told_with_its_page(begin: Begin, tmp_path: Path) -> None:
    editor = await begin(environment={"HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"})
    for number, (base, code, link) in enumerate(LICENCES):
        text = document(base=base)
        uri = editor.open(tmp_path / f"{number}.dlm", text)
        (problem,) = await told(editor, uri, code)
        assert marked(text, problem) == base and link in problem.message
        assert problem.severity == types.DiagnosticSeverity.Information
        editor.close(uri)


async def test_nothing_beside_an_untrusted_document_is_looked_at(begin: Begin, tmp_path: Path) -> None:
    text = document(sources("nowhere"), '::image path="sea.png" alt="x"::\n', base="mixtral-8x7b-instruct")
    editor = await begin(trusted=False)
    uri = editor.open(tmp_path / "a.dlm", text)
    await editor.hover(uri, 0)
    beyond = {"source-missing", "media-missing", "media-not-taken", "base-too-large"}
    assert not beyond & set(editor.codes(uri))
    editor.protocol.notify("dlm/workspaceTrust", {"trusted": True})
    await editor.until(lambda: beyond <= set(editor.codes(uri)) or None)
    editor.protocol.notify("dlm/workspaceTrust", {"trusted": False})
    await editor.until(lambda: not beyond & set(editor.codes(uri)) or None)
