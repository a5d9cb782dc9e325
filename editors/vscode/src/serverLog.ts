// The server's standard error, line by line into its channel, at the level that each line names.

import * as readline from "node:readline";
import type { LogOutputChannel } from "vscode";

const LINE = /^\d{4}-\d\d-\d\d \S+ (DEBUG|INFO|WARNING|ERROR|CRITICAL)\b:?\s*(.*)$/;

export interface Told {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly text: string;
}

export function told(line: string): Told {
  const match = LINE.exec(line);
  const text = match?.[2] ?? line;
  switch (match?.[1]) {
    case "DEBUG":
      return { level: "debug", text };
    case "WARNING":
      return { level: "warn", text };
    case "ERROR":
    case "CRITICAL":
      return { level: "error", text };
    default:
      return { level: "info", text };
  }
}

export function relay(input: NodeJS.ReadableStream, channel: LogOutputChannel): void {
  readline
    .createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY, terminal: false, historySize: 0 })
    .on("line", (line) => {
      const { level, text } = told(line);
      channel[level](text);
    });
}
