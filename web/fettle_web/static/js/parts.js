// Asks the server again for parts of this page and morphs them into place: focus, scroll, selection and open disclosures stay.
import { refreshTimes } from "./time.js";

const RESULT_MS = 15000;
let resultUntil = 0; // the result of what was just done stays for a while, whatever else happens

const OPTIONS = {
  morphStyle: "outerHTML",
  ignoreActiveValue: true,
  callbacks: {
    beforeNodeMorphed(old, fresh) {
      if (old.nodeType !== Node.ELEMENT_NODE) return true;
      if (old.hasAttribute("data-keep")) return false;
      if (old.localName === "details") fresh.toggleAttribute("open", old.open);
      if (old.localName === "time" && old.dateTime === fresh.dateTime) return false;
      return true;
    },
    beforeNodeRemoved(node) {
      return !(node.nodeType === Node.ELEMENT_NODE && node.id === "result" && Date.now() < resultUntil);
    },
    beforeAttributeUpdated(name, element) {
      return !(name === "class" && element.classList.contains("here")) && !(name === "open" && element.localName === "details");
    },
  },
};

export function allParts() {
  return [...document.querySelectorAll("[data-part]")];
}

export async function refreshParts(ids) {
  if (!ids.length) return;
  const url = new URL(location.href);
  url.searchParams.delete("done");
  url.hash = "";
  for (const id of ids) url.searchParams.append("part", id);
  const answer = await fetch(url, { headers: { "X-Requested-With": "fetch", "X-Fettle-Live": "1" }, cache: "no-store" });
  if (answer.status === 401 || answer.redirected) return location.reload();
  if (!answer.ok) throw new Error(`parts: ${answer.status}`);
  morphParts(await answer.text());
}

export function showResult(html, only) {
  resultUntil = 0;
  morphParts(html, only);
  resultUntil = Date.now() + RESULT_MS;
}

export function morphParts(html, only) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const old = document.getElementById(part.id);
    if (old && (!only || only.includes(part.id))) morph(old, part);
  }
}

export function morph(old, fresh) {
  Idiomorph.morph(old, fresh, OPTIONS);
  const place = document.getElementById(fresh.id) || document;
  refreshTimes(place);
  document.dispatchEvent(new CustomEvent("fettle:morphed", { detail: { id: fresh.id } }));
}
