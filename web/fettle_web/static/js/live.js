// Listens to what changed (server-sent events) and refreshes the parts that it concerns. A hidden page lets go of its stream
// and catches up when it is seen again. While the stream is lost a quiet banner says so, and the page asks by itself.
import { allParts, refreshParts } from "./parts.js";

const SOON_MS = 120;
const REST_MS = 1500;
const HIDDEN_MS = 20000;
const BANNER_MS = 4000;
const POLL_MS = 15000;

let source = null;
let last = "";
let banner = null;
let pending = new Set();
let timer = null;
let working = false;
let refreshedAt = 0;

export function follow() {
  const address = document.body.dataset.live;
  if (!address) return;
  last = document.body.dataset.after || "";
  open(address);
  let letGo = null;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(letGo);
    if (document.hidden) letGo = setTimeout(close, HIDDEN_MS);
    else if (!source) open(address);
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && !source && open(address));
  setInterval(() => {
    if (source && source.readyState === EventSource.CLOSED && !document.hidden) {
      open(address);
      want(allParts());
    }
  }, POLL_MS);
}

function open(address) {
  close();
  const url = new URL(address, location.href);
  if (last) url.searchParams.set("after", last);
  for (const name of ["pc", "rollout"]) if (document.body.dataset[name]) url.searchParams.set(name, document.body.dataset[name]);
  source = new EventSource(url);
  source.addEventListener("open", found);
  source.addEventListener("error", lost);
  source.addEventListener("changed", (event) => {
    mark(event);
    const { topics } = JSON.parse(event.data);
    want(allParts().filter((part) => concerns(part, topics)));
  });
  source.addEventListener("reset", (event) => {
    mark(event);
    want(allParts());
  });
  source.addEventListener("reading", (event) => {
    document.dispatchEvent(new CustomEvent("fettle:reading", { detail: JSON.parse(event.data) }));
  });
  source.addEventListener("ended", () => location.reload());
}

function close() {
  if (source) source.close();
  source = null;
}

function mark(event) {
  if (event.lastEventId) last = event.lastEventId;
}

function concerns(part, topics) {
  return (part.dataset.on || "").split(" ").some((topic) => topics.includes(topic));
}

function want(parts) {
  for (const part of parts) pending.add(part.id);
  if (!pending.size || timer || working) return;
  const rest = Math.max(SOON_MS, refreshedAt + REST_MS - Date.now());
  timer = setTimeout(work, rest);
}

async function work() {
  timer = null;
  working = true;
  const ids = [...pending];
  pending = new Set();
  try {
    await refreshParts(ids);
    found();
  } catch {
    lost();
    for (const id of ids) pending.add(id);
  }
  working = false;
  refreshedAt = Date.now();
  if (pending.size) want([]);
}

function found() {
  clearTimeout(banner);
  banner = null;
  document.getElementById("offline").hidden = true;
}

function lost() {
  banner ??= setTimeout(() => {
    document.getElementById("offline").hidden = false;
  }, BANNER_MS);
}
