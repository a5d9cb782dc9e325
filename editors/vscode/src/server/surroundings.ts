// What discovery looks at, read from the editor and this machine.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as vscode from "vscode";
import { setting } from "../settings.ts";
import { DEFAULT_LSP_PATH, type Surroundings } from "./discovery.ts";

export function surroundings(context: vscode.ExtensionContext, activePython: string | null): Surroundings {
  return {
    trusted: vscode.workspace.isTrusted,
    lspPath: setting("lspPath", DEFAULT_LSP_PATH),
    interpreter: setting("interpreter", ""),
    activePython,
    folders: (vscode.workspace.workspaceFolders ?? [])
      .filter((folder) => folder.uri.scheme === "file")
      .map((folder) => folder.uri.fsPath),
    ownEnvironment: ownEnvironment(context),
    pathVariable: process.env.PATH ?? process.env.Path ?? "",
    home: os.homedir(),
    ...files,
  };
}

/** Where this extension installs the server: its own folder, never the author's project. */
export function ownEnvironment(context: vscode.ExtensionContext): string {
  return path.join(context.globalStorageUri.fsPath, "server");
}

/** Files of the extension that Python runs. */
export function bundled(context: vscode.ExtensionContext, ...names: string[]): string {
  return context.asAbsolutePath(path.join("bundled", ...names));
}

export const files = {
  platform: process.platform,
  isFile(file: string): boolean {
    try {
      return fs.statSync(file).isFile();
    } catch {
      return false;
    }
  },
  real(file: string): string {
    try {
      return fs.realpathSync(file);
    } catch {
      return file;
    }
  },
};
