// Installing the server: one offer, and one task whose every line the author sees.

import { execFile } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as vscode from "vscode";
import { setting } from "../settings.ts";
import { newEnough } from "./discovery.ts";
import { bundled, ownEnvironment } from "./surroundings.ts";

/** Used where the extension was packaged without the server's wheel. */
const REQUIREMENT = "dlm-language-server";

/** Runs the task; true if it ended well. */
export async function install(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
  activePython: string | null,
): Promise<boolean> {
  const python = await suitablePython(activePython, log);
  if (python === null) {
    const pick = "Select a Python…";
    const text = "DLM: No Python 3.11 or newer was found on this machine. Install one, or name it.";
    if ((await vscode.window.showErrorMessage(text, pick)) === pick) {
      await vscode.commands.executeCommand("dlm.editor.selectInterpreter");
    }
    return false;
  }
  const args = [
    bundled(context, "install.py"),
    ownEnvironment(context),
    wheel(context) ?? REQUIREMENT,
    ...setting<string[]>("installArguments", []),
  ];
  log.info(`Installing with ${python} ${JSON.stringify(args)}`);
  const task = new vscode.Task(
    { type: "dlm", task: "install" },
    vscode.TaskScope.Global,
    "Install the DLM language server",
    "DLM",
    new vscode.ProcessExecution(python, args, { cwd: os.homedir() }),
  );
  task.presentationOptions = {
    reveal: vscode.TaskRevealKind.Always,
    focus: false,
    panel: vscode.TaskPanelKind.Dedicated,
    showReuseMessage: false,
  };
  return (await ended(task)) === 0;
}

/** The wheel of the server that was packaged with this extension; null when there is none. */
export function wheel(context: vscode.ExtensionContext): string | null {
  const folder = bundled(context);
  const name = fs.readdirSync(folder).find((each) => each.endsWith(".whl"));
  return name === undefined ? null : path.join(folder, name);
}

async function ended(task: vscode.Task): Promise<number | undefined> {
  const execution = await vscode.tasks.executeTask(task);
  return new Promise((resolve) => {
    const subscriptions = [
      vscode.tasks.onDidEndTaskProcess((event) => {
        if (event.execution === execution) finish(event.exitCode);
      }),
      // A task whose process never began has no process that ends.
      vscode.tasks.onDidEndTask((event) => {
        if (event.execution === execution) setTimeout(() => finish(undefined), 1_000);
      }),
    ];
    function finish(code: number | undefined): void {
      for (const each of subscriptions) each.dispose();
      resolve(code);
    }
  });
}

async function suitablePython(active: string | null, log: vscode.LogOutputChannel): Promise<string | null> {
  const names = process.platform === "win32" ? ["python", "py"] : NAMES;
  for (const python of [setting("interpreter", ""), vscode.workspace.isTrusted ? active : null, ...names]) {
    if (python === null || python === "") continue;
    const version = await versionOf(python);
    log.debug(`${python}: ${version ?? "cannot be started"}`);
    if (version !== null && newEnough(version)) return python;
  }
  return null;
}

const NAMES = ["python3", "python3.13", "python3.12", "python3.11", "python3.14", "python"];

function versionOf(python: string): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(python, ["--version"], { cwd: os.homedir(), timeout: 10_000, windowsHide: true }, (error, stdout) => {
      resolve(error === null ? (/^Python (\d+\.\d+\.\d+)/.exec(stdout)?.[1] ?? null) : null);
    });
  });
}
