// Commands that the server carries out. The result is shown here, in the place that fits it, so the server is told to be quiet.

import * as vscode from "vscode";
import { type CommandResult, SERVER_COMMANDS } from "../protocol.ts";
import type { ServerManager } from "../server/manager.ts";

const EXECUTE = "workspace/executeCommand";

/** Runs a command of the server; null when it cannot be spoken to, and then the author knows why. */
export async function execute(
  manager: ServerManager,
  command: string,
  argument: Record<string, unknown>,
): Promise<CommandResult | null> {
  const client = manager.client;
  if (client === null) {
    await explainAbsence(manager);
    return null;
  }
  try {
    return await client.sendRequest<CommandResult>(EXECUTE, { command, arguments: [argument] });
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

/** The one sentence for a command that needs the server while there is none. */
export async function explainAbsence(manager: ServerManager): Promise<void> {
  if (manager.state === "starting") {
    void vscode.window.setStatusBarMessage("DLM: the server is starting; try again in a moment", 4_000);
    return;
  }
  const absent = manager.state === "absent";
  const action = absent ? "Install Server…" : "Restart Server";
  const text = absent
    ? (manager.discovery?.problem ?? "The DLM language server is not installed.")
    : "The DLM server is not running.";
  if ((await vscode.window.showWarningMessage(`DLM: ${text}`, action)) === action) {
    await vscode.commands.executeCommand(absent ? "dlm.editor.installServer" : "dlm.editor.restartServer");
  }
}

/** The document that a command is about: the one given, else the one in front, else the only one open. */
export function documentOf(given: unknown): vscode.Uri | undefined {
  if (given instanceof vscode.Uri) return given;
  const active = vscode.window.activeTextEditor?.document;
  if (active?.languageId === "dlm") return active.uri;
  const visible = vscode.window.visibleTextEditors.map((each) => each.document);
  const found = [...visible, ...vscode.workspace.textDocuments].find((each) => each.languageId === "dlm");
  return found?.uri;
}

/** Says what could not be done. What could shows itself. */
export function showFailure(result: CommandResult | null): void {
  if (result !== null && !result.ok && result.message !== "") {
    void vscode.window.showWarningMessage(`DLM: ${result.message}`);
  }
}

const TRAINING: readonly string[] = [SERVER_COMMANDS.trainNow, SERVER_COMMANDS.fullRetrain];

export async function simple(manager: ServerManager, command: string, given: unknown): Promise<void> {
  const uri = documentOf(given);
  if (uri === undefined && command !== SERVER_COMMANDS.cancel) {
    void vscode.window.showWarningMessage("DLM: Open a .dlm document first.");
    return;
  }
  if (uri !== undefined && TRAINING.includes(command)) {
    // Training takes the saved text, and who asks for it means the one on the screen.
    const document = await vscode.workspace.openTextDocument(uri);
    if (document.isDirty && !(await document.save())) return;
  }
  const argument = uri === undefined ? { quiet: true } : { uri: uri.toString(), quiet: true };
  const result = await execute(manager, command, argument);
  if (result?.ok === true) {
    if (result.message !== "") vscode.window.setStatusBarMessage(`DLM: ${result.message}`, 4_000);
  } else if (command !== SERVER_COMMANDS.fullRetrain || result?.message !== "Nothing was retrained.") {
    showFailure(result);
  }
}
