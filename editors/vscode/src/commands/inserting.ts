// Sections that are written at the cursor: on lines of their own, whatever stands there.

import * as vscode from "vscode";

const BODIES = {
  instruction: "::instruction::\n### Q\n${1:question}\n### A\n${0:answer}\n",
  preference:
    "::preference::\n### Prompt\n${1:prompt}\n### Chosen\n${2:the better answer}\n### Rejected\n${0:the worse answer}\n",
};

export async function insertSection(kind: keyof typeof BODIES): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  if (editor === undefined || editor.document.languageId !== "dlm") {
    void vscode.window.showWarningMessage("DLM: Open a .dlm document first.");
    return;
  }
  const line = editor.document.lineAt(editor.selection.active.line);
  const before = line.text.trim() === "" ? "" : "\n\n";
  await editor.insertSnippet(new vscode.SnippetString(before + BODIES[kind]), line.range.end);
}
