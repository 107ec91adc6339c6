// A PC's strip, live: each second's value as it comes, and the last minute drawn beside the last hour.
import { reading } from "./units.js";

const MINUTE_MS = 60000;
const HOUR_SHARE = 0.6;
const WIDTH = 120;
const HEIGHT = 40;
const QUIET_MS = 6000;
const kept = new Map();
let newest = 0;

export function start() {
  document.addEventListener("fettle:reading", (event) => take(event.detail));
  document.addEventListener("fettle:morphed", (event) => event.detail.id === "strip_part" && newest && draw());
  setInterval(() => newest && Date.now() - newest > QUIET_MS && rest(), 2000);
}

function take({ at, readings }) {
  newest = Date.now();
  for (const [key, instance, value] of readings) {
    const name = `${key}\n${instance}`;
    const points = kept.get(name) || [];
    points.push([at, value]);
    while (points.length && points[0][0] < at - MINUTE_MS) points.shift();
    kept.set(name, points);
  }
  draw();
}

function draw() {
  const note = document.querySelector("[data-live-note]");
  if (note) note.textContent = "Live: each line is the last hour, then the last minute.";
  for (const tile of document.querySelectorAll("[data-reading]")) {
    const points = kept.get(`${tile.dataset.reading}\n${tile.dataset.instance}`);
    if (points) paint(tile, points);
  }
}

function paint(tile, points) {
  tile.classList.add("is-live");
  const [at, value] = points[points.length - 1];
  const words = reading(value, tile.dataset.unit);
  const place = tile.querySelector("[data-value]");
  if (place.textContent !== words) place.textContent = words;
  const low = Number(tile.dataset.low);
  const high = Number(tile.dataset.high);
  const drawn = points.map(([when, each]) => {
    const x = WIDTH - ((at - when) / MINUTE_MS) * WIDTH * (1 - HOUR_SHARE - 0.02);
    const share = Math.min(1, Math.max(0, (each - low) / (high - low)));
    return `${x.toFixed(1)} ${(HEIGHT - share * HEIGHT).toFixed(1)}`;
  });
  tile.querySelector("[data-minute]").setAttribute("d", `M${drawn.join("L")}`);
}

function rest() {
  newest = 0;
  kept.clear();
  for (const tile of document.querySelectorAll(".is-live")) {
    tile.classList.remove("is-live");
    tile.querySelector("[data-minute]").setAttribute("d", "");
  }
  const note = document.querySelector("[data-live-note]");
  if (note) note.textContent = "Not live: this PC does not answer just now. Each line is the last hour that is known.";
}
