// Show Answers: what the model answered before and after a version was learned, as a page beside the document.
// Asking takes as long as a dozen answers take, so it is done when the author wants it, and can be called off.

import * as path from "node:path";
import * as vscode from "vscode";
import type { ServerManager } from "../server/manager.ts";
import { answersPage } from "./answersPage.ts";
import { documentOf, explainAbsence } from "./server.ts";

/** The server names its pages with this scheme, and answers for them by their URI. */
const SCHEME = "dlm-answers";
const ANSWERS = "dlm/answers";

interface Told {
  ok?: boolean;
  message?: string;
  uri?: string;
}

export class Answers implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly pages = new Map<string, string>();
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  private readonly registration: vscode.Disposable;
  readonly onDidChange = this.changed.event;

  constructor(private readonly manager: ServerManager) {
    this.registration = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);
  }

  async command(given: unknown, heard: (told: { uri: string; answers: unknown }) => void): Promise<void> {
    const uri = documentOf(given);
    if (uri === undefined) {
      void vscode.window.showWarningMessage("DLM: Open a .dlm document first.");
      return;
    }
    if (this.manager.client === null) return explainAbsence(this.manager);
    const name = path.basename(uri.path);
    const told = await this.ask(uri.toString(), name);
    if (told === null) return;
    if (told.ok === false) {
      void vscode.window.showInformationMessage(`DLM: ${told.message ?? "There is nothing to compare."}`);
      return;
    }
    heard({ uri: uri.toString(), answers: told });
    const page =
      told.uri === undefined ? vscode.Uri.from({ scheme: SCHEME, path: uri.path }) : vscode.Uri.parse(told.uri);
    this.pages.set(page.toString(), answersPage(name, told));
    this.changed.fire(page);
    const document = await vscode.workspace.openTextDocument(page);
    await vscode.languages.setTextDocumentLanguage(document, "markdown");
    await vscode.window.showTextDocument(document, {
      viewColumn: vscode.ViewColumn.Beside,
      preserveFocus: true,
      preview: true,
    });
  }

  /** A page that an earlier window left open is asked for again. */
  async provideTextDocumentContent(page: vscode.Uri): Promise<string> {
    const known = this.pages.get(page.toString());
    if (known !== undefined) return known;
    const name = path.posix.basename(page.path);
    const told = await this.ask(page.toString(), name);
    return told === null ? `# ${name}\n\nNothing was asked.\n` : answersPage(name, told);
  }

  dispose(): void {
    this.registration.dispose();
    this.changed.dispose();
  }

  private async ask(uri: string, name: string): Promise<Told | null> {
    const client = this.manager.client;
    if (client === null) return null;
    const where = {
      location: vscode.ProgressLocation.Window,
      title: `Asking ${name}, before and after`,
      cancellable: true,
    };
    return vscode.window.withProgress(where, async (_progress, token) => {
      try {
        return await client.sendRequest<Told>(ANSWERS, { uri }, token);
      } catch (error) {
        if (token.isCancellationRequested) return null;
        return { ok: false, message: error instanceof Error ? error.message : String(error) };
      }
    });
  }
}
