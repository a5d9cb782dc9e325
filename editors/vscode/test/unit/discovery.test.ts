import assert from "node:assert/strict";
import { test } from "node:test";
import {
  candidates,
  commandLine,
  discover,
  type Finding,
  type Launch,
  newEnough,
  type Surroundings,
  sameLaunch,
  shown,
} from "../../src/server/discovery.ts";

const ALL = [
  "/active/bin/python",
  "/ws/.venv/bin/python",
  "/ws/venv/bin/python",
  "/own/bin/python",
  "/usr/bin/dlm-lsp",
  "/opt/bin/dlm-lsp",
];

function around(changes: Partial<Surroundings> = {}, present: string[] = ALL): Surroundings {
  return {
    platform: "linux",
    trusted: true,
    lspPath: "dlm-lsp",
    interpreter: "",
    activePython: "/active/bin/python",
    folders: ["/ws"],
    ownEnvironment: "/own",
    pathVariable: "/usr/bin:/opt/bin",
    home: "/home/ada",
    isFile: (file) => present.includes(file),
    real: (file) => file,
    ...changes,
  };
}

const places = (of: Surroundings) => candidates(of).map(({ source, launch }) => `${source}: ${shown(launch)}`);

const complete: Finding = { python: "p", pythonVersion: "3.12.1", server: "1.0", torch: "2.13.0" };
const torchless: Finding = { ...complete, torch: null };
const empty: Finding = { ...complete, server: null };

function asked(answers: Record<string, Finding>): (launch: Launch) => Promise<Finding> {
  return (launch) => Promise.resolve(answers[shown(launch)] ?? empty);
}

test("the order: active environment, workspace, what was installed here, PATH", () => {
  assert.deepEqual(places(around()), [
    "active environment: /active/bin/python",
    "workspace: /ws/.venv/bin/python",
    "workspace: /ws/venv/bin/python",
    "installed: /own/bin/python",
    "PATH: /usr/bin/dlm-lsp",
    "PATH: /opt/bin/dlm-lsp",
  ]);
});

test("a setting is the only place that is looked at", () => {
  assert.deepEqual(places(around({ lspPath: "/x/dlm-lsp" })), ["dlm.lspPath: /x/dlm-lsp"]);
  assert.deepEqual(places(around({ interpreter: "/x/python3" })), ["dlm.interpreter: /x/python3"]);
  assert.deepEqual(places(around({ lspPath: "/x/dlm-lsp", interpreter: "/x/python3" })), ["dlm.lspPath: /x/dlm-lsp"]);
});

test("the setting may name a Python, a home, the workspace, or a name that the PATH has", () => {
  const launch = (lspPath: string) => candidates(around({ lspPath }, [...ALL, "/opt/bin/other-lsp"]))[0]?.launch;
  assert.deepEqual(launch("/x/python3.12"), { kind: "python", python: "/x/python3.12" });
  assert.deepEqual(launch("~/bin/dlm-lsp"), { kind: "executable", command: "/home/ada/bin/dlm-lsp" });
  assert.deepEqual(launch("${workspaceFolder}/.venv/bin/dlm-lsp"), {
    kind: "executable",
    command: "/ws/.venv/bin/dlm-lsp",
  });
  assert.deepEqual(launch(".venv/bin/dlm-lsp"), { kind: "executable", command: "/ws/.venv/bin/dlm-lsp" });
  assert.deepEqual(launch("other-lsp"), { kind: "executable", command: "/opt/bin/other-lsp" });
  assert.deepEqual(launch("a path with blanks/dlm-lsp"), {
    kind: "executable",
    command: "/ws/a path with blanks/dlm-lsp",
  });
});

test("a workspace that is not trusted has nothing started in it, wherever the hint came from", () => {
  const hidden = around({ trusted: false, activePython: "/ws/.venv/bin/python", pathVariable: "/ws/bin:/usr/bin" }, [
    ...ALL,
    "/ws/bin/dlm-lsp",
  ]);
  assert.deepEqual(places(hidden), ["installed: /own/bin/python", "PATH: /usr/bin/dlm-lsp"]);
  const linked = around({
    trusted: false,
    activePython: "/outside/python",
    real: (file) => (file === "/outside/python" ? "/ws/evil/python" : file),
  });
  assert.ok(!places(linked).some((place) => place.includes("/outside/python")));
  assert.ok(places(around({ trusted: false })).includes("active environment: /active/bin/python"));
});

test("a folder of the PATH that is relative is not looked at", () => {
  assert.deepEqual(places(around({ activePython: null, folders: [], pathVariable: ".:bin::/usr/bin" })).slice(1), [
    "PATH: /usr/bin/dlm-lsp",
  ]);
});

test("the first that can train is chosen; without one, the first that can serve", async () => {
  const first = await discover(around(), asked({ "/active/bin/python": torchless, "/ws/.venv/bin/python": complete }));
  assert.equal(first.chosen && shown(first.chosen.candidate.launch), "/ws/.venv/bin/python");
  const second = await discover(around(), asked({ "/ws/venv/bin/python": torchless }));
  assert.equal(second.chosen && shown(second.chosen.candidate.launch), "/ws/venv/bin/python");
  assert.equal(second.problem, null);
});

test("one that cannot tell whether it has torch is taken as it is", async () => {
  const found = await discover(
    around({}, ["/usr/bin/dlm-lsp"]),
    asked({
      "/usr/bin/dlm-lsp": { python: null, pythonVersion: null, server: "1.0", torch: undefined },
    }),
  );
  assert.equal(found.chosen?.candidate.source, "PATH");
});

test("a Python that is too old is none", async () => {
  const found = await discover(
    around({}, []),
    asked({ "/active/bin/python": { ...complete, pythonVersion: "3.10.14" } }),
  );
  assert.equal(found.chosen, null);
  assert.match(found.log.join("\n"), /too old, 3\.11 is needed/);
  assert.deepEqual(["3.11.0", "3.9.1", "4.0.0", "3.100.0", "2.7.18"].map(newEnough), [true, false, true, true, false]);
});

test("what was looked at, found and chosen is told, line by line", async () => {
  const { log } = await discover(around(), asked({ "/own/bin/python": complete }));
  assert.deepEqual(log, [
    "Looking for the server.",
    "  active environment: /active/bin/python: Python 3.12.1, no dlm-language-server",
    "  workspace: /ws/.venv/bin/python: Python 3.12.1, no dlm-language-server",
    "  workspace: /ws/venv/bin/python: Python 3.12.1, no dlm-language-server",
    "  installed: /own/bin/python: Python 3.12.1, dlm-language-server 1.0, torch 2.13.0",
    "Chosen: /own/bin/python (installed).",
  ]);
});

test("a setting that points nowhere is named, and nothing is taken instead of it", async () => {
  const found = await discover(around({ interpreter: "/x/python" }), asked({ "/active/bin/python": complete }));
  assert.equal(found.chosen, null);
  assert.equal(found.setting, "dlm.interpreter");
  assert.match(found.problem ?? "", /dlm\.interpreter names \/x\/python/);
});

test("nothing found is one sentence, and no setting's fault", async () => {
  const found = await discover(around({ activePython: null }, []), asked({}));
  assert.match(found.problem ?? "", /not installed/);
  assert.equal(found.setting, null);
});

test("on Windows: Scripts, .exe, and a path list with semicolons", () => {
  const windows = around(
    { platform: "win32", activePython: null, folders: [], pathVariable: "/a;/b", ownEnvironment: "/own" },
    ["/own/Scripts/python.exe", "/b/dlm-lsp.exe"],
  );
  assert.deepEqual(places(windows), ["installed: /own/Scripts/python.exe", "PATH: /b/dlm-lsp.exe"]);
});

test("command lines are arrays, and nothing of the current folder is imported", () => {
  assert.deepEqual(commandLine({ kind: "python", python: "/a b/python" }, "doctor"), {
    command: "/a b/python",
    args: ["-P", "-m", "dlm_lsp", "doctor"],
  });
  assert.deepEqual(commandLine({ kind: "executable", command: "/a b/dlm-lsp" }), { command: "/a b/dlm-lsp", args: [] });
});

test("a restart is for another server only", () => {
  const one: Launch = { kind: "python", python: "/a" };
  assert.ok(sameLaunch(one, { kind: "python", python: "/a" }));
  assert.ok(!sameLaunch(one, { kind: "executable", command: "/a" }));
  assert.ok(!sameLaunch(one, null));
  assert.ok(!sameLaunch(null, null));
});
