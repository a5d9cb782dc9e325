// Work-done progress: in the status bar by the client itself; a long run as a notification with a button as well.

import * as vscode from "vscode";
import type {
  ProgressToken,
  WorkDoneProgressBegin,
  WorkDoneProgressEnd,
  WorkDoneProgressReport,
} from "vscode-languageclient/node";
import { setting } from "../settings.ts";
import type { Statuses } from "../statuses.ts";
import { expectedLong } from "./runProgress.ts";

type Value = WorkDoneProgressBegin | WorkDoneProgressReport | WorkDoneProgressEnd;
type Cancel = (token: ProgressToken) => void;

interface Run {
  readonly title: string;
  readonly since: number;
  /** In the notification, once there is one. */
  notification: vscode.Progress<{ message?: string; increment?: number }> | null;
  percentage: number;
  end: () => void;
}

export class RunProgress implements vscode.Disposable {
  private readonly runs = new Map<ProgressToken, Run>();

  constructor(
    private readonly statuses: Statuses,
    private readonly cancel: Cancel,
  ) {}

  handle = (token: ProgressToken, value: Value, next: (token: ProgressToken, value: Value) => void): void => {
    if (value.kind === "begin") {
      this.runs.set(token, { title: value.title, since: Date.now(), notification: null, percentage: 0, end: () => {} });
    }
    const run = this.runs.get(token);
    if (run !== undefined && value.kind === "end") {
      this.runs.delete(token);
      run.end();
    } else if (run !== undefined && value.kind !== "end") {
      if (run.notification === null && this.long(run)) this.promote(token, run);
      this.report(run, value);
    }
    next(token, value);
  };

  /** The server is gone: what it showed must not stay. */
  clear(): void {
    for (const run of this.runs.values()) run.end();
    this.runs.clear();
  }

  dispose(): void {
    this.clear();
  }

  private long(run: Run): boolean {
    const limit = setting("progressNotificationSeconds", 10);
    // One run goes on at a time in one server, so that its status is the one that is not idle or only waits for its turn.
    const turn = ["queued", "restarting"];
    const view = this.statuses.all().find((each) => each.run !== null && !turn.includes(each.run.state))?.run ?? null;
    return expectedLong(view, (Date.now() - run.since) / 1000, limit);
  }

  private promote(token: ProgressToken, run: Run): void {
    const options = { location: vscode.ProgressLocation.Notification, title: run.title, cancellable: true };
    const ended = new Promise<void>((resolve) => {
      run.end = resolve;
    });
    run.notification = { report: () => {} };
    void vscode.window.withProgress(options, (progress, cancelled) => {
      run.notification = progress;
      run.percentage = 0;
      cancelled.onCancellationRequested(() => this.cancel(token));
      return ended;
    });
  }

  private report(run: Run, value: WorkDoneProgressBegin | WorkDoneProgressReport): void {
    const percentage = value.percentage ?? run.percentage;
    run.notification?.report({
      ...(value.message === undefined ? {} : { message: value.message }),
      increment: Math.max(0, percentage - run.percentage),
    });
    run.percentage = Math.max(run.percentage, percentage);
  }
}
