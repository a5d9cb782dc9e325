import assert from "node:assert/strict";
import { test } from "node:test";
import { after, curve, EMPTY, type Model, phaseTimes, runsOf, speed } from "../../page/model.ts";
import type { History, Run } from "../../src/history.ts";
import type { ToPage } from "../../src/panel/messages.ts";
import { words } from "../../src/protocol.ts";
import { run as running, section, status } from "./samples.ts";

const URI = "file:///notes.dlm";

function shown(...messages: ToPage[]): Model {
  const documents: ToPage = {
    type: "documents",
    documents: [{ uri: URI, name: "notes.dlm" }],
    selected: URI,
    server: "running",
    trusted: true,
  };
  return [documents, ...messages].reduce(after, EMPTY);
}

const version = (number: number, changes = {}) => ({
  version: number,
  kind: "cycle",
  at: 1000 * number,
  steps: 30,
  loss: 0.1 * number,
  seconds: 3,
  current: false,
  ...changes,
});

const run = (changes: Partial<Run>): Run => ({
  run: 1,
  kind: "cycle",
  started_at: 2000,
  ended_at: 2004,
  outcome: "finished",
  version: null,
  message: "",
  points: [],
  phases: [],
  sections: [],
  ...changes,
});

const history = (changes: Partial<History>): ToPage => ({
  type: "history",
  history: { uri: URI, versions: [], runs: [], ...changes },
});

const step = (number: number, loss: number): ToPage => ({
  type: "status",
  names: ["When does the ferry leave?"],
  status: status({
    run: running({ run: 7, step: number, loss, started_at: 2000, phase: "train" }),
    sections: [{ ...section("learning", 3), section_id: "abc" }],
  }),
});

test("a run is followed live, step by step, with the sections that it learns", () => {
  const model = shown(step(1, 3), step(2, 2), step(2, 2));
  const { x, loss, about } = curve(model);
  assert.deepEqual(
    [x, loss],
    [
      [1, 2],
      [3, 2],
    ],
  );
  assert.equal(about[1], "save 7 · step 2 · loss 2.000 · When does the ferry leave?");
});

test("progress between two statuses adds its steps, and that of another run does not", () => {
  const progress = (run_id: number, at: number): ToPage => ({
    type: "progress",
    progress: { uri: URI, run_id, step: at, total_steps: 9, phase: "train", loss: 1 },
  });
  assert.deepEqual(curve(shown(step(1, 3), progress(7, 4), progress(8, 5))).x, [1, 4]);
});

test("after a reload the whole history is there: old versions by their ends, newer ones step by step", () => {
  const points: Run["points"] = [
    [1, 3, 10, 1],
    [2, 1, 20, 2],
  ];
  const model = shown(
    history({ versions: [version(1), version(2, { steps: 2 })], runs: [run({ version: 2, points })] }),
  );
  const found = curve(model);
  assert.deepEqual(found.x, [30, 31, 32]);
  assert.deepEqual(found.loss, [null, 3, 1]);
  assert.deepEqual(found.versions, [0.1, null, 0.2]);
  assert.deepEqual(found.marks, [
    { x: 30, version: 1 },
    { x: 32, version: 2 },
  ]);
});

test("what was seen of a run gives way to the whole of it, and stays until then", () => {
  const ended: ToPage = {
    type: "status",
    names: [],
    status: status({
      version: 1,
      last: {
        run: 7,
        kind: "cycle",
        outcome: "finished",
        message: "learned",
        steps: 2,
        loss: 2,
        seconds: 1,
        at: 2003,
        notes: [],
      },
    }),
  };
  const before = shown(step(1, 3), step(2, 2), ended);
  assert.deepEqual([runsOf(before).length, runsOf(before)[0]?.version], [1, 1]);
  assert.deepEqual(curve(before).marks, [{ x: 2, version: 1 }]);
  const points: Run["points"] = [
    [1, 3, 5, 1],
    [2, 2, 9, 2],
  ];
  const after_ = [history({ versions: [version(1)], runs: [run({ run: 7, version: 1, points })] })].reduce(
    after,
    before,
  );
  assert.equal(after_.live, null);
  assert.deepEqual(curve(after_).x, [1, 2]);
});

test("a run that was cancelled is part of the story, without a version", () => {
  const points: Run["points"] = [[1, 3, 10, 1]];
  const found = curve(shown(history({ runs: [run({ outcome: "cancelled", points })] })));
  assert.deepEqual([found.x, found.marks], [[1], []]);
});

test("another document begins anew, and what comes late for the one before is dropped", () => {
  const other: ToPage = {
    type: "documents",
    documents: [],
    selected: "file:///b.dlm",
    server: "running",
    trusted: true,
  };
  const model = [other, step(1, 3)].reduce(after, shown(step(1, 3)));
  assert.deepEqual([model.status, model.live], [null, null]);
});

test("tokens per second are those of the newest steps", () => {
  const points: Run["points"] = Array.from({ length: 40 }, (_, index) => [
    index,
    1,
    index * 100,
    index < 20 ? index * 10 : 190 + index,
  ]);
  assert.equal(speed(run({ points })), 100);
  assert.equal(speed(run({ points: points.slice(0, 1) })), null);
  assert.equal(speed(undefined), null);
});

test("the time of each phase, the one that goes on up to now", () => {
  const phases: Run["phases"] = [
    ["load", 0],
    ["train", 1.5],
    ["write", 3.5],
  ];
  assert.deepEqual(phaseTimes(run({ phases }), 9999), [
    { name: "load", seconds: 1.5 },
    { name: "train", seconds: 2 },
    { name: "write", seconds: 0.5 },
  ]);
  assert.equal(phaseTimes(run({ phases, ended_at: null }), 2010)[2]?.seconds, 6.5);
});

test("prose is read, and only what stands as an exchange is learned", () => {
  const kinds = ["prose", "instruction"].map((kind) => ["new", "learned"].map((state) => words({ kind, state })));
  assert.deepEqual(kinds, [
    ["new", "read"],
    ["new", "learned"],
  ]);
});
