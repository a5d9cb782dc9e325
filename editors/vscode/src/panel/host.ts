// The training panel: a webview that shows what the server knows. It keeps nothing of its own, so a reload loses nothing.

import { randomBytes } from "node:crypto";
import * as path from "node:path";
import * as vscode from "vscode";
import { reveal } from "../commands/status.ts";
import { HISTORY, type History } from "../history.ts";
import type { TrainingStatus } from "../protocol.ts";
import type { ServerManager } from "../server/manager.ts";
import type { Statuses } from "../statuses.ts";
import { type FromPage, fromPage, type PageCommand, type ToPage } from "./messages.ts";

export const VIEW = "dlm.trainingPanel";

const COMMANDS: Readonly<Record<PageCommand, string>> = {
  train: "dlm.train",
  retrain: "dlm.editor.fullRetrain",
  cancel: "dlm.editor.cancel",
  revert: "dlm.editor.revert",
  answers: "dlm.editor.showAnswers",
  ask: "dlm.editor.ask",
};

export class TrainingPanel implements vscode.WebviewViewProvider, vscode.Disposable {
  private view: vscode.WebviewView | undefined;
  private selected: string | null = null;
  private known = ""; // the documents that the page was told of
  private readonly ended = new Map<string, string>(); // by document: the newest state whose history was sent
  private readonly subscriptions: vscode.Disposable[];

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly manager: ServerManager,
    private readonly statuses: Statuses,
  ) {
    this.subscriptions = [
      vscode.window.registerWebviewViewProvider(VIEW, this),
      statuses.onDidChange((uri) => this.changed(uri)),
      statuses.onProgress((progress) => {
        if (vscode.Uri.parse(progress.uri).toString() === this.selected) this.post({ type: "progress", progress });
      }),
      manager.onDidChangeState(() => this.documents()),
      vscode.window.onDidChangeActiveTextEditor((editor) => {
        if (editor?.document.languageId === "dlm") this.select(editor.document.uri.toString());
      }),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.documents()),
    ];
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    const root = vscode.Uri.joinPath(this.context.extensionUri, "dist", "page");
    view.webview.options = { enableScripts: true, localResourceRoots: [root] };
    view.webview.onDidReceiveMessage((message: unknown) => {
      const said = fromPage(message);
      if (said !== null) void this.hear(said);
    });
    view.onDidDispose(() => {
      this.view = undefined;
    });
    view.webview.html = page(view.webview, root);
  }

  async history(uri: string): Promise<History | null> {
    const client = this.manager.client;
    if (client === null) return null;
    try {
      return await client.sendRequest<History | null>(HISTORY, { uri });
    } catch {
      return null; // a server that does not tell it
    }
  }

  dispose(): void {
    for (const each of this.subscriptions) each.dispose();
  }

  private async hear(message: FromPage): Promise<void> {
    switch (message.type) {
      case "ready":
        this.ended.clear();
        this.select(this.selected ?? this.front());
        break;
      case "select":
        if (this.statuses.all().some((each) => each.uri === message.uri)) this.select(message.uri);
        break;
      case "command":
        await vscode.commands.executeCommand(
          COMMANDS[message.command],
          vscode.Uri.parse(message.uri),
          ...(message.version === undefined ? [] : [message.version]),
        );
        break;
      case "reveal": {
        const uri = vscode.Uri.parse(message.uri);
        const section = this.statuses.of(uri)?.sections.find((each) => each.section_id === message.section);
        if (section !== undefined) await reveal(await vscode.workspace.openTextDocument(uri), section);
        break;
      }
    }
  }

  private front(): string | null {
    const active = vscode.window.activeTextEditor?.document;
    if (active?.languageId === "dlm") return active.uri.toString();
    return this.statuses.all()[0]?.uri ?? null;
  }

  private select(uri: string | null): void {
    this.selected = uri;
    this.documents();
    const status = uri === null ? undefined : this.statuses.of(vscode.Uri.parse(uri));
    if (status !== undefined) this.tell(status, true);
  }

  private changed(uri: string | null): void {
    const open = this.statuses.all().map((each) => each.uri);
    if (this.selected === null || !open.includes(this.selected)) this.selected = this.front();
    const known = JSON.stringify([open, this.selected]);
    if (known !== this.known) {
      this.known = known;
      this.documents();
    }
    const status = uri === null ? undefined : this.statuses.of(vscode.Uri.parse(uri));
    if (status !== undefined && status.uri === this.selected) this.tell(status, false);
  }

  private tell(status: TrainingStatus, whole: boolean): void {
    if (this.view === undefined) return;
    this.post({ type: "status", status, names: names(status) });
    // What a run leaves behind is asked for when it has ended, and when the page begins.
    const state = `${status.run?.run ?? "-"} ${status.last?.run ?? "-"} ${status.version ?? "-"}`;
    if (!whole && this.ended.get(status.uri) === state) return;
    this.ended.set(status.uri, state);
    void this.history(status.uri).then((history) => {
      if (history !== null && this.selected === status.uri)
        this.post({ type: "history", history: { ...history, uri: status.uri } });
    });
  }

  /** Answers before and after, which the author has asked for: the page shows them too. */
  answers(told: { uri: string; answers: unknown }): void {
    if (told.uri === this.selected) this.post({ type: "answers", ...told });
  }

  private documents(): void {
    this.post({
      type: "documents",
      documents: this.statuses.all().map(({ uri }) => ({ uri, name: path.posix.basename(vscode.Uri.parse(uri).path) })),
      selected: this.selected,
      server: this.manager.state,
      trusted: vscode.workspace.isTrusted,
    });
  }

  private post(message: ToPage): void {
    if (this.view !== undefined) void this.view.webview.postMessage(message);
  }
}

/** The first words of each section, in order: the page names sections by them. */
function names(status: TrainingStatus): string[] {
  const document = vscode.workspace.textDocuments.find((each) => each.uri.toString() === status.uri);
  return status.sections.map((section) => {
    const last = Math.min(section.range.end.line, (document?.lineCount ?? 0) - 1);
    for (let line = section.range.start.line; line <= last; line++) {
      const text = document?.lineAt(line).text.trim() ?? "";
      if (text !== "" && !/^(::.*::|### \S+( !probe)?|<!--.*-->|```.*)$/.test(text))
        return text.replace(/^#+\s+/, "").slice(0, 60);
    }
    return section.kind;
  });
}

function page(webview: vscode.Webview, root: vscode.Uri): string {
  const nonce = randomBytes(18).toString("base64");
  const script = webview.asWebviewUri(vscode.Uri.joinPath(root, "panel.js"));
  const style = webview.asWebviewUri(vscode.Uri.joinPath(root, "panel.css"));
  // No inline script or style, no images, no frames, nothing from elsewhere. The chart sets styles through the CSSOM.
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src ${webview.cspSource}; font-src ${webview.cspSource}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${style}">
<title>Training</title>
</head>
<body>
<main id="page"></main>
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>`;
}
