// Show Status: where the document stands, what can be done now, and each section. A list, so that the keyboard has it.

import * as vscode from "vscode";
import { SERVER_COMMANDS, type SectionStatus, type TrainingStatus } from "../protocol.ts";
import type { ServerManager } from "../server/manager.ts";
import type { Statuses } from "../statuses.ts";
import { documentOf, execute, showFailure } from "./server.ts";
import { actionsFor, facts, sectionFacts, sectionIcon } from "./statusFacts.ts";

interface Entry extends vscode.QuickPickItem {
  run?: () => unknown;
}

export async function showStatus(manager: ServerManager, statuses: Statuses, given: unknown): Promise<void> {
  const uri = documentOf(given);
  if (uri === undefined) {
    void vscode.window.showWarningMessage("DLM: Open a .dlm document first.");
    return;
  }
  const result = await execute(manager, SERVER_COMMANDS.showStatus, { uri: uri.toString(), quiet: true });
  if (result === null) return;
  if (result.status === undefined) return showFailure(result);
  statuses.take(result.status);
  const document = await vscode.workspace.openTextDocument(uri);
  const picker = vscode.window.createQuickPick<Entry>();
  picker.title = `DLM: ${result.message}`;
  picker.placeholder = "What can be done now, and every section";
  picker.matchOnDetail = true;
  picker.items = entries(result.status, document);
  picker.onDidAccept(() => {
    const chosen = picker.selectedItems[0];
    picker.hide();
    void chosen?.run?.();
  });
  picker.onDidHide(() => picker.dispose());
  picker.show();
}

/** Whether the text has errors of its own; that the last run failed is none. */
function broken(document: vscode.TextDocument): boolean {
  return vscode.languages
    .getDiagnostics(document.uri)
    .some(
      ({ source, severity, code }) =>
        source === "dlm" && severity === vscode.DiagnosticSeverity.Error && code !== "run-failed",
    );
}

function entries(status: TrainingStatus, document: vscode.TextDocument): Entry[] {
  const separator = (label: string): Entry => ({ label, kind: vscode.QuickPickItemKind.Separator });
  return [
    ...actionsFor(status, vscode.workspace.isTrusted, broken(document)).map(({ label, command }) => ({
      label,
      run: () => vscode.commands.executeCommand(command, document.uri),
    })),
    separator("document"),
    ...facts(status).map(([name, value]) => ({
      label: `$(info) ${name}`,
      description: value,
      run: () => vscode.env.clipboard.writeText(value),
    })),
    separator("sections"),
    ...status.sections
      .filter((section) => section.range.start.line < document.lineCount)
      .map((section) => ({
        label: `${sectionIcon(section)} ${firstWords(document, section)}`,
        description: sectionFacts(section),
        run: () => reveal(document, section),
      })),
  ];
}

/** The first line of a section that says what it is about. */
function firstWords(document: vscode.TextDocument, section: SectionStatus): string {
  const last = Math.min(section.range.end.line, document.lineCount - 1);
  for (let line = section.range.start.line; line <= last; line++) {
    const text = document.lineAt(line).text.trim();
    if (text !== "" && !/^(::.*::|###\s.*|<!--.*-->|```.*)$/.test(text)) return text.replace(/^#+\s+/, "").slice(0, 80);
  }
  return `::${section.kind}::`;
}

export async function reveal(document: vscode.TextDocument, section: Pick<SectionStatus, "range">): Promise<void> {
  const place = new vscode.Position(section.range.start.line, 0);
  const editor = await vscode.window.showTextDocument(document, { selection: new vscode.Range(place, place) });
  editor.revealRange(new vscode.Range(place, place), vscode.TextEditorRevealType.AtTop);
}
