// Which server is started: places in a fixed order, each looked at, each choice with its reason. Knows no editor.

import * as path from "node:path";

/** How a server is started: an executable of its own, or a Python that has the package. */
export type Launch =
  | { readonly kind: "executable"; readonly command: string }
  | { readonly kind: "python"; readonly python: string };

export type Source = "dlm.lspPath" | "dlm.interpreter" | "active environment" | "workspace" | "installed" | "PATH";

export interface Candidate {
  readonly source: Source;
  readonly launch: Launch;
}

/** What was found out about a candidate by asking it. */
export interface Finding {
  /** The Python that runs it; null when only the executable itself is known. */
  readonly python: string | null;
  readonly pythonVersion: string | null;
  /** The version of `dlm_lsp`; null when it is not there. */
  readonly server: string | null;
  /** The version of torch; null when it is not there, undefined when that cannot be told. */
  readonly torch: string | null | undefined;
  /** Why nothing could be found out. */
  readonly problem?: string;
}

export interface Resolved {
  readonly candidate: Candidate;
  readonly finding: Finding;
}

export interface Discovery {
  readonly chosen: Resolved | null;
  /** One sentence when the author has to do something: nothing found, or a setting that points nowhere. */
  readonly problem: string | null;
  /** The setting that has to change, if it is one. */
  readonly setting: Source | null;
  /** One line per place, in order: what was looked at, what was found, what was chosen. */
  readonly log: readonly string[];
}

export interface Surroundings {
  readonly platform: NodeJS.Platform;
  readonly trusted: boolean;
  /** As set by the author; the default counts as not set. */
  readonly lspPath: string;
  readonly interpreter: string;
  /** The Python of the active environment, if an extension tells it. */
  readonly activePython: string | null;
  readonly folders: readonly string[];
  /** Where this extension installs the server. */
  readonly ownEnvironment: string;
  readonly pathVariable: string;
  readonly home: string;
  isFile(file: string): boolean;
  /** The file with links followed; the same when it cannot be. */
  real(file: string): string;
}

export const DEFAULT_LSP_PATH = "dlm-lsp";
export const LEAST_PYTHON = [3, 11] as const;
const ENVIRONMENTS = [".venv", "venv"];

/** The places to look at, in order. An explicit setting is the only one then: it must not be passed over in silence. */
export function candidates(around: Surroundings): Candidate[] {
  const explicit = around.lspPath.trim();
  if (explicit !== "" && explicit !== DEFAULT_LSP_PATH) {
    return [{ source: "dlm.lspPath", launch: launchOf(around, expanded(explicit, around)) }];
  }
  if (around.interpreter.trim() !== "") {
    const python = onPath(around, expanded(around.interpreter.trim(), around));
    return [{ source: "dlm.interpreter", launch: { kind: "python", python } }];
  }
  const found: Candidate[] = [];
  if (around.activePython !== null && permitted(around, around.activePython)) {
    found.push({ source: "active environment", launch: { kind: "python", python: around.activePython } });
  }
  if (around.trusted) {
    for (const folder of around.folders) {
      for (const name of ENVIRONMENTS) {
        const python = pythonOf(path.join(folder, name), around.platform);
        if (around.isFile(python)) found.push({ source: "workspace", launch: { kind: "python", python } });
      }
    }
  }
  const own = pythonOf(around.ownEnvironment, around.platform);
  if (around.isFile(own)) found.push({ source: "installed", launch: { kind: "python", python: own } });
  for (const command of executablesOnPath(around, DEFAULT_LSP_PATH)) {
    if (permitted(around, command)) found.push({ source: "PATH", launch: { kind: "executable", command } });
  }
  return unique(found);
}

/** Looks at the places one after the other: the first that can train, else the first that can serve. */
export async function discover(
  around: Surroundings,
  examine: (launch: Launch) => Promise<Finding>,
): Promise<Discovery> {
  const places = candidates(around);
  const log = [
    `Looking for the server${around.trusted ? "" : " (workspace not trusted: nothing in it is looked at)"}.`,
  ];
  let chosen: Resolved | null = null;
  let untrainable: Resolved | null = null;
  for (const candidate of places) {
    const finding = await examine(candidate.launch);
    log.push(`  ${candidate.source}: ${shown(candidate.launch)}: ${verdict(finding)}`);
    if (!serves(finding)) continue;
    if (finding.torch === null) {
      untrainable ??= { candidate, finding };
      continue;
    }
    chosen = { candidate, finding };
    break;
  }
  chosen ??= untrainable;
  const only = places[0];
  const setting = only?.source === "dlm.lspPath" || only?.source === "dlm.interpreter" ? only.source : null;
  if (chosen !== null) {
    log.push(`Chosen: ${shown(chosen.candidate.launch)} (${chosen.candidate.source}).`);
    return { chosen, problem: null, setting: null, log };
  }
  log.push("No server was found.");
  if (setting !== null && only !== undefined) {
    const problem = `The setting ${setting} names ${shown(only.launch)}, which cannot be used: it must be a server of this extension's language or a Python that has it.`;
    return { chosen, problem, setting, log };
  }
  const problem = "The DLM language server is not installed. It needs Python 3.11 or newer.";
  return { chosen, problem, setting: null, log };
}

/** The command line that starts it; an array, never a line for a shell. `-P` keeps the current folder from being imported. */
export function commandLine(launch: Launch, ...args: string[]): { command: string; args: string[] } {
  return launch.kind === "executable"
    ? { command: launch.command, args }
    : { command: launch.python, args: ["-P", "-m", "dlm_lsp", ...args] };
}

export function sameLaunch(one: Launch | null, other: Launch | null): boolean {
  return one !== null && other !== null && shown(one) === shown(other) && one.kind === other.kind;
}

export function serves(finding: Finding): boolean {
  if (finding.server === null) return false;
  return finding.pythonVersion === null || newEnough(finding.pythonVersion);
}

export function newEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > LEAST_PYTHON[0] || (major === LEAST_PYTHON[0] && minor >= LEAST_PYTHON[1]);
}

/** The Python of an environment's folder. */
export function pythonOf(environment: string, platform: NodeJS.Platform): string {
  return platform === "win32"
    ? path.join(environment, "Scripts", "python.exe")
    : path.join(environment, "bin", "python");
}

/** The Python that stands beside an executable, as in an environment's `bin`; null when none does. */
export function besides(command: string, around: Pick<Surroundings, "platform" | "isFile" | "real">): string | null {
  const name = around.platform === "win32" ? "python.exe" : "python";
  for (const file of [command, around.real(command)]) {
    const python = path.join(path.dirname(file), name);
    if (around.isFile(python)) return python;
  }
  return null;
}

export function shown(launch: Launch): string {
  return launch.kind === "executable" ? launch.command : launch.python;
}

function verdict(finding: Finding): string {
  if (finding.problem !== undefined) return finding.problem;
  const facts = [];
  if (finding.pythonVersion !== null) facts.push(`Python ${finding.pythonVersion}`);
  if (finding.pythonVersion !== null && !newEnough(finding.pythonVersion)) facts.push("too old, 3.11 is needed");
  facts.push(finding.server === null ? "no dlm-language-server" : `dlm-language-server ${finding.server}`);
  if (finding.server !== null && finding.torch !== undefined) {
    facts.push(finding.torch === null ? "no torch: it can help to write, but not learn" : `torch ${finding.torch}`);
  }
  return facts.join(", ");
}

/** What `dlm.lspPath` names may be a Python as well: peers' users have either there. */
function launchOf(around: Surroundings, command: string): Launch {
  const name = path.basename(command).toLowerCase();
  if (/^(python|pypy)[\d.]*(\.exe)?$/.test(name)) return { kind: "python", python: onPath(around, command) };
  return { kind: "executable", command: onPath(around, command) };
}

function expanded(text: string, around: Surroundings): string {
  const folder = around.folders[0] ?? "";
  const value = text.replaceAll("${workspaceFolder}", folder).replaceAll("${userHome}", around.home);
  if (value === "~" || value.startsWith("~/") || value.startsWith("~\\")) return path.join(around.home, value.slice(1));
  const named = value.includes("/") || value.includes("\\");
  return named && !path.isAbsolute(value) && folder !== "" ? path.join(folder, value) : value;
}

/** A bare name as the file that the PATH has for it; itself when there is none. */
function onPath(around: Surroundings, name: string): string {
  if (path.isAbsolute(name) || name.includes("/") || name.includes("\\")) return name;
  return executablesOnPath(around, name)[0] ?? name;
}

function executablesOnPath(around: Surroundings, name: string): string[] {
  const windows = around.platform === "win32";
  const names = windows && path.extname(name) === "" ? [`${name}.exe`] : [name];
  return around.pathVariable
    .split(windows ? ";" : ":")
    .filter((folder) => path.isAbsolute(folder)) // a relative one would be looked up in whatever folder is open
    .flatMap((folder) => names.map((each) => path.join(folder, each)))
    .filter((file) => around.isFile(file));
}

/** While the workspace is not trusted, nothing within it is started, wherever the hint came from. */
function permitted(around: Surroundings, file: string): boolean {
  if (around.trusted) return true;
  return [file, around.real(file)].every((each) => around.folders.every((folder) => !within(folder, each, around)));
}

function within(folder: string, file: string, around: Surroundings): boolean {
  return [folder, around.real(folder)].some((root) => {
    const relative = path.relative(root, file);
    return relative === "" || (!relative.startsWith("..") && !path.isAbsolute(relative));
  });
}

function unique(found: Candidate[]): Candidate[] {
  const seen = new Set<string>();
  return found.filter(({ launch }) => {
    const key = `${launch.kind} ${shown(launch)}`;
    return seen.has(key) ? false : seen.add(key) !== undefined;
  });
}
