// Copy Debug Information: what a bug report needs. No text of any document.

import { execFile } from "node:child_process";
import * as os from "node:os";
import * as vscode from "vscode";
import { commandLine } from "../server/discovery.ts";
import type { ServerManager } from "../server/manager.ts";
import { forServer, written } from "../settings.ts";
import type { Statuses } from "../statuses.ts";

export async function copyDebugInformation(
  context: vscode.ExtensionContext,
  manager: ServerManager,
  statuses: Statuses,
): Promise<void> {
  await vscode.env.clipboard.writeText(await debugInformation(context, manager, statuses));
  vscode.window.setStatusBarMessage("DLM: debug information copied", 4_000);
}

export async function debugInformation(
  context: vscode.ExtensionContext,
  manager: ServerManager,
  statuses: Statuses,
): Promise<string> {
  const version = (context.extension.packageJSON as { version: string }).version;
  const own = ["lspPath", "interpreter", "command", "watchOnSave", "sectionMarks", "progressNotificationSeconds"];
  const settings = {
    server: forServer(),
    written: Object.fromEntries(own.map((name) => [name, written(name)]).filter(([, value]) => value !== undefined)),
  };
  const open = statuses.all().map((status) => ({
    state: status.state,
    message: status.message,
    version: status.version,
    base: status.base,
    device: status.device,
    sections: counted(status.sections.map((section) => section.state)),
    last: status.last && { outcome: status.last.outcome, message: status.last.message },
  }));
  const parts: [string, string][] = [
    ["Extension", `${context.extension.id} ${version}`],
    ["Editor", `${vscode.env.appName} ${vscode.version}${vscode.env.remoteName ? ` (${vscode.env.remoteName})` : ""}`],
    ["System", `${os.platform()} ${os.release()} ${os.arch()}`],
    ["Workspace", vscode.workspace.isTrusted ? "trusted" : "not trusted"],
    ["Server", `${manager.state}; ${JSON.stringify(manager.client?.initializeResult?.serverInfo ?? null)}`],
    ["How it was found", (manager.discovery?.log ?? []).join("\n")],
    ["Settings", JSON.stringify(settings, null, 2)],
    ["Documents", JSON.stringify(open, null, 2)],
    ["Doctor", await doctor(manager)],
  ];
  return parts.map(([name, text]) => `## ${name}\n\n${text}\n`).join("\n");
}

function counted(names: string[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const name of names) found[name] = (found[name] ?? 0) + 1;
  return found;
}

function doctor(manager: ServerManager): Promise<string> {
  if (manager.launch === null) return Promise.resolve("no server");
  const { command, args } = commandLine(manager.launch, "doctor");
  const options = { cwd: os.homedir(), timeout: 60_000, windowsHide: true };
  return new Promise((resolve) => {
    execFile(command, args, options, (error, stdout, stderr) => {
      const said = `${stdout}${stderr}`.trim();
      resolve(said !== "" ? said : (error?.message ?? "it said nothing"));
    });
  });
}
