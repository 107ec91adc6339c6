// A reading's value as words, as words.py says it.
const SIZES = ["bytes", "kB", "MB", "GB", "TB", "PB"];

export function number(value) {
  const size = Math.abs(value);
  const decimals = size >= 100 || Number.isInteger(value) ? 0 : size >= 1 ? 1 : 2;
  return value.toLocaleString("en-GB", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

export function reading(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "yes/no") return value >= 0.5 ? "yes" : "no";
  if (unit === "bytes" || unit === "bytes/s") return size(value) + (unit === "bytes/s" ? "/s" : "");
  if (unit === "count" || unit === "") return number(value);
  if (unit === "/h") return `${number(value)} an hour`;
  return `${number(value)} ${unit}`;
}

function size(value) {
  let step = 0;
  while (Math.abs(value) >= 1000 && step < SIZES.length - 1) {
    value /= 1000;
    step += 1;
  }
  return `${number(value)} ${SIZES[step]}`;
}
