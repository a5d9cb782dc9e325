// Revert to Version…: a list of what is there, the current one marked. Nothing is removed by it, so nothing is asked twice.

import * as vscode from "vscode";
import { type History, versionsIn } from "../history.ts";
import { SERVER_COMMANDS } from "../protocol.ts";
import type { ServerManager } from "../server/manager.ts";
import type { Statuses } from "../statuses.ts";
import { documentOf, execute, showFailure } from "./server.ts";

export async function revert(
  manager: ServerManager,
  statuses: Statuses,
  history: (uri: string) => Promise<History | null>,
  given: unknown,
  version?: number,
): Promise<void> {
  const uri = documentOf(given);
  if (uri === undefined) {
    void vscode.window.showWarningMessage("DLM: Open a .dlm document first.");
    return;
  }
  const chosen = version ?? (await choose(await history(uri.toString()), statuses.of(uri)?.version ?? null));
  if (chosen === undefined) return;
  const result = await execute(manager, SERVER_COMMANDS.revert, { uri: uri.toString(), version: chosen, quiet: true });
  if (result?.ok === true) vscode.window.setStatusBarMessage(`DLM: ${result.message}`, 6_000);
  else showFailure(result);
}

async function choose(history: History | null, current: number | null): Promise<number | undefined> {
  const versions = versionsIn(history);
  if (versions.length === 0) return typed(current);
  const picked = await vscode.window.showQuickPick(
    versions.map((each) => ({
      label: `${each.number === current ? "$(check)" : "$(blank)"} v${each.number}`,
      description: each.number === current ? "current" : each.when,
      detail: each.facts,
      number: each.number,
    })),
    { title: "Revert to version", placeHolder: "It becomes current at once. Nothing is removed." },
  );
  return picked === undefined || picked.number === current ? undefined : picked.number;
}

/** For a server that does not list its versions. */
async function typed(current: number | null): Promise<number | undefined> {
  const text = await vscode.window.showInputBox({
    title: "Revert to version",
    prompt: current === null ? "A number" : `A number; v${current} is current`,
    validateInput: (value) => (/^v?\d+$/.test(value.trim()) ? undefined : "Such as 3 or v0003"),
  });
  return text === undefined ? undefined : Number(text.trim().replace(/^v/, ""));
}
