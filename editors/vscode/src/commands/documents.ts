// New documents, the example, and the store's folder.

import { execFile } from "node:child_process";
import * as fs from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import * as vscode from "vscode";
import { commandLine } from "../server/discovery.ts";
import type { ServerManager } from "../server/manager.ts";
import { setting } from "../settings.ts";
import type { Statuses } from "../statuses.ts";
import { documentOf, explainAbsence } from "./server.ts";
import { starters } from "./templates.ts";

/** Asks for a starter and a name, lets the server write the document (its id is made there), and opens it. */
export async function newDocument(manager: ServerManager): Promise<void> {
  if (manager.launch === null) return explainAbsence(manager);
  const starter = await starters(manager);
  if (starter === undefined) return;
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri ?? vscode.Uri.file(os.homedir());
  const target = await vscode.window.showSaveDialog({
    title: "New DLM document",
    defaultUri: vscode.Uri.joinPath(folder, `${starter.name}.dlm`),
    filters: { DLM: ["dlm"] },
  });
  if (target === undefined) return;
  await write(manager, target, starter.template === null ? [] : ["--template", starter.template]);
}

/** A first document, for the walkthrough: beside the workspace's files, or in a place of its own. */
export async function openExample(manager: ServerManager, context: vscode.ExtensionContext): Promise<void> {
  if (manager.launch === null) return explainAbsence(manager);
  const trusted = vscode.workspace.isTrusted ? vscode.workspace.workspaceFolders?.[0]?.uri : undefined;
  const folder = trusted ?? context.globalStorageUri;
  await vscode.workspace.fs.createDirectory(folder);
  const target = vscode.Uri.joinPath(folder, "first-lesson.dlm");
  if (await exists(target)) await vscode.window.showTextDocument(target);
  else await write(manager, target, []);
}

async function write(manager: ServerManager, target: vscode.Uri, more: string[]): Promise<void> {
  if (manager.launch === null) return;
  const base = setting("defaultBase", "", target);
  // The dialog has asked whether to overwrite, and `init` never does.
  if (await exists(target)) await fs.rename(target.fsPath, `${target.fsPath}.before`);
  const { command, args } = commandLine(
    manager.launch,
    "init",
    target.fsPath,
    ...more,
    ...(base === "" ? [] : ["--base", base]),
  );
  const problem = await new Promise<string>((resolve) => {
    execFile(command, args, { cwd: os.homedir(), timeout: 60_000, windowsHide: true }, (error, _stdout, stderr) => {
      resolve(error === null ? "" : stderr.trim() || error.message);
    });
  });
  if (problem !== "") {
    void vscode.window.showErrorMessage(`DLM: ${problem}`);
    return;
  }
  await vscode.window.showTextDocument(target);
}

async function exists(uri: vscode.Uri): Promise<boolean> {
  return vscode.workspace.fs.stat(uri).then(
    () => true,
    () => false,
  );
}

/** Shows the folder of what a document has taught: in the system's file manager, or far away as a folder of the editor. */
export async function openStore(statuses: Statuses, given: unknown): Promise<void> {
  const store = statuses.of(documentOf(given))?.store;
  if (store == null) {
    void vscode.window.showWarningMessage("DLM: No store is known for this document: it needs a dlm_id.");
    return;
  }
  const uri = vscode.Uri.file(store);
  if (!(await exists(uri))) {
    void vscode.window.showInformationMessage("DLM: Nothing is learned yet; the store appears with the first run.");
    return;
  }
  if (vscode.env.remoteName === undefined && vscode.env.uiKind === vscode.UIKind.Desktop) {
    await vscode.commands.executeCommand("revealFileInOS", vscode.Uri.file(path.join(store, "manifest.json")));
  } else {
    await vscode.commands.executeCommand("vscode.openFolder", uri, { forceNewWindow: true });
  }
}
