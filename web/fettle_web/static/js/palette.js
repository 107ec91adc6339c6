// Ctrl-K: go anywhere by name. The server searches; the newest question's answer wins.
const PLACES = [
  { what: "Overview", where: "Page", icon: "overview", href: "/" },
  { what: "Incidents", where: "Page", icon: "incidents", href: "/incidents" },
  { what: "My incidents", where: "Page", icon: "incidents", href: "/incidents?who=me" },
  { what: "PCs", where: "Page", icon: "pc", href: "/pcs" },
  { what: "Rollouts", where: "Page", icon: "change", href: "/rollouts" },
  { what: "Change windows and freezes", where: "Page", icon: "change", href: "/settings/windows" },
  { what: "Priorities", where: "Page", icon: "settings", href: "/settings/priorities" },
  { what: "Account", where: "Page", icon: "person", href: "/account" },
];
let dialog, input, list, empty;
let found = [];
let chosen = 0;
let asked = 0;
let timer = null;

export function palette() {
  dialog = document.getElementById("palette");
  if (!dialog) return;
  input = dialog.querySelector("input");
  list = dialog.querySelector("[role=listbox]");
  empty = dialog.querySelector(".palette-empty");
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, 90);
  });
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      choose((chosen + step + found.length) % Math.max(found.length, 1));
    } else if (event.key === "Enter" && found[chosen]) {
      event.preventDefault();
      location.href = found[chosen].href;
    }
  });
}

export function openPalette() {
  if (!dialog || dialog.open) return;
  dialog.showModal();
  input.value = "";
  show(PLACES);
  input.focus();
}

async function search() {
  const text = input.value.trim();
  if (!text) return show(PLACES);
  const mine = ++asked;
  const places = PLACES.filter((place) => place.what.toLowerCase().includes(text.toLowerCase()));
  try {
    const answer = await fetch(`${input.dataset.search}?q=${encodeURIComponent(text)}`, { headers: { "X-Requested-With": "fetch" } });
    const body = await answer.json();
    if (mine === asked) show([...body.found, ...places]);
  } catch {
    if (mine === asked) show(places);
  }
}

function show(items) {
  found = items;
  empty.hidden = items.length > 0;
  list.replaceChildren(...items.map(option));
  choose(0);
}

function option(item, index) {
  const row = document.createElement("div");
  row.setAttribute("role", "option");
  row.id = `palette-${index}`;
  row.append(sign(item), text("what", item.what), text("where", item.where));
  row.addEventListener("click", () => (location.href = item.href));
  row.addEventListener("mousemove", () => choose(index));
  return row;
}

function sign(item) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", item.state ? `mark is-${item.state}` : "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", item.state ? `#s-${item.state}` : `#i-${item.icon}`);
  svg.append(use);
  return svg;
}

function text(kind, words) {
  const span = document.createElement("span");
  span.className = kind;
  span.textContent = words;
  return span;
}

function choose(index) {
  chosen = index;
  for (const [i, row] of [...list.children].entries()) row.setAttribute("aria-selected", String(i === index));
  const row = list.children[index];
  input.setAttribute("aria-activedescendant", row ? row.id : "");
  row?.scrollIntoView({ block: "nearest" });
}
