// The page's begin: a port to whoever feeds it, the model, the view. It keeps nothing: whoever feeds it knows everything.

import type { FromPage, ToPage } from "../src/panel/messages.ts";
import { after, EMPTY } from "./model.ts";
import "./panel.css";
import { View } from "./view.ts";

/** What a webview offers; elsewhere, whoever serves the page sets `dlmPort` before this script runs. */
interface Port {
  postMessage(message: FromPage): void;
}

declare global {
  function acquireVsCodeApi(): Port;
  var dlmPort: Port | undefined;
}

const port = globalThis.dlmPort ?? acquireVsCodeApi();
const root = document.getElementById("page");
if (root === null) throw new Error("the page has no place for its content");

let model = EMPTY;
let waiting = false;
const view = new View(root, (message) => port.postMessage(message));

function draw(): void {
  waiting = false;
  view.uri = model.selected;
  view.show(model);
}

window.addEventListener("message", (event: MessageEvent<ToPage>) => {
  if (typeof event.data?.type !== "string") return;
  model = after(model, event.data);
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(draw);
});

draw();
port.postMessage({ type: "ready" });
