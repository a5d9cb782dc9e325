// The language status item: what the document in front of the author is doing, in two or three words.

import * as vscode from "vscode";
import { SELECTOR } from "../client.ts";
import type { Statuses } from "../statuses.ts";
import { type ServerState, shownStatus } from "./statusText.ts";

const SEVERITIES = {
  information: vscode.LanguageStatusSeverity.Information,
  warning: vscode.LanguageStatusSeverity.Warning,
  error: vscode.LanguageStatusSeverity.Error,
};

export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.languages.createLanguageStatusItem("dlm.status", SELECTOR);
  private readonly subscriptions: vscode.Disposable[];
  private server: ServerState = "stopped";

  constructor(private readonly statuses: Statuses) {
    this.item.name = "DLM";
    this.subscriptions = [
      statuses.onDidChange(() => this.show()),
      vscode.window.onDidChangeActiveTextEditor(() => this.show()),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.show()),
    ];
    this.show();
  }

  set(server: ServerState): void {
    this.server = server;
    this.show();
  }

  dispose(): void {
    this.item.dispose();
    for (const each of this.subscriptions) each.dispose();
  }

  private show(): void {
    const status = this.statuses.of(vscode.window.activeTextEditor?.document.uri);
    const shown = shownStatus(status, this.server, vscode.workspace.isTrusted);
    this.item.text = shown.text;
    this.item.detail = shown.detail;
    this.item.busy = shown.busy;
    this.item.severity = SEVERITIES[shown.severity];
    this.item.command =
      this.server === "absent"
        ? { command: "dlm.editor.installServer", title: "Install" }
        : this.server === "gone"
          ? { command: "dlm.editor.restartServer", title: "Restart" }
          : { command: "dlm.editor.showStatus", title: "Details" };
  }
}
