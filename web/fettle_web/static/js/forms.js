// Forms that show their result where they were sent from: the answer's parts are morphed into place, no page is loaded.
import { morph, showResult } from "./parts.js";

export function inPlace() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method === "get" && form.hasAttribute("data-filters")) return tidy(form);
    if (!form.dataset.inplace) return;
    event.preventDefault();
    send(form, event.submitter);
  });
  for (const form of document.querySelectorAll("form[data-filters]")) {
    form.addEventListener("change", (event) => event.target.localName === "select" && form.requestSubmit());
  }
}

// An address without empty filters.
function tidy(form) {
  for (const field of form.elements) {
    if (field.name && !field.value) {
      field.disabled = true;
      setTimeout(() => (field.disabled = false), 500);
    }
  }
}

export async function send(form, button) {
  if (form.getAttribute("aria-busy") === "true") return;
  form.setAttribute("aria-busy", "true");
  button?.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form, button?.form === form ? button : null)), headers: { "X-Requested-With": "fetch" } });
    if (answer.status === 401) return location.reload();
    const html = await answer.text();
    show(form, html);
    if (answer.ok) {
      form.reset();
      form.closest("details")?.removeAttribute("open");
    }
  } catch {
    form.submit();
  } finally {
    form.removeAttribute("aria-busy");
    button?.removeAttribute("aria-busy");
  }
}

function show(form, html) {
  const parts = form.dataset.inplace.split(" ");
  const fresh = new DOMParser().parseFromString(html, "text/html");
  if (parts.includes("main") || !parts.some((id) => fresh.getElementById(id))) {
    const main = fresh.getElementById("main");
    if (main) morph(document.getElementById("main"), main);
    document.getElementById(form.dataset.reveal)?.scrollIntoView({ block: "nearest" });
    return;
  }
  showResult(html, parts);
}
