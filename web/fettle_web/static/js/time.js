// Keeps every <time> true: relative in words, exact in local time on hover. The wording is that of words.py.
const UNITS = [
  [365 * 86400, "year"], [30 * 86400, "month"], [86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"],
];
const EXACT = new Intl.DateTimeFormat("en-GB", {
  weekday: "short", day: "numeric", month: "short", year: "numeric",
  hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
});
const HOUR = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
let ahead = 0; // how far this device's clock is ahead of the server's

export function now() {
  return Date.now() - ahead;
}

export function ago(ms) {
  const seconds = (now() - ms) / 1000;
  if (Math.abs(seconds) < 10) return "just now";
  return seconds > 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`;
}

export function span(seconds) {
  const [size, unit] = UNITS.find(([least]) => seconds >= least) || UNITS[UNITS.length - 1];
  const count = Math.floor(seconds / size);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

export function exact(ms) {
  return EXACT.format(ms);
}

export function refreshTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]:not([data-still])")) {
    const ms = Date.parse(element.dateTime);
    if (Number.isNaN(ms)) continue;
    const words = wording(element, ms);
    if (element.textContent !== words) element.textContent = words;
    const title = exact(ms);
    if (element.title !== title) element.title = title;
  }
}

function wording(element, ms) {
  if (element.hasAttribute("data-exact")) return exact(ms);
  if (element.hasAttribute("data-hour")) return HOUR.format(ms);
  return element.hasAttribute("data-span") ? span(Math.max(0, (now() - ms) / 1000)) : ago(ms);
}

export function keepTimes() {
  const server = Number(document.body.dataset.now);
  if (server) {
    const rendered = performance.timeOrigin + performance.getEntriesByType("navigation")[0].responseStart;
    ahead = rendered - server;
    if (Math.abs(ahead) < 3000) ahead = 0;
  }
  refreshTimes();
  setInterval(refreshTimes, 5000);
}
