// A real workbench: code-server with the packaged extension, in headless Chromium, on folders of its own.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import * as path from "node:path";
import { type Browser, chromium, type FrameLocator, type Locator, type Page } from "playwright-core";

export const EXTENSION = process.env.EXTENSION_ROOT ?? "";
export const REPOSITORY = path.resolve(EXTENSION, "../..");
export const PYTHON = process.env.DLM_PYTHON ?? path.join(REPOSITORY, ".venv/bin/python");
const EDITORS =
  process.env.DLM_EDITORS ?? path.join(process.env.XDG_CACHE_HOME ?? path.join(homedir(), ".cache"), "dlm-lsp/editors");
const SHOTS = process.env.DLM_SHOTS ?? path.join(EXTENSION, "out/shots");

const SETTINGS = {
  "security.workspace.trust.enabled": false,
  "telemetry.telemetryLevel": "off",
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
  "workbench.enableExperiments": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.colorTheme": "Default Dark Modern",
  "chat.disableAIFeatures": true,
  "extensions.autoCheckUpdates": false,
  "extensions.autoUpdate": "off",
  "extensions.ignoreRecommendations": true,
  "extensions.verifySignature": false,
  "update.mode": "none",
  "git.enabled": false,
  "editor.minimap.enabled": false,
  "window.commandCenter": false,
  "files.simpleDialog.enable": true,
  "files.autoSave": "off",
  "dlm.debounceMs": 50,
};

/** A workbench in a browser is far away, and takes settings of a machine's scope from that machine. */
const MACHINE = { "dlm.interpreter": PYTHON };

export interface Options {
  readonly settings?: Record<string, unknown>;
  readonly files: Record<string, string>;
  readonly machine?: Record<string, unknown>;
  readonly trust?: boolean;
  /** Whether this machine looks as if the server were nowhere on it. */
  readonly bare?: boolean;
  /** A bundle whose `run` is called inside the extension host, with the extension from this tree. */
  readonly suite?: string;
}

export class Workbench {
  page!: Page;
  private process!: ChildProcess;
  private browser!: Browser;
  private port = 0;

  private constructor(
    readonly root: string,
    readonly folder: string,
    readonly name: string,
  ) {}

  static async start(name: string, options: Options): Promise<Workbench> {
    const root = mkdtempSync(path.join(tmpdir(), "dlm workbench "));
    const bench = new Workbench(root, path.join(root, "my project"), name);
    for (const folder of ["my project", "user/User", "user/Machine", "tmp", "dlm"])
      mkdirSync(path.join(root, folder), { recursive: true });
    mkdirSync(SHOTS, { recursive: true });
    for (const [file, text] of Object.entries(options.files)) writeFileSync(path.join(bench.folder, file), text);
    const settings = {
      ...SETTINGS,
      ...(options.trust ? { "security.workspace.trust.enabled": true } : {}),
      ...options.settings,
    };
    writeFileSync(path.join(root, "user/User/settings.json"), JSON.stringify(settings));
    writeFileSync(
      path.join(root, "user/Machine/settings.json"),
      JSON.stringify({ ...(options.bare ? {} : MACHINE), ...options.machine }),
    );
    if (options.suite === undefined) cpSync(installed(), path.join(root, "extensions"), { recursive: true });
    await bench.launch(options);
    return bench;
  }

  /** The exit code of the suite inside the extension host. */
  suiteEnded: Promise<number> = Promise.resolve(0);

  private async launch({ trust, suite, bare }: Options): Promise<void> {
    this.port = await freePort();
    const args = ["--auth", "none", "--bind-addr", `127.0.0.1:${this.port}`, "--config", "/dev/null"];
    args.push(
      "--disable-telemetry",
      "--disable-update-check",
      "--disable-getting-started-override",
      "--ignore-last-opened",
    );
    if (suite !== undefined) args.push("--vscode-option", "enable-smoke-test-driver");
    if (trust !== true) args.push("--disable-workspace-trust");
    args.push("--user-data-dir", path.join(this.root, "user"), "--extensions-dir", path.join(this.root, "extensions"));
    const log = openSync(path.join(SHOTS, `${this.name}-code-server.log`), "w");
    this.process = spawn(path.join(EDITORS, "bin/code-server"), [...args, this.folder], {
      stdio: ["ignore", log, log],
      env: {
        ...process.env,
        EXTENSIONS_GALLERY: '{"serviceUrl":""}',
        TMPDIR: path.join(this.root, "tmp"),
        DLM_HOME: path.join(this.root, "dlm"),
        HF_HUB_OFFLINE: "1",
        PYTHONPATH: bare === true ? "" : process.env.DLM_SERVER || REPOSITORY,
      },
    });
    await until("code-server answers", async () => {
      const answer = await fetch(`http://127.0.0.1:${this.port}/healthz`).catch(() => null);
      return answer?.ok === true;
    });
    this.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" });
    this.page = await context.newPage();
    this.page.setDefaultTimeout(30_000);
    let address = `http://127.0.0.1:${this.port}/?folder=${encodeURIComponent(this.folder)}`;
    if (suite !== undefined) {
      this.suiteEnded = new Promise((resolve) => void this.page.exposeFunction("codeAutomationExit", resolve));
      await this.page.exposeFunction("codeAutomationLog", (_kind: string, said: unknown[]) => {
        const line = said.map(String).join(" ");
        if (/^(not )?ok - /.test(line)) console.log(line);
      });
      const remote = (file: string) => `vscode-remote://127.0.0.1:${this.port}${file}`;
      const payload = [
        ["extensionDevelopmentPath", remote(EXTENSION)],
        ["extensionTestsPath", remote(suite)],
      ];
      address += `&payload=${encodeURIComponent(JSON.stringify(payload))}`;
    }
    await this.page.goto(address);
    if (suite === undefined) await this.explorer();
  }

  private async explorer(): Promise<void> {
    await this.page.waitForSelector(".monaco-workbench .explorer-folders-view .monaco-list-row", { timeout: 90_000 });
  }

  async reload(): Promise<void> {
    await this.page.reload();
    await this.page.waitForSelector(".monaco-workbench .part.statusbar", { timeout: 90_000 });
  }

  async open(file: string): Promise<void> {
    await this.page.keyboard.press("Control+p");
    await this.page.locator(".quick-input-widget input").fill(file);
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: file }).first().waitFor();
    await this.page.keyboard.press("Enter");
    await this.page.waitForSelector(`.tab.active[data-resource-name="${file}"]`);
    await this.page.waitForSelector("#status\\.editor\\.mode >> text=DLM");
  }

  /** Puts the cursor at the end of the text and types; nothing is completed by it. */
  async type(text: string): Promise<void> {
    await this.focusEditor();
    await this.page.keyboard.press("Control+End");
    await this.page.keyboard.insertText(text);
    await this.page.waitForSelector(".tab.active.dirty");
  }

  async focusEditor(): Promise<void> {
    await this.page.keyboard.press("Control+1");
    await this.page.waitForSelector(".editor-group-container.active .monaco-editor.focused");
  }

  async save(): Promise<void> {
    await this.page.keyboard.press("Control+s");
    await this.page.waitForSelector(".tab.active:not(.dirty)");
  }

  async palette(command: string): Promise<void> {
    await this.page.keyboard.press("F1");
    await this.page.waitForSelector(".quick-input-widget input");
    await this.page.keyboard.insertText(command);
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: command }).first().waitFor();
    await this.page.keyboard.press("Enter");
  }

  /** What the language status says, as its label has it. */
  async status(): Promise<string> {
    const item = this.page.locator("#status\\.languageStatus, [id^='status.languageStatus']");
    const labels = await item.evaluateAll((found) =>
      found.map((each) => `${each.getAttribute("aria-label")} ${each.querySelector("a")?.getAttribute("aria-label")}`),
    );
    return labels.join(" | ");
  }

  async statusBecomes(pattern: RegExp, patience = 120_000): Promise<string> {
    let newest = "";
    await until(
      `the status is ${pattern}`,
      async () => {
        newest = await this.status();
        return pattern.test(newest);
      },
      patience,
      () => newest,
    );
    return newest;
  }

  get toasts(): Locator {
    return this.page.locator(".notification-toast");
  }

  /** How many marks of a kind stand beside the text. Decorations carry the file of their icon in their style. */
  async marks(kind: string): Promise<number> {
    return this.page.evaluate((name) => {
      const glyphs = [...document.querySelectorAll(".glyph-margin-widgets .cgmr, .margin-view-overlays .cgmr")];
      return glyphs.filter((each) => getComputedStyle(each).backgroundImage.includes(`${name}-`)).length;
    }, kind);
  }

  /** The Problems view's rows. */
  async problems(): Promise<string[]> {
    await this.palette("View: Focus Problems");
    await this.page.waitForSelector(".markers-panel");
    return this.page.locator(".markers-panel .monaco-list-row").allInnerTexts();
  }

  /** The training panel's page, opened if it is not. */
  async panel(): Promise<FrameLocator> {
    await this.palette("DLM: Show Training Panel");
    const outer = this.page.frameLocator("iframe.webview.ready").last();
    const inner = outer.frameLocator("#active-frame");
    await inner.locator("#page .now").waitFor();
    return inner;
  }

  async shot(name: string): Promise<void> {
    await this.page.screenshot({ path: path.join(SHOTS, `${name}.png`) });
  }

  read(file: string): string {
    return readFileSync(path.join(this.folder, file), "utf8");
  }

  /** The ids of this workbench's language servers. */
  servers(): number[] {
    const all = execFileSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" });
    const mine = all.split("\n").filter((line) => line.includes("-m dlm_lsp") && !line.includes("ps -eo"));
    return mine.map((line) => Number(line.trim().split(" ")[0])).filter((pid) => belongs(pid, this.root));
  }

  async stop(): Promise<void> {
    await this.shot(`${this.name}-end`).catch(() => undefined);
    await this.browser?.close();
    this.process?.kill("SIGTERM");
    await new Promise((resolve) =>
      this.process.exitCode === null ? this.process.once("exit", resolve) : resolve(null),
    );
    await until("no server is left", async () => this.servers().length === 0, 15_000);
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Whether this code-server has the native part that gives output channels their text. */
export function logsAreKept(): boolean {
  const places = readdirSync(EDITORS).filter((name) => name.startsWith("code-server-"));
  const native = "node_modules/code-server/lib/vscode/node_modules/@vscode/spdlog/build/Release/spdlog.node";
  return places.some((name) => existsSync(path.join(EDITORS, name, native)));
}

/** Whether a process was started with this workbench's home for what is learned. */
function belongs(pid: number, root: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").includes(`DLM_HOME=${root}`);
  } catch {
    return false;
  }
}

export async function until(
  what: string,
  holds: () => Promise<boolean>,
  patience = 30_000,
  seen: () => string = () => "",
): Promise<void> {
  const end = Date.now() + patience;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${patience / 1000} s. ${seen()}`);
    await new Promise((resolve) => setTimeout(resolve, 100)); // what an editor shows can only be looked at
  }
}

/** The extensions folder with the newest package in it, made once a run. */
function installed(): string {
  const dist = path.join(EXTENSION, "dist");
  const vsix = readdirSync(dist).find((name) => name.endsWith(".vsix"));
  if (vsix === undefined) throw new Error("there is no package: npm run package");
  const place = path.join(EXTENSION, "out/extensions");
  const stamp = path.join(place, ".of");
  const now = String(execFileSync("sha256sum", [path.join(dist, vsix)])).split(" ")[0] ?? "";
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === now) return place;
  rmSync(place, { recursive: true, force: true });
  const user = path.join(EXTENSION, "out/install-user");
  const args = [
    "--config",
    "/dev/null",
    "--user-data-dir",
    user,
    "--extensions-dir",
    place,
    "--install-extension",
    path.join(dist, vsix),
  ];
  execFileSync(path.join(EDITORS, "bin/code-server"), args, {
    stdio: "ignore",
    env: { ...process.env, EXTENSIONS_GALLERY: '{"serviceUrl":""}' },
  });
  writeFileSync(stamp, now);
  return place;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
