// The newest status of each document, as the server told it: what every view of this client is computed from.

import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import {
  SERVER_STATUS,
  type ServerStatus,
  TRAINING_PROGRESS,
  TRAINING_STATUS,
  type TrainingProgress,
  type TrainingStatus,
} from "./protocol.ts";

export class Statuses implements vscode.Disposable {
  private readonly byUri = new Map<string, TrainingStatus>();
  private readonly changed = new vscode.EventEmitter<string | null>();
  private readonly progressed = new vscode.EventEmitter<TrainingProgress>();
  private subscriptions: vscode.Disposable[] = [];
  server: ServerStatus | null = null;

  /** A document's URI, or null when all of them, or the server's own, changed. */
  readonly onDidChange = this.changed.event;
  readonly onProgress = this.progressed.event;

  /** Listens to a client that has not started yet. */
  follow(client: LanguageClient): void {
    this.forget();
    this.subscriptions = [
      client.onNotification(TRAINING_STATUS, (status: TrainingStatus) => this.take(status)),
      client.onNotification(TRAINING_PROGRESS, (progress: TrainingProgress) => this.progressed.fire(progress)),
      client.onNotification(SERVER_STATUS, (status: ServerStatus) => {
        this.server = status;
        this.changed.fire(null);
      }),
    ];
  }

  of(uri: vscode.Uri | undefined): TrainingStatus | undefined {
    return uri === undefined ? undefined : this.byUri.get(uri.toString());
  }

  all(): TrainingStatus[] {
    return [...this.byUri.values()];
  }

  /** Takes a status in, unless a newer one is known. */
  take(status: TrainingStatus): void {
    const uri = vscode.Uri.parse(status.uri).toString(); // the editor's own spelling of it
    const known = this.byUri.get(uri);
    if (known !== undefined && known.generation > status.generation) return;
    this.byUri.set(uri, { ...status, uri });
    this.changed.fire(uri);
  }

  closed(uri: vscode.Uri): void {
    if (this.byUri.delete(uri.toString())) this.changed.fire(uri.toString());
  }

  /** The server is gone, and nothing it said is true any more. */
  forget(): void {
    for (const each of this.subscriptions) each.dispose();
    this.subscriptions = [];
    this.clear();
  }

  clear(): void {
    this.byUri.clear();
    this.server = null;
    this.changed.fire(null);
  }

  dispose(): void {
    this.forget();
    this.changed.dispose();
    this.progressed.dispose();
  }
}
