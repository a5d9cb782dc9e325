// Context keys: what menus, the walkthrough and keybindings may ask about.

import * as vscode from "vscode";
import type { ServerManager } from "../server/manager.ts";
import type { Statuses } from "../statuses.ts";

export class Contexts implements vscode.Disposable {
  private readonly set = new Map<string, boolean>();
  private readonly subscriptions: vscode.Disposable[];

  constructor(
    private readonly manager: ServerManager,
    private readonly statuses: Statuses,
  ) {
    this.subscriptions = [
      manager.onDidChangeState(() => this.update()),
      statuses.onDidChange(() => this.update()),
      vscode.workspace.onDidOpenTextDocument(() => this.update()),
      vscode.workspace.onDidCloseTextDocument(() => this.update()),
    ];
    this.update();
  }

  dispose(): void {
    for (const each of this.subscriptions) each.dispose();
  }

  private update(): void {
    const all = this.statuses.all();
    this.put("dlm.serverReady", this.manager.state === "running");
    this.put(
      "dlm.documentOpen",
      vscode.workspace.textDocuments.some((each) => each.languageId === "dlm"),
    );
    this.put(
      "dlm.running",
      all.some((status) => status.run !== null),
    );
    this.put(
      "dlm.learned",
      all.some((status) => status.version !== null && status.run === null),
    );
  }

  private put(key: string, value: boolean): void {
    if (this.set.get(key) === value) return;
    this.set.set(key, value);
    void vscode.commands.executeCommand("setContext", key, value);
  }
}
