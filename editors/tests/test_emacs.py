"""Emacs in a terminal, set up with the very lines of its page, and followed to a learned answer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from pictures import Terminal

EMACS = Path(__file__).resolve().parents[1] / "emacs"
SERVER = os.environ.get("DLM_LSP") or str(Path(sys.executable).with_name("dlm-lsp"))


def test_the_page_leads_to_a_learned_answer(tmp_path: Path) -> None:
    lines = re.search(r"```elisp\n(.*?)```", (EMACS / "README.md").read_text(), re.S)
    assert lines
    (tmp_path / ".emacs.d").mkdir()
    init = lines[1].replace("/path/to/dlm-language-server/editors/emacs", str(EMACS))
    assert str(EMACS) in init
    (tmp_path / ".emacs.d" / "init.el").write_text("(setq inhibit-startup-screen t)\n" + init)
    program = tmp_path / ".local" / "share" / "dlm" / "bin" / "dlm-lsp"
    program.parent.mkdir(parents=True)
    program.symlink_to(SERVER)
    environment = {
        "HOME": str(tmp_path),
        "DLM_HOME": str(tmp_path / "home"),
        **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}),
    }
    document = tmp_path / "harbour.dlm"
    subprocess.run([program, "init", document], check=True, capture_output=True, env={**os.environ, **environment})
    editor = Terminal(tmp_path, [os.environ.get("EMACS", "emacs"), "-nw", "harbour.dlm"], environment)
    try:
        editor.until(lambda screen: "DLM" in screen and "not learned" in screen)
        editor.keys("C-c", "C-t")
        editor.until("learned (v0001)")
        editor.keys("M->")
        editor.type("\n::instruction::\n### Q\nWho sails?\n### A\nNobody sails.\n".replace("\n", "\r"))
        editor.keys("C-x", "C-s")
        editor.until("learned (v0002)")
        editor.keys("C-c", "C-a")
        editor.until("Question:")
        editor.type("Who sails?")
        editor.keys("Enter")
        editor.until("Nobody sails.\n")
        editor.until("*dlm answer*")
    finally:
        editor.close()
