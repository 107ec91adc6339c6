// Durations that run: each says how long it still has, second by second, without asking the server again.
// One whose end is long past without news from the PC is taken away: nobody knows what became of it.
import { now } from "./time.js";

const OVERDUE_MS = 90000;

function words(seconds) {
  if (seconds < 1) return "any moment now";
  if (seconds < 100) return `in ${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `in ${Math.round(seconds / 60)} min` : `in ${Math.round(seconds / 3600)} h`;
}

function tick() {
  for (const element of document.querySelectorAll("[data-ends]")) {
    const left = Date.parse(element.dataset.ends) - now();
    const row = element.closest("[data-countdown-row]") || element;
    row.hidden = left < -OVERDUE_MS;
    const text = `${element.dataset.word} ${words(left / 1000)} if ${element.dataset.if}`;
    const said = text[0].toUpperCase() + text.slice(1);
    if (element.textContent !== said) element.textContent = said;
  }
}

export function start() {
  tick();
  setInterval(tick, 1000);
}
