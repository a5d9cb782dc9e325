// The settings: what the server is told, and what this client reads itself. Pure but for `read`, which asks the editor.

import * as vscode from "vscode";
import { type Explicit, serverSettings } from "./settingsMap.ts";

const SECTION = "dlm";

/** The `dlm` table for the server. */
export function forServer(resource?: vscode.Uri): Record<string, unknown> {
  const configuration = vscode.workspace.getConfiguration(SECTION, resource);
  const table = vscode.workspace.getConfiguration(undefined, resource).get<Record<string, unknown>>(SECTION);
  return serverSettings(table ?? {}, (name) => explicit(configuration, name));
}

export function setting<T>(name: string, fallback: T, resource?: vscode.Uri): T {
  return vscode.workspace.getConfiguration(SECTION, resource).get<T>(name) ?? fallback;
}

/** A setting as the author wrote it anywhere, or undefined where only the default speaks. */
export function written(name: string, resource?: vscode.Uri): unknown {
  return explicit(vscode.workspace.getConfiguration(SECTION, resource), name)?.value;
}

function explicit(configuration: vscode.WorkspaceConfiguration, name: string): Explicit | undefined {
  const found = configuration.inspect<unknown>(name);
  if (found === undefined) return undefined;
  const values = [
    found.workspaceFolderLanguageValue,
    found.workspaceLanguageValue,
    found.globalLanguageValue,
    found.workspaceFolderValue,
    found.workspaceValue,
    found.globalValue,
  ];
  return values.some((value) => value !== undefined) ? { value: configuration.get(name) } : undefined;
}
