// Asks a candidate what it is. Runs a Python's own start-up and no more; nothing heavy is imported.

import { execFile } from "node:child_process";
import * as os from "node:os";
import { besides, type Finding, type Launch, type Surroundings } from "./discovery.ts";

/** How long a candidate may take (ms): a cold disk and a virus scanner, but not a hung one. */
const PATIENCE = 15_000;

export async function examine(
  launch: Launch,
  around: Pick<Surroundings, "platform" | "isFile" | "real">,
  script: string,
): Promise<Finding> {
  const python = launch.kind === "python" ? launch.python : besides(launch.command, around);
  if (launch.kind === "python") return probed(launch.python, script);
  const said = await run(launch.command, ["--version"]);
  if (!said.ok) return nothing(said.problem);
  const server = /^dlm-lsp (\S+)/m.exec(said.output)?.[1];
  if (server === undefined) return nothing("it is no `dlm-lsp` of this project: `--version` said something else");
  const beside = python === null ? null : await probed(python, script);
  if (beside === null || beside.server === null) {
    return { python: null, pythonVersion: null, server, torch: undefined };
  }
  return { ...beside, server };
}

async function probed(python: string, script: string): Promise<Finding> {
  const said = await run(python, [script]);
  if (!said.ok) return nothing(said.problem);
  try {
    const found = JSON.parse(said.output) as Record<string, unknown>;
    return {
      python,
      pythonVersion: text(found.pythonVersion),
      server: text(found.server),
      torch: text(found.torch),
    };
  } catch {
    return nothing("it did not answer as a Python does");
  }
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function nothing(problem: string): Finding {
  return { python: null, pythonVersion: null, server: null, torch: undefined, problem };
}

type Said = { ok: true; output: string } | { ok: false; problem: string };

function run(command: string, args: string[]): Promise<Said> {
  return new Promise((resolve) => {
    // Not in the workspace: a Python would import what happens to lie there.
    const options = { cwd: os.homedir(), timeout: PATIENCE, windowsHide: true, maxBuffer: 1 << 20 };
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) {
        resolve({ ok: true, output: stdout });
      } else if (error.code === "ENOENT") {
        resolve({ ok: false, problem: "there is no such file" });
      } else if (error.killed) {
        resolve({ ok: false, problem: `it did not answer within ${PATIENCE / 1000} s` });
      } else {
        resolve({ ok: false, problem: lastLine(stderr) ?? lastLine(error.message) ?? "it failed" });
      }
    });
    child.stdin?.end();
  });
}

function lastLine(output: string): string | undefined {
  return output
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .pop()
    ?.slice(0, 300);
}
