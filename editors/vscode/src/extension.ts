// The extension: makes one of each part and wires them. Decisions about documents and training are the server's.

import * as vscode from "vscode";
import { WorkDoneProgressCancelNotification } from "vscode-languageclient/node";
import { Answers } from "./commands/answers.ts";
import { Asking } from "./commands/ask.ts";
import { copyDebugInformation } from "./commands/debugInfo.ts";
import { newDocument, openExample, openStore } from "./commands/documents.ts";
import { insertSection } from "./commands/inserting.ts";
import { revert } from "./commands/revert.ts";
import { simple } from "./commands/server.ts";
import { showStatus } from "./commands/status.ts";
import { runTool } from "./commands/tools.ts";
import { Channels } from "./logs.ts";
import { TrainingPanel, VIEW } from "./panel/host.ts";
import { SERVER_COMMANDS } from "./protocol.ts";
import type { Discovery } from "./server/discovery.ts";
import { install } from "./server/install.ts";
import { ServerManager } from "./server/manager.ts";
import { ActiveEnvironment } from "./server/python.ts";
import { Statuses } from "./statuses.ts";
import { Contexts } from "./views/contexts.ts";
import { RunProgress } from "./views/progress.ts";
import { SectionMarks } from "./views/sections.ts";
import { StatusItem } from "./views/statusItem.ts";

/** The extension whose commands have the same ids; where both are installed, its commands stay its own. */
const PEER = "tenseleyFlow.dlm-vsc";

const PEERS_COMMANDS = [
  "dlm.train",
  "dlm.export",
  "dlm.synth",
  "dlm.showHistory",
  "dlm.openStore",
  "dlm.insertInstruction",
  "dlm.insertPreference",
];

let manager: ServerManager | undefined;

/** What tests and other extensions may use. */
export interface Api {
  readonly manager: ServerManager;
  readonly statuses: Statuses;
}

export async function activate(context: vscode.ExtensionContext): Promise<Api> {
  const channels = new Channels();
  const statuses = new Statuses();
  const environment = new ActiveEnvironment(channels.client);
  const progress = new RunProgress(statuses, (token) => {
    void manager?.client?.sendNotification(WorkDoneProgressCancelNotification.type, { token });
  });
  const server = new ServerManager(context, channels, statuses, environment, {
    handleWorkDoneProgress: progress.handle,
    // The server's own ids, from its lenses and actions: what answers with text is shown where this client shows it.
    executeCommand: (command, args, next) => {
      const uri = uriOf(args[0]);
      if (command === SERVER_COMMANDS.showStatus) return showStatus(server, statuses, uri);
      if (command === "dlm.showAnswers") return answers.command(uri, (told) => panel.answers(told));
      return next(command, args);
    },
  });
  manager = server;
  const item = new StatusItem(statuses);
  const asking = new Asking(server);
  const answers = new Answers(server);
  const panel = new TrainingPanel(context, server, statuses);
  context.subscriptions.push(channels, statuses, environment, progress, item, asking, answers, panel);
  context.subscriptions.push(new SectionMarks(statuses, context), new Contexts(server, statuses));

  const installServer = async (): Promise<void> => {
    const done = await install(context, channels.client, await environment.python());
    if (done) await server.restart("the server was installed");
  };
  registerCommands(context, channels, {
    "dlm.train": (uri) => simple(server, SERVER_COMMANDS.trainNow, uri),
    "dlm.editor.fullRetrain": (uri) => simple(server, SERVER_COMMANDS.fullRetrain, uri),
    "dlm.editor.cancel": (uri) => {
      asking.cancel();
      return simple(server, SERVER_COMMANDS.cancel, uri);
    },
    // The server's lens above each question runs this one, because this client says that it has it.
    "dlm.askInEditor": (argument) => asking.lens(argument),
    "dlm.editor.ask": (uri) => asking.command(uri),
    "dlm.editor.showStatus": (uri) => showStatus(server, statuses, uri),
    "dlm.editor.showAnswers": (uri) => answers.command(uri, (told) => panel.answers(told)),
    "dlm.editor.revert": (uri, version) =>
      revert(server, statuses, (each) => panel.history(each), uri, typeof version === "number" ? version : undefined),
    "dlm.editor.unlock": (uri) => simple(server, SERVER_COMMANDS.unlock, uri),
    "dlm.openStore": (uri) => openStore(statuses, uri),
    "dlm.showHistory": () => vscode.commands.executeCommand(`${VIEW}.focus`),
    "dlm.insertInstruction": () => insertSection("instruction"),
    "dlm.insertPreference": () => insertSection("preference"),
    "dlm.editor.newDocument": () => newDocument(server),
    "dlm.editor.openExample": () => openExample(server, context),
    "dlm.export": (uri) => runTool("export", uri, "export"),
    "dlm.synth": (uri) => runTool("synth", uri, "synth", "instructions"),
    "dlm.editor.restartServer": () => server.restart("the author asked for it"),
    "dlm.editor.installServer": installServer,
    "dlm.editor.selectInterpreter": () =>
      vscode.commands.executeCommand("workbench.action.openSettings", "dlm.interpreter"),
    "dlm.editor.showLog": () => channels.client.show(true),
    "dlm.editor.copyDebugInformation": () => copyDebugInformation(context, server, statuses),
  });

  context.subscriptions.push(
    server.onDidChangeState((state) => {
      item.set(state);
      if (state !== "running") progress.clear();
      if (state === "gone") void offerRestart(channels);
    }),
    server.onMissing((found) => void offerInstall(found, channels)),
    environment.onDidChange(() => void server.refresh("another Python environment is active")),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void server.trust()),
    vscode.workspace.onDidCloseTextDocument((document) => statuses.closed(document.uri)),
    vscode.workspace.onDidChangeWorkspaceFolders(() => void server.refresh("the workspace's folders changed")),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("dlm.lspPath") || event.affectsConfiguration("dlm.interpreter")) {
        void server.refresh("a setting that names the server changed");
      }
    }),
  );
  // Not awaited: an editor that waits for a server is an editor that waits.
  void server.refresh("the extension is active");
  return { manager: server, statuses };
}

export async function deactivate(): Promise<void> {
  await manager?.dispose();
}

type Handler = (uri: unknown, more: unknown) => unknown;

function registerCommands(
  context: vscode.ExtensionContext,
  channels: Channels,
  handlers: Record<string, Handler>,
): void {
  const shared = vscode.extensions.getExtension(PEER) !== undefined;
  for (const [id, handler] of Object.entries(handlers)) {
    if (shared && PEERS_COMMANDS.includes(id)) {
      channels.client.info(`${PEER} is installed as well, so ${id} is left to it.`);
      continue;
    }
    context.subscriptions.push(
      vscode.commands.registerCommand(id, async (uri: unknown, more: unknown) => {
        try {
          await handler(uri, more);
        } catch (error) {
          channels.client.error(`${id}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
          void vscode.window.showErrorMessage(`DLM: ${error instanceof Error ? error.message : String(error)}`);
        }
      }),
    );
  }
}

/** The one message there is when no server can be started: it says why, and offers what can be done. */
async function offerInstall(found: Discovery, channels: Channels): Promise<void> {
  const [fix, log] = [found.setting === null ? "Install Server…" : "Open Settings", "Show Log"];
  const text = `DLM: ${found.problem ?? ""}${found.setting === null ? " Install it in an environment of its own?" : ""}`;
  const answer = await vscode.window.showWarningMessage(text, fix, log);
  if (answer === log) channels.client.show(true);
  if (answer !== fix) return;
  if (found.setting === null) await vscode.commands.executeCommand("dlm.editor.installServer");
  else await vscode.commands.executeCommand("workbench.action.openSettings", found.setting);
}

async function offerRestart(channels: Channels): Promise<void> {
  const [again, log] = ["Restart Server", "Show Log"];
  const text = "DLM: The server ended unexpectedly several times. What was learned and committed is whole.";
  const answer = await vscode.window.showErrorMessage(text, again, log);
  if (answer === log) channels.server.show(true);
  if (answer === again) await vscode.commands.executeCommand("dlm.editor.restartServer");
}

function uriOf(argument: unknown): vscode.Uri | undefined {
  const uri = typeof argument === "string" ? argument : (argument as { uri?: unknown } | null | undefined)?.uri;
  return typeof uri === "string" ? vscode.Uri.parse(uri) : undefined;
}
