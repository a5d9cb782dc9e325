// Show Answers: what the model answered before and after a lesson was learned, as a page beside the document.

import * as path from "node:path";
import * as vscode from "vscode";
import type { ServerManager } from "../server/manager.ts";
import { answersPage } from "./answersPage.ts";
import { documentOf, explainAbsence } from "./server.ts";

const SCHEME = "dlm-before-after";
const ANSWERS = "dlm/answers";

export class Answers implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  private readonly registration: vscode.Disposable;
  readonly onDidChange = this.changed.event;

  constructor(private readonly manager: ServerManager) {
    this.registration = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);
  }

  async command(given: unknown): Promise<void> {
    const uri = documentOf(given);
    if (uri === undefined) {
      void vscode.window.showWarningMessage("DLM: Open a .dlm document first.");
      return;
    }
    if (this.manager.client === null) return explainAbsence(this.manager);
    const name = path.basename(uri.path);
    const page = vscode.Uri.from({ scheme: SCHEME, path: `/Answers of ${name}.md`, query: uri.toString() });
    this.changed.fire(page);
    const document = await vscode.workspace.openTextDocument(page);
    await vscode.window.showTextDocument(document, {
      viewColumn: vscode.ViewColumn.Beside,
      preserveFocus: true,
      preview: true,
    });
  }

  async provideTextDocumentContent(page: vscode.Uri): Promise<string> {
    const name = path.basename(vscode.Uri.parse(page.query).path);
    const client = this.manager.client;
    if (client === null) return `# ${name}\n\nThe server is not running.\n`;
    try {
      return answersPage(name, await client.sendRequest<unknown>(ANSWERS, { uri: page.query }));
    } catch (error) {
      return `# ${name}\n\n${error instanceof Error ? error.message : String(error)}\n`;
    }
  }

  /** A document learned something: a page that is open shows it. */
  refresh(uri: string): void {
    for (const document of vscode.workspace.textDocuments) {
      if (document.uri.scheme === SCHEME && document.uri.query === uri) this.changed.fire(document.uri);
    }
  }

  dispose(): void {
    this.registration.dispose();
    this.changed.dispose();
  }
}
