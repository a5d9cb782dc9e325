// Ask…: a question to the model, whose answer streams into a read-only page beside the document.

import * as path from "node:path";
import * as vscode from "vscode";
import { ProgressType } from "vscode-languageclient/node";
import type { ServerManager } from "../server/manager.ts";
import { documentOf, explainAbsence } from "./server.ts";
import { type Exchange, pieceOf, speakerOf, transcript } from "./transcript.ts";

const SCHEME = "dlm-ask";
const ASK = "dlm/ask";
const REDRAW = 100; // ms
const KEPT = 50; // exchanges of one document

/** The parts used of `dlm/ask`'s parameters. */
interface AskParams {
  uri: string;
  prompt?: string;
  position?: { line: number; character: number };
  version?: number;
}

export class Asking implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly talks = new Map<string, { name: string; exchanges: Exchange[] }>();
  private readonly pages = new vscode.EventEmitter<vscode.Uri>();
  private readonly running = new Set<vscode.CancellationTokenSource>();
  private readonly registration: vscode.Disposable;
  private timers = new Map<string, NodeJS.Timeout>();
  readonly onDidChange = this.pages.event;

  constructor(private readonly manager: ServerManager) {
    this.registration = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);
  }

  provideTextDocumentContent(page: vscode.Uri): string {
    const talk = this.talks.get(page.query);
    return talk === undefined ? "" : transcript(talk.name, talk.exchanges);
  }

  /** From the palette: asks for the question first. The one at the cursor is suggested. */
  async command(given: unknown): Promise<void> {
    const uri = documentOf(given);
    if (uri === undefined) {
      void vscode.window.showWarningMessage("DLM: Open a .dlm document first.");
      return;
    }
    if (this.manager.client === null) return explainAbsence(this.manager);
    const document = await vscode.workspace.openTextDocument(uri);
    const question = await vscode.window.showInputBox({
      title: `Ask ${path.basename(uri.path)}`,
      prompt: "Enter asks, Escape does not",
      value: questionAt(document),
    });
    if (question !== undefined && question.trim() !== "")
      await this.ask(uri, { uri: uri.toString(), prompt: question }, question);
  }

  /** From the lens above a question: it names the place, and the server the words. */
  async lens(argument: unknown): Promise<void> {
    const given = argument as { uri?: unknown; position?: { line?: unknown; character?: unknown } } | null | undefined;
    const { line, character } = given?.position ?? {};
    if (typeof given?.uri !== "string" || typeof line !== "number" || typeof character !== "number") return;
    const uri = vscode.Uri.parse(given.uri);
    const document = await vscode.workspace.openTextDocument(uri);
    const question = questionOn(document, line);
    await this.ask(uri, { uri: uri.toString(), position: { line, character } }, question || `line ${line + 1}`);
  }

  async ask(uri: vscode.Uri, params: AskParams, question: string): Promise<void> {
    const client = this.manager.client;
    if (client === null) return explainAbsence(this.manager);
    const exchange: Exchange = { question, answer: "", speaker: "", state: "waiting", detail: "" };
    const key = uri.toString();
    const talk = this.talks.get(key) ?? { name: path.basename(uri.path), exchanges: [] };
    talk.exchanges = [...talk.exchanges.slice(1 - KEPT), exchange];
    this.talks.set(key, talk);
    await this.open(uri);
    const stop = new vscode.CancellationTokenSource();
    this.running.add(stop);
    const token = `dlm-ask-${Date.now()}-${Math.random().toString(36).slice(2)}`;
    const pieces = client.onProgress(new ProgressType<unknown>(), token, (value) => {
      exchange.state = "speaking";
      exchange.answer += pieceOf(value);
      exchange.speaker ||= speakerOf(value);
      this.soon(uri);
    });
    try {
      const answer: unknown = await client.sendRequest(ASK, { ...params, partialResultToken: token }, stop.token);
      // With partial results the final one may be empty, as the protocol wants it; without, it is all.
      const whole = (answer as { answer?: unknown } | null)?.answer;
      const text = typeof whole === "string" && whole !== "" ? whole : pieceOf(answer);
      if (text !== "") exchange.answer = text;
      exchange.speaker = speakerOf(answer) || exchange.speaker;
      exchange.state = (answer as { cancelled?: unknown } | null)?.cancelled === true ? "cancelled" : "done";
    } catch (error) {
      exchange.state = stop.token.isCancellationRequested ? "cancelled" : "failed";
      exchange.detail = error instanceof Error ? error.message : String(error);
    } finally {
      pieces.dispose();
      this.running.delete(stop);
      stop.dispose();
      this.soon(uri);
    }
  }

  /** Calls off every question that is not answered yet; whether there was one. */
  cancel(): boolean {
    const some = this.running.size > 0;
    for (const each of this.running) each.cancel();
    return some;
  }

  dispose(): void {
    this.cancel();
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.registration.dispose();
    this.pages.dispose();
  }

  private page(uri: vscode.Uri): vscode.Uri {
    return vscode.Uri.from({ scheme: SCHEME, path: `/Ask ${path.basename(uri.path)}.md`, query: uri.toString() });
  }

  private async open(uri: vscode.Uri): Promise<void> {
    const page = this.page(uri);
    this.pages.fire(page);
    if (vscode.window.visibleTextEditors.some((each) => each.document.uri.toString() === page.toString())) return;
    await vscode.window.showTextDocument(page, {
      viewColumn: vscode.ViewColumn.Beside,
      preserveFocus: true,
      preview: false,
    });
  }

  private soon(uri: vscode.Uri): void {
    const key = uri.toString();
    if (this.timers.has(key)) return;
    const timer = setTimeout(() => {
      this.timers.delete(key);
      this.pages.fire(this.page(uri));
    }, REDRAW);
    this.timers.set(key, timer);
  }
}

/** The question of the exchange that the cursor is in; empty when it is in none. */
function questionAt(document: vscode.TextDocument): string {
  const editor = vscode.window.activeTextEditor;
  if (editor?.document !== document) return "";
  return questionOn(document, editor.selection.active.line);
}

function questionOn(document: vscode.TextDocument, from: number): string {
  for (let line = Math.min(from, document.lineCount - 1); line >= 0; line--) {
    const text = document.lineAt(line).text.trim();
    if (/^::.*::$/.test(text)) return "";
    if (/^### Q( !probe)?$/.test(text)) return linesBelow(document, line);
  }
  return "";
}

function linesBelow(document: vscode.TextDocument, header: number): string {
  const lines: string[] = [];
  for (let line = header + 1; line < document.lineCount; line++) {
    const text = document.lineAt(line).text;
    if (/^(### |::)/.test(text.trim())) break;
    lines.push(text);
  }
  return lines.join("\n").trim();
}
