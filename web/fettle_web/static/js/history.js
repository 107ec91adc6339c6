// A PC's history: readings (uPlot), faults, incidents and events on one time axis, with one cursor through all of them.
import { exact } from "./time.js";
import { number, reading } from "./units.js";

const GUTTER = 58;
const RIGHT = 8;
const AGAIN_MS = 60000;
const SVG = "http://www.w3.org/2000/svg";
const LANES = [["change", "Changes"], ["fault", "Faults"], ["incident", "Incidents"], ["event", "Events"]];
let place, data, plots = [], cursors = [], said;

export async function start() {
  place = document.getElementById("history");
  if (!place) return;
  await load();
  new ResizeObserver(() => resize()).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", build);
  setInterval(() => !document.hidden && load(), AGAIN_MS);
  document.addEventListener("fettle:morphed", (event) => event.detail.id === "history_tables" && load());
}

async function load() {
  try {
    const answer = await fetch(place.dataset.history, { headers: { "X-Requested-With": "fetch", "X-Fettle-Live": "1" } });
    if (!answer.ok) return;
    data = await answer.json();
    build();
  } catch {
    // the banner says that the server is away; the next round tries again
  }
}

function build() {
  for (const plot of plots) plot.destroy();
  plots = [];
  cursors = [];
  place.replaceChildren();
  if (!data.charts.length && !data.lanes.length) {
    const words = document.createElement("p");
    words.className = "empty-line";
    words.textContent = "Nothing is known of this time.";
    place.append(words);
    return;
  }
  const colours = palette();
  const times = Array.from({ length: binCount() }, (_, i) => (data.start + (i + 0.5) * data.step) / 1000);
  data.charts.forEach((chart, i) => chartOf(chart, times, colours, i === data.charts.length - 1));
  place.append(lanes());
  said = document.createElement("p");
  said.className = "history-said";
  place.append(said);
  say(null);
}

function binCount() {
  return data.charts.length ? data.charts[0].lines[0].mean.length : 1;
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    lines: [colour("accent"), colour("ink-2"), colour("ink-3"), colour("line-strong")],
    ink: colour("ink-3"), grid: colour("line"), ill: colour("ill"), watch: colour("watch"),
  };
}

function chartOf(chart, times, colours, isLast) {
  const box = document.createElement("div");
  box.className = "history-chart";
  const head = document.createElement("h3");
  const name = document.createElement("span");
  name.textContent = chart.title;
  const values = document.createElement("span");
  values.className = "history-values";
  head.append(name, values);
  box.append(head);
  place.append(box);
  const series = [{}];
  const columns = [times];
  const bands = [];
  chart.lines.forEach((line, i) => {
    const stroke = colours.lines[i];
    series.push({ stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } }, { stroke, width: 1.5, points: { show: true, size: 4, fill: stroke, filter: lonely } });
    columns.push(line.high, line.low, line.mean);
    bands.push({ series: [i * 3 + 1, i * 3 + 2], fill: fade(stroke) });
  });
  const plot = new uPlot({
    width: width(), height: isLast ? 106 : 86, padding: [10, RIGHT, 0, 0],
    scales: { x: { time: true, range: () => [data.start / 1000, data.end / 1000] }, y: { range: (_, low, high) => range(chart, low, high) } },
    axes: [axisX(colours, isLast), axisY(chart, colours)],
    cursor: { sync: { key: "history" }, points: { show: false }, drag: { x: false, y: false }, y: false },
    legend: { show: false }, series, bands,
    hooks: { drawAxes: [(each) => drawFaults(each, colours), (each) => drawLevels(each, chart, colours)], setCursor: [(each) => follow(each, chart, values, colours)] },
  }, columns, box);
  plots.push(plot);
  label(chart, values, colours, null);
}

// Points that have no neighbour would not be seen as a line: they are drawn as dots.
function lonely(plot, index) {
  const values = plot.data[index];
  return values.flatMap((value, i) => (value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null ? [i] : []));
}

function width() {
  return Math.max(200, place.clientWidth - 2 * parseFloat(getComputedStyle(place.firstElementChild || place).paddingLeft || 16));
}

function fade(colour, strength = "22") {
  const bare = colour.replace("#", "");
  return /^[0-9a-f]{6}$/i.test(bare) ? `#${bare}${strength}` : "transparent";
}

function range(chart, low, high) {
  if (low === null || high === null) return [0, 1];
  for (const { value } of chart.levels) if (value <= high * 2 + 1) high = Math.max(high, value);
  if (chart.unit === "%") return high > 50 ? [0, 100] : [0, Math.max(high * 1.15, 5)];
  const air = (high - low) * 0.1 || Math.abs(high) * 0.1 || 1;
  return [low >= 0 ? Math.max(0, low - air) : low - air, high + air];
}

function axisX(colours, isLast) {
  return {
    stroke: colours.ink, font: "11px system-ui", size: isLast ? 30 : 4, gap: 6, space: 64,
    grid: { stroke: colours.grid, width: 1 }, ticks: { show: false },
    values: isLast ? (_, splits, __, ___, step) => splits.map((each) => tick(each, step)) : (_, splits) => splits.map(() => ""),
  };
}

function tick(seconds, step) {
  const time = new Date(seconds * 1000);
  if (step >= 86400 || (time.getHours() === 0 && time.getMinutes() === 0)) return time.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

function axisY(chart, colours) {
  return {
    stroke: colours.ink, font: "11px system-ui", size: GUTTER, gap: 6, space: 26,
    grid: { stroke: colours.grid, width: 1 }, ticks: { show: false },
    values: (_, splits) => splits.map((each) => short(each, chart.unit)),
  };
}

function short(value, unit) {
  if (unit === "bytes" || unit === "bytes/s") return reading(value, "bytes").replace("bytes", "B");
  return unit === "%" ? `${number(value)} %` : number(value);
}

// A faint shade behind the readings while a fault lasted, so that cause and effect are seen together.
function drawFaults(plot, colours) {
  const { ctx, bbox } = plot;
  ctx.save();
  for (const one of data.lanes) {
    if (one.lane !== "fault") continue;
    const from = Math.max(bbox.left, plot.valToPos(one.from / 1000, "x", true));
    const to = Math.min(bbox.left + bbox.width, plot.valToPos((one.to ?? data.end) / 1000, "x", true));
    ctx.fillStyle = fade(colours[one.state] || colours.ink, "14");
    if (to > from) ctx.fillRect(from, bbox.top, to - from, bbox.height);
  }
  ctx.restore();
}

function drawLevels(plot, chart, colours) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.lineWidth = devicePixelRatio;
  for (const level of chart.levels) {
    const y = plot.valToPos(level.value, "y", true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = colours[level.kind];
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}

function follow(plot, chart, values, colours) {
  const at = plot.cursor.idx ?? null;
  label(chart, values, colours, at);
  const left = plot.cursor.left;
  for (const line of cursors) {
    line.setAttribute("visibility", at === null || left < 0 ? "hidden" : "visible");
    line.setAttribute("x1", GUTTER + left);
    line.setAttribute("x2", GUTTER + left);
  }
  if (plot === plots[0]) say(at);
}

function say(at) {
  said.textContent = at === null ? "Move over the charts to read them; the tables below hold the same." : exact(data.start + (at + 0.5) * data.step);
}

function label(chart, values, colours, at) {
  values.replaceChildren(...chart.lines.map((line, i) => {
    const part = document.createElement("span");
    const swatch = document.createElement("i");
    swatch.style.background = colours.lines[i];
    const value = at === null ? line.mean.findLast((each) => each !== null) : line.mean[at];
    part.append(swatch, chart.lines.length > 1 ? `${line.name} ${reading(value, chart.unit)}` : reading(value, chart.unit));
    return part;
  }));
}

// ---- lanes ----

function lanes() {
  const box = document.createElement("div");
  box.className = "lanes";
  const wide = width();
  const shown = LANES.filter(([lane]) => lane !== "change" || data.lanes.some((each) => each.lane === lane));
  const tall = shown.length * 26;
  const svg = element("svg", { class: "lane", width: wide, height: tall, viewBox: `0 0 ${wide} ${tall}`, role: "group", "aria-label": "Changes, faults, incidents and events on the same time axis" });
  shown.forEach(([lane, name], row) => {
    const y = row * 26 + 13;
    const words = element("text", { class: "lane-name", x: 0, y: y + 4 });
    words.textContent = name;
    svg.append(words, element("line", { class: "lane-rule", x1: GUTTER, x2: wide - RIGHT, y1: y, y2: y }));
    for (const one of data.lanes.filter((each) => each.lane === lane)) svg.append(mark(one, y, wide));
  });
  const cursor = element("line", { class: "lane-cursor", y1: 0, y2: tall, x1: 0, x2: 0, visibility: "hidden" });
  cursors.push(cursor);
  svg.append(cursor);
  box.append(svg);
  return box;
}

function mark(one, y, wide) {
  const x = (ms) => GUTTER + ((Math.min(Math.max(ms, data.start), data.end) - data.start) / (data.end - data.start)) * (wide - GUTTER - RIGHT);
  const from = x(one.from);
  const shape = one.lane === "event"
    ? element("circle", { class: "span-event", cx: from, cy: y, r: 4 })
    : element("rect", { class: one.lane === "fault" ? `span-${one.state}` : `span-${one.lane}`, x: from, y: y - (one.lane === "fault" ? 4 : 2.5), width: Math.max(one.lane === "change" ? 6 : 3, x(one.to ?? data.end) - from), height: one.lane === "fault" ? 8 : 5, rx: 2 });
  const title = element("title", {});
  title.textContent = `${one.text}, ${exact(one.from)}${one.to ? ` to ${exact(one.to)}` : ""}`;
  shape.append(title);
  if (!one.href) return shape;
  const link = element("a", { href: one.href, "aria-label": title.textContent });
  link.append(shape);
  return link;
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

let lastWidth = 0;

function resize() {
  if (!data || width() === lastWidth) return;
  lastWidth = width();
  for (const plot of plots) plot.setSize({ width: lastWidth, height: plot.height });
  const old = place.querySelector(".lanes");
  cursors = [];
  old?.replaceWith(lanes());
}
