// The page's port where no editor has it: events come as server-sent events, and what the page says goes as requests.
// The token comes in the address behind the #, which no browser sends anywhere, and stays in this tab.
"use strict";

(() => {
  const KEY = "dlm-token";
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("token");
  if (given !== null) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
  const token = sessionStorage.getItem(KEY) ?? "";
  const AGAIN = 2000; // milliseconds
  let documents = null; // the newest message of that kind

  function say(text) {
    const place = document.getElementById("said");
    place.textContent = text;
    place.hidden = text === "";
  }

  function give(data) {
    window.dispatchEvent(new MessageEvent("message", { data, origin: location.origin }));
  }

  function listen() {
    const events = new EventSource(`/page/events?token=${encodeURIComponent(token)}`);
    events.addEventListener("open", () => {
      say("");
      if (documents !== null) give(documents);
    });
    events.addEventListener("message", (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "documents") {
        if (message.selected !== null) documents = message;
        const [name] = message.documents;
        if (name !== undefined) document.title = `${name.name} · training`;
      }
      give(message);
    });
    events.addEventListener("error", () => {
      if (documents !== null) give({ ...documents, server: "gone" });
      // A browser comes back by itself after a lost connection, but not after a refusal.
      if (events.readyState !== EventSource.CLOSED) return;
      say("The server does not let this page in: open the address that `dlm-lsp serve --page` has printed.");
      setTimeout(listen, AGAIN);
    });
  }

  async function post(message) {
    say("");
    try {
      const answer = await fetch("/page/say", {
        method: "POST",
        headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
        body: JSON.stringify(message),
      });
      const told = await answer.json();
      say(told.message ?? told.error?.message ?? "");
    } catch {
      say("The server cannot be reached.");
    }
  }

  globalThis.dlmPort = {
    postMessage(message) {
      if (message.type === "ready") listen();
      else if (message.type === "command") void post(message);
    },
  };
})();
