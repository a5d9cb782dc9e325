// The page of `dlm-lsp serve --page` in a real browser: live, after a reload, after the server's restart, and guarded.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { type Browser, chromium, type Page } from "playwright-core";
import { DOCUMENT, exchange } from "./documents.ts";
import { EXTENSION, PYTHON, REPOSITORY } from "./workbench.ts";

const SHOTS = process.env.DLM_SHOTS ?? path.join(EXTENSION, "out/shots");
const root = mkdtempSync(path.join(tmpdir(), "dlm page "));
const notes = path.join(root, "notes.dlm");
const token = path.join(root, "token");
const started: ChildProcess[] = [];
let browser: Browser;
let page: Page;
let port = 0;
let url = "";

/** Serves the document on `port`; the address that is printed, once it learned all that is there. */
async function serve(): Promise<[ChildProcess, string]> {
  const server = dlm("serve", notes, "--port", `${port}`, "--watch", "--page", "--token-file", token);
  return [server, await printed(server, /the page: (\S+)/)];
}

function dlm(...args: string[]): ChildProcess {
  const server = spawn(PYTHON, ["-m", "dlm_lsp", ...args], {
    env: { ...process.env, DLM_HOME: path.join(root, "home"), PYTHONPATH: REPOSITORY, PYTHONUNBUFFERED: "1" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  started.push(server);
  return server;
}

async function printed(server: ChildProcess, wanted: RegExp): Promise<string> {
  let text = "";
  for await (const piece of server.stdout?.setEncoding("utf8").iterator({ destroyOnReturn: false }) ?? []) {
    text += piece;
    const found = wanted.exec(text)?.[1];
    if (found !== undefined) {
      server.stdout?.resume();
      return found;
    }
  }
  throw new Error(`${wanted} was never printed:\n${text}`);
}

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  const place = createServer().listen(0, "127.0.0.1");
  await once(place, "listening");
  port = (place.address() as { port: number }).port;
  place.close();
  writeFileSync(notes, DOCUMENT);
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
  const context = await browser.newContext({ viewport: { width: 900, height: 820 }, colorScheme: "light" });
  page = await context.newPage();
  page.setDefaultTimeout(120_000);
  [, url] = await serve();
});
after(async () => {
  await browser?.close();
  for (const each of started) each.kill("SIGKILL");
  rmSync(root, { recursive: true, force: true });
});

const versions = () => page.locator('section[aria-label="Versions"] th');

test("a run is shown while it goes on, without anything that the policy forbids", async () => {
  const complaints: string[] = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url);
  await page.getByRole("heading", { name: "notes.dlm" }).waitFor();
  assert.equal(new URL(page.url()).hash, "", "the token leaves the address");
  await versions().getByText("v1", { exact: true }).waitFor();
  writeFileSync(notes, DOCUMENT + exchange("What does the ferry carry?", "Salt and letters."));
  await page.locator("progress").waitFor();
  await page
    .getByText(/step \d+/)
    .first()
    .waitFor();
  await page.locator(".chart canvas").waitFor();
  await versions().getByText("v2", { exact: true }).waitFor();
  await page.locator('[data-state="learned"]').nth(1).waitFor();
  assert.deepEqual(await versions().allTextContents(), ["v2", "v1"]);
  assert.equal(await page.getByRole("button", { name: "Ask…" }).count(), 0, "nothing that cannot be done here");
  assert.deepEqual(complaints, []);
});

test("a reload shows the whole history, from the address bar without the token too", async () => {
  const chart = page.locator(".plot");
  const before = await chart.getAttribute("aria-label");
  await page.reload();
  await versions().getByText("v2", { exact: true }).waitFor();
  assert.deepEqual(await versions().allTextContents(), ["v2", "v1"]);
  assert.equal(await chart.getAttribute("aria-label"), before);
});

test("before and after, and going back to a version", async () => {
  await page.getByRole("button", { name: "Before and after" }).click();
  await page.getByText("Salt and letters.").waitFor();
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  await page.screenshot({ path: path.join(SHOTS, "page.png") });
  await page.getByRole("button", { name: "Revert to v1" }).click();
  await page.getByText("v0001 is current again").waitFor();
  await page.locator("tr.current th", { hasText: "v1" }).waitFor();
});

test("what another process learns is shown as it happens", async () => {
  const [served] = started.slice(-1);
  served?.kill("SIGKILL");
  await page.getByText("The server ended unexpectedly.").waitFor();
  started.push(dlm("serve", notes, "--port", `${port}`, "--page", "--token-file", token));
  await page.locator("tr.current th", { hasText: "v1" }).waitFor(); // it came back by itself
  await page.getByText("The server ended unexpectedly.").waitFor({ state: "detached" });
  const other = dlm("train", notes);
  other.stdout?.resume();
  await page
    .getByText(/step \d+/)
    .first()
    .waitFor();
  await versions().getByText("v3", { exact: true }).waitFor({ timeout: 240_000 });
});

test("a foreign host and a missing token are refused", async () => {
  const stranger = await browser.newContext();
  const other = await stranger.newPage();
  await other.goto(`http://127.0.0.1:${port}/`);
  await other.getByText("The server does not let this page in").waitFor();
  assert.equal(await other.locator("h1").count(), 0);
  // A page of a site whose name was made to mean this machine, and one from elsewhere that guesses the port.
  assert.equal(await status("evil.example"), 403);
  await other.goto("about:blank");
  const read = await other.evaluate(
    (place) => fetch(place).then((answer) => answer.text(), String),
    `http://127.0.0.1:${port}/page/events`,
  );
  assert.match(read, /TypeError/);
  await stranger.close();
});

function status(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, host: "127.0.0.1", path: "/", headers: { Host: host } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    asked.on("error", reject).end();
  });
}
