// The original `dlm` tool, for what this server does not do: a task that the author sees, its arguments as an array.

import * as path from "node:path";
import * as vscode from "vscode";
import { setting } from "../settings.ts";
import { words } from "../settingsMap.ts";
import { documentOf } from "./server.ts";

export async function runTool(name: string, given: unknown, ...before: string[]): Promise<void> {
  if (!vscode.workspace.isTrusted) {
    void vscode.window.showWarningMessage("DLM: Nothing is run in a workspace that is not trusted.");
    return;
  }
  const uri = documentOf(given);
  if (uri === undefined || uri.scheme !== "file") {
    void vscode.window.showWarningMessage("DLM: Open a .dlm file first.");
    return;
  }
  const [command, ...args] = words(setting("command", "uv run dlm", uri));
  if (command === undefined) {
    void vscode.window.showWarningMessage("DLM: The setting dlm.command is empty.");
    return;
  }
  const home = setting("home", "", uri);
  const line = [...args, ...(home === "" ? [] : ["--home", home]), ...before, uri.fsPath];
  const folder = vscode.workspace.getWorkspaceFolder(uri);
  const task = new vscode.Task(
    { type: "dlm", task: name },
    folder ?? vscode.TaskScope.Global,
    `dlm ${name} ${path.basename(uri.fsPath)}`,
    "DLM",
    new vscode.ProcessExecution(command, line, { cwd: folder?.uri.fsPath ?? path.dirname(uri.fsPath) }),
  );
  task.presentationOptions = { reveal: vscode.TaskRevealKind.Always, focus: false, showReuseMessage: false };
  await vscode.tasks.executeTask(task);
}
