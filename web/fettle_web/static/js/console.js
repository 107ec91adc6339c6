// Starts what every page has. Without scripts every page still works: this only makes it quicker and live.
import { keepTimes } from "./time.js";
import { follow } from "./live.js";
import { inPlace } from "./forms.js";
import { keys } from "./keys.js";
import { palette } from "./palette.js";

document.documentElement.classList.add("js");
keepTimes();
inPlace();
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
palette();
keys();
follow();
if (document.querySelector("[data-countdowns], [data-ends]")) import("./countdown.js").then((module) => module.start());
if (document.body.dataset.pc) {
  import("./vitals.js").then((module) => module.start());
  import("./history.js").then((module) => module.start());
}
