// The console without a mouse. Keys do nothing while somebody types, and never hide a key of the browser's own.
import { send } from "./forms.js";
import { openPalette } from "./palette.js";

const PLACES = { o: "/", i: "/incidents", p: "/pcs", r: "/rollouts" };
let leader = 0;

export function keys() {
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      return openPalette();
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
    if (press(event.key, event)) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-open]");
    if (opener) opener.dataset.open === "palette" ? openPalette() : document.getElementById(opener.dataset.open).showModal();
    if (event.target.localName === "dialog") event.target.close();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.matches?.("input[type=search], textarea")) event.target.blur();
    const submits = event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.localName === "textarea";
    if (submits) event.target.form.requestSubmit();
  });
  document.addEventListener("fettle:morphed", restore);
  if (location.hash === "#resolve") act("r");
}

function typing(target) {
  return target.isContentEditable || ["input", "textarea", "select"].includes(target.localName);
}

function press(key, event) {
  if (Date.now() - leader < 1200 && PLACES[key]) return (location.href = PLACES[key]);
  leader = key === "g" ? Date.now() : 0;
  if (key === "?") return open("help");
  if (key === "/") return focus(document.querySelector("input[type=search]"));
  if (key === "u" && document.querySelector(".crumbs a")) return (location.href = back());
  if (rows().length) return walk(key, event);
  return act(key);
}

function open(id) {
  document.getElementById(id).showModal();
  return true;
}

function focus(element) {
  element?.focus();
  element?.select?.();
  return Boolean(element);
}

function back() {
  const link = document.querySelector(".crumbs a");
  const from = document.referrer && new URL(document.referrer);
  return from && from.origin === location.origin && from.pathname === new URL(link.href).pathname ? from.href : link.href;
}

// ---- a list: j, k, Enter, a, r ----

let here = "";

function rows() {
  return [...document.querySelectorAll("[data-rows] > li, [data-rows] > tbody > tr")];
}

function walk(key, event) {
  const all = rows();
  const at = all.findIndex((row) => row.id === here);
  if (key === "j") return go(all, Math.min(at + 1, all.length - 1));
  if (key === "k") return go(all, Math.max(at - 1, 0));
  const row = all[at];
  if (!row) return false;
  if (key === "Enter" && (event.target === document.body || row.contains(event.target)) && !event.target.closest("button, a")) return follow(row);
  if (key === "a" && row.querySelector("form")) return send(row.querySelector("form"), row.querySelector("button")) && true;
  if (key === "r" && row.dataset.number) return (location.href = row.querySelector("a.row-link").href + "#resolve");
  return false;
}

function follow(row) {
  location.href = row.querySelector("a.row-link").href;
  return true;
}

function go(all, index) {
  document.querySelector(".here")?.classList.remove("here");
  const row = all[index];
  here = row.id;
  row.classList.add("here");
  row.querySelector("a.row-link").focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
  return true;
}

function restore() {
  if (!here) return;
  const row = document.getElementById(here);
  if (row && !row.classList.contains("here")) row.classList.add("here");
}

// ---- one incident: buttons and fields say their key ----

function act(key) {
  if (!/^[a-z]$/.test(key)) return false;
  const element = document.querySelector(`[data-key="${key}"]`);
  if (!element) return false;
  if (element.localName === "summary") {
    element.parentElement.open = true;
    element.parentElement.scrollIntoView({ block: "nearest" });
    return focus(element.parentElement.querySelector("textarea, select, input:not([type=hidden], [type=checkbox]), button"));
  }
  if (element.localName === "button") element.click();
  else focus(element);
  return true;
}
