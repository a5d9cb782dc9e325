// Tests inside the extension host, through the editor's own interface: no pixels, a real server, the built-in base.

import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import type { Api } from "../../src/extension.ts";
import type { TrainingStatus } from "../../src/protocol.ts";

const EXTENSION = "dlm-language-server.dlm-language";
const HEAD = "---\ndlm_id: 01M84MS06HFJHYBYJVNFJT3C5Q\ndlm_version: 15\nbase_model: builtin:tiny\n---\n";

type Test = [name: string, body: () => Promise<void>];

export async function run(): Promise<void> {
  let failed = 0;
  for (const [name, body] of tests) {
    try {
      await body();
      console.log(`ok - ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`not ok - ${name}\n${error instanceof Error ? error.stack : String(error)}`);
    }
  }
  if (failed > 0) throw new Error(`${failed} of ${tests.length} failed`);
}

let api: Api;
let uri: vscode.Uri;

const tests: Test[] = [
  [
    "opening a document starts the server",
    async () => {
      const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
      assert.ok(folder);
      uri = vscode.Uri.joinPath(folder, "host.dlm");
      await vscode.workspace.fs.writeFile(uri, new TextEncoder().encode(`${HEAD}\nThe ferry leaves at seven.\n`));
      const document = await vscode.workspace.openTextDocument(uri);
      assert.equal(document.languageId, "dlm");
      await vscode.window.showTextDocument(document);
      const extension = vscode.extensions.getExtension<Api>(EXTENSION);
      assert.ok(extension);
      api = await extension.activate();
      await until("the server runs", () => api.manager.state === "running");
      await until("the document's status is known", () => status() !== undefined);
    },
  ],
  [
    "every command of the palette is registered, and none of the server's own is taken",
    async () => {
      const registered = new Set(await vscode.commands.getCommands(true));
      const manifest = vscode.extensions.getExtension(EXTENSION)?.packageJSON as {
        contributes: { commands: { command: string }[] };
      };
      const missing = manifest.contributes.commands.map(({ command }) => command).filter((id) => !registered.has(id));
      assert.deepEqual(missing, []);
      const offered = api.manager.client?.initializeResult?.capabilities.executeCommandProvider?.commands ?? [];
      assert.ok(offered.length >= 6);
      assert.deepEqual(
        offered.filter((id) => !registered.has(id)),
        [],
      );
    },
  ],
  [
    "completion, hover, symbols and folding come from the server",
    async () => {
      const at = new vscode.Position(3, 12);
      const hovers = await vscode.commands.executeCommand<vscode.Hover[]>("vscode.executeHoverProvider", uri, at);
      assert.ok(hovers.length > 0);
      const symbols = await vscode.commands.executeCommand<unknown[]>("vscode.executeDocumentSymbolProvider", uri);
      assert.ok(symbols.length > 0);
      const list = await vscode.commands.executeCommand<vscode.CompletionList>(
        "vscode.executeCompletionItemProvider",
        uri,
        at,
      );
      assert.ok(
        list.items.some((item) =>
          String(typeof item.label === "string" ? item.label : item.label.label).includes("smollm2"),
        ),
      );
    },
  ],
  [
    "Insert Instruction puts a section on lines of its own",
    async () => {
      const editor = await vscode.window.showTextDocument(uri);
      const end = editor.document.lineAt(editor.document.lineCount - 1).range.end;
      editor.selection = new vscode.Selection(end, end);
      await vscode.commands.executeCommand("dlm.insertInstruction");
      assert.match(editor.document.getText(), /\n::instruction::\n### Q\nquestion\n### A\nanswer\n/);
      await vscode.commands.executeCommand("leaveSnippet");
      const text = editor.document
        .getText()
        .replace("question", "When does it leave?")
        .replace("\nanswer\n", "\nAt seven.\n");
      await editor.edit((edit) => edit.replace(new vscode.Range(0, 0, editor.document.lineCount, 0), text));
    },
  ],
  [
    "a setting is in effect at once, the older one too",
    async () => {
      const settings = vscode.workspace.getConfiguration("dlm");
      await settings.update("watchOnSave", false, vscode.ConfigurationTarget.Workspace);
      await (await vscode.workspace.openTextDocument(uri)).save();
      await until("the save is only marked", () => /mark/.test(status()?.note ?? ""));
      assert.equal(status()?.run, null);
      await settings.update("watchOnSave", undefined, vscode.ConfigurationTarget.Workspace);
    },
  ],
  [
    "Train Now saves what is on the screen, and it is learned",
    async () => {
      const editor = await vscode.window.showTextDocument(uri);
      await editor.edit((edit) => edit.insert(new vscode.Position(editor.document.lineCount, 0), "\n"));
      await vscode.commands.executeCommand("dlm.train");
      assert.equal(editor.document.isDirty, false);
      await until("a version is there", () => status()?.version === 1 && status()?.run === null, 120_000);
    },
  ],
  [
    "a server that is restarted is another process, and knows what was learned",
    async () => {
      const before = api.manager.client;
      await vscode.commands.executeCommand("dlm.editor.restartServer");
      await until("it runs", () => api.manager.state === "running" && status()?.version === 1);
      assert.notEqual(api.manager.client, before);
    },
  ],
  [
    "the same setting again restarts nothing; three restarts at once are at most two",
    async () => {
      const before = api.manager.client;
      await api.manager.refresh("a test");
      assert.equal(api.manager.client, before);
      const seen = new Set([before]);
      const subscription = api.manager.onDidChangeState(() => seen.add(api.manager.client));
      await Promise.all([1, 2, 3].map(() => api.manager.restart("a test")));
      subscription.dispose();
      seen.delete(null);
      assert.ok(seen.size <= 3, `${seen.size - 1} restarts`);
      await until("it runs", () => api.manager.state === "running");
    },
  ],
  [
    "Copy Debug Information tells how the server was found, and no text",
    async () => {
      await vscode.commands.executeCommand("dlm.editor.copyDebugInformation");
      const text = await vscode.env.clipboard.readText();
      for (const word of ["## How it was found", "Chosen:", "## Doctor", "torch", "trusted"])
        assert.ok(text.includes(word), word);
      assert.ok(!text.includes("ferry"));
    },
  ],
  [
    "a new document has an id of its own and no problems",
    async () => {
      const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
      assert.ok(folder);
      await vscode.commands.executeCommand("dlm.editor.openExample");
      const document = vscode.window.activeTextEditor?.document;
      assert.equal(path.basename(document?.uri.path ?? ""), "first-lesson.dlm");
      assert.match(document?.getText() ?? "", /^---\ndlm_id: [0-9A-HJKMNP-TV-Z]{26}\n/);
      assert.ok(fs.existsSync(vscode.Uri.joinPath(folder, "first-lesson.dlm").fsPath));
      assert.deepEqual(
        vscode.languages
          .getDiagnostics(document?.uri ?? uri)
          .filter((each) => each.severity === vscode.DiagnosticSeverity.Error),
        [],
      );
    },
  ],
];

function status(): TrainingStatus | undefined {
  return api.statuses.of(uri);
}

async function until(what: string, holds: () => boolean, patience = 30_000): Promise<void> {
  const end = Date.now() + patience;
  while (!holds()) {
    if (Date.now() > end)
      throw new Error(`${what}: not within ${patience / 1000} s; ${JSON.stringify(status() ?? null)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
