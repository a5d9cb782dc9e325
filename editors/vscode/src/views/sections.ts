// Marks beside the sections of visible documents. Drawn at most ten times a second, and only when they change.

import * as vscode from "vscode";
import { setting } from "../settings.ts";
import type { Statuses } from "../statuses.ts";
import { alike, MARKS, type Mark, marks, RULER } from "./sectionMarks.ts";

const REST = 100; // ms between two drawings

interface Drawn {
  readonly marks: Map<Mark, number[]>;
  /** Of the text and of the status: the editor moves marks with its text, so that an old status says nothing new. */
  readonly version: number;
  readonly generation: number;
}

export class SectionMarks implements vscode.Disposable {
  private readonly types: ReadonlyMap<Mark, vscode.TextEditorDecorationType>;
  private readonly drawn = new Map<vscode.TextEditor, Drawn>();
  private readonly subscriptions: vscode.Disposable[];
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly statuses: Statuses,
    context: vscode.ExtensionContext,
  ) {
    this.types = new Map(MARKS.map((mark) => [mark, decoration(context, mark)]));
    this.subscriptions = [
      statuses.onDidChange(() => this.soon()),
      vscode.window.onDidChangeVisibleTextEditors(() => this.soon()),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration("dlm.sectionMarks")) this.soon();
      }),
    ];
    this.soon();
  }

  dispose(): void {
    clearTimeout(this.timer);
    for (const each of [...this.subscriptions, ...this.types.values()]) each.dispose();
  }

  private soon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.draw();
    }, REST);
  }

  private draw(): void {
    const wanted = setting("sectionMarks", true);
    const visible = vscode.window.visibleTextEditors;
    for (const editor of this.drawn.keys()) {
      if (!visible.includes(editor)) this.drawn.delete(editor);
    }
    for (const editor of visible.filter((each) => each.document.languageId === "dlm")) {
      const { document } = editor;
      const status = wanted ? this.statuses.of(document.uri) : undefined;
      const generation = status?.generation ?? -1;
      const before = this.drawn.get(editor);
      if (before?.generation === generation) continue;
      const now = marks(status?.sections ?? [], document.lineCount);
      this.drawn.set(editor, { marks: now, version: document.version, generation });
      if (before?.version === document.version && alike(now, before.marks)) continue;
      for (const [mark, lines] of now) {
        const type = this.types.get(mark);
        if (type !== undefined)
          editor.setDecorations(
            type,
            lines.map((line) => new vscode.Range(line, 0, line, 0)),
          );
      }
    }
  }
}

function decoration(context: vscode.ExtensionContext, mark: Mark): vscode.TextEditorDecorationType {
  const icon = (theme: string) =>
    vscode.Uri.joinPath(context.extensionUri, "media", "sections", `${mark}-${theme}.svg`);
  const ruler = RULER[mark];
  return vscode.window.createTextEditorDecorationType({
    dark: { gutterIconPath: icon("dark") },
    light: { gutterIconPath: icon("light") },
    gutterIconSize: "contain",
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedOpen,
    ...(ruler === null
      ? {}
      : { overviewRulerColor: new vscode.ThemeColor(ruler), overviewRulerLane: vscode.OverviewRulerLane.Left }),
  });
}
