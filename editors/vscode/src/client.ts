// The language client: how the server is spoken to. What the answers mean for the author is in `views` and `commands`.

import * as os from "node:os";
import * as vscode from "vscode";
import {
  CloseAction,
  type CloseHandlerResult,
  ErrorAction,
  type ErrorHandlerResult,
  LanguageClient,
  type LanguageClientOptions,
  type Middleware,
  RevealOutputChannelOn,
  type StaticFeature,
  TransportKind,
} from "vscode-languageclient/node";
import type { Channels } from "./logs.ts";
import { commandLine, type Launch } from "./server/discovery.ts";
import { relay } from "./serverLog.ts";
import { forServer } from "./settings.ts";

export const SELECTOR = [
  { scheme: "file", language: "dlm" },
  { scheme: "untitled", language: "dlm" },
];

/** What this client understands beyond the protocol; a server sends none of it to a client that does not say so. */
const EXPERIMENTAL = {
  serverStatusNotification: true,
  dlm: { trainingStatus: true, trainingProgress: true, ask: true },
};

const CRASHES = 4;
const WITHIN = 3 * 60_000;

export interface Hooks {
  readonly handleWorkDoneProgress: NonNullable<Middleware["handleWorkDoneProgress"]>;
  readonly executeCommand: NonNullable<Middleware["executeCommand"]>;
  /** The server died and is not started again. */
  gaveUp(): void;
}

export function createClient(launch: Launch, channels: Channels, hooks: Hooks): LanguageClient {
  const line = commandLine(launch);
  const options: LanguageClientOptions & { stdioOptions: { stdout: typeof relay; stderr: typeof relay } } = {
    documentSelector: SELECTOR,
    diagnosticCollectionName: "dlm",
    outputChannel: channels.server,
    traceOutputChannel: channels.trace,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    initializationOptions: () => ({ ...forServer(), workspaceTrusted: vscode.workspace.isTrusted }),
    errorHandler: new Patience(channels.client, hooks.gaveUp),
    markdown: { supportThemeIcons: true },
    middleware: {
      handleWorkDoneProgress: hooks.handleWorkDoneProgress,
      executeCommand: hooks.executeCommand,
      workspace: {
        configuration: (params) =>
          params.items.map((item) =>
            item.section === "dlm" ? forServer(item.scopeUri ? vscode.Uri.parse(item.scopeUri) : undefined) : null,
          ),
      },
    },
    stdioOptions: { stdout: relay, stderr: relay },
  };
  const client = new LanguageClient(
    "dlm",
    "DLM",
    {
      ...line,
      transport: TransportKind.stdio,
      // Nothing in the workspace may be taken for a part of the server.
      options: { cwd: os.homedir() },
    },
    options,
  );
  client.registerFeature(declaring(EXPERIMENTAL));
  return client;
}

function declaring(experimental: object): StaticFeature {
  return {
    fillClientCapabilities: (capabilities) => {
      capabilities.experimental = { ...(capabilities.experimental as object | undefined), ...experimental };
    },
    initialize: () => undefined,
    getState: () => ({ kind: "static" }),
    clear: () => undefined,
  };
}

/** Starts a server that died again, a few times; says so in the log, and only when it gives up, to the author. */
class Patience {
  private readonly deaths: number[] = [];

  constructor(
    private readonly log: vscode.LogOutputChannel,
    private readonly gaveUp: () => void,
  ) {}

  error(error: Error, _message: unknown, count: number | undefined): ErrorHandlerResult {
    this.log.error(`Connection: ${error.message}`);
    return { action: (count ?? 0) <= 3 ? ErrorAction.Continue : ErrorAction.Shutdown, handled: true };
  }

  closed(): CloseHandlerResult {
    const now = Date.now();
    while (this.deaths[0] !== undefined && now - this.deaths[0] > WITHIN) this.deaths.shift();
    this.deaths.push(now);
    if (this.deaths.length <= CRASHES) {
      this.log.warn("The server ended unexpectedly; it is started again. What was committed is whole.");
      return { action: CloseAction.Restart, handled: true };
    }
    this.log.error(`The server ended unexpectedly ${CRASHES + 1} times in a few minutes; it is not started again.`);
    this.gaveUp();
    return { action: CloseAction.DoNotRestart, handled: true };
  }
}
