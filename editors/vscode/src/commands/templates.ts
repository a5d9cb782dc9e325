// The starters that a new document can begin from, as far as the server knows some.

import * as vscode from "vscode";
import type { ServerManager } from "../server/manager.ts";

export interface Starter {
  readonly name: string;
  /** The server's name of it; null for the plain one. */
  readonly template: string | null;
}

interface Template {
  name: string;
  title?: string;
  summary?: string;
  recommended_base?: string;
}

const PLAIN: Starter = { name: "notes", template: null };

/** The author's choice; undefined when it was called off. A server without templates has one way to begin. */
export async function starters(manager: ServerManager): Promise<Starter | undefined> {
  const found = await templates(manager);
  if (found.length === 0) return PLAIN;
  const chosen = await vscode.window.showQuickPick(
    found.map((template) => ({
      label: template.title ?? template.name,
      ...(template.recommended_base === undefined
        ? {}
        : { description: `at its best with ${template.recommended_base}` }),
      ...(template.summary === undefined ? {} : { detail: template.summary }),
      template,
    })),
    { title: "New DLM document", placeHolder: "What should it begin with?", matchOnDetail: true },
  );
  if (chosen === undefined) return undefined;
  return { name: chosen.template.name, template: chosen.template.name };
}

async function templates(manager: ServerManager): Promise<Template[]> {
  const command = "dlm/listTemplates";
  const offered = manager.client?.initializeResult?.capabilities.executeCommandProvider?.commands ?? [];
  if (manager.client === null || !offered.includes(command)) return [];
  try {
    const answer: unknown = await manager.client.sendRequest("workspace/executeCommand", { command, arguments: [] });
    return Array.isArray(answer) ? (answer as Template[]).filter((each) => typeof each?.name === "string") : [];
  } catch {
    return [];
  }
}
