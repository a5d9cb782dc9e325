// Three channels, none of which ever shows itself: what this client decides, what the server says, and the traffic.

import * as vscode from "vscode";

export class Channels implements vscode.Disposable {
  readonly client = vscode.window.createOutputChannel("DLM", { log: true });
  readonly server = vscode.window.createOutputChannel("DLM Server", { log: true });
  /** Silent until its own log level is set to `Trace`. */
  readonly trace = vscode.window.createOutputChannel("DLM Trace", { log: true });

  dispose(): void {
    for (const channel of [this.client, this.server, this.trace]) channel.dispose();
  }
}
