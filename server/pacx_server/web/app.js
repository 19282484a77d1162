/** The desk: opens radiographs, keeps one or two of them, and wires the controls to them. */

import { showFacts } from "./facts.js";
import { showFindings, summary } from "./findings.js";
import { Intake } from "./intake.js";
import { Pane } from "./pane.js";
import { clearProblem, showProblem } from "./problem.js";
import * as service from "./service.js";

const at = (id) => document.getElementById(id);
const NAMES = ["A", "B"];

/** Radiographs on the desk: `{name, file, pane, prediction, grids}`. */
const readings = [];
let slot = 0;
let running = null;

const say = (text) => {
  at("announcer").textContent = text;
};
const opacity = () => at("opacity").valueAsNumber / 100;
const dragMode = () => document.querySelector("input[name=drag]:checked").value;

/** Ask the server about a file; the earlier question is dropped. */
async function read(file, signal) {
  const [prediction, bitmap] = await Promise.all([
    service.predict(file, signal),
    service.film(file, signal),
  ]);
  const { method, grid } = prediction.attention;
  return { file, prediction, bitmap, grids: new Map([[method, grid]]) };
}

/** The map of the chosen method, asked for once. */
async function gridOf(reading) {
  const method = at("method").value;
  if (!reading.grids.has(method)) {
    reading.grids.set(method, (await service.explain(reading.file, method)).grid);
  }
  return reading.grids.get(method);
}

function place(reading) {
  const name = NAMES[slot];
  const pane = new Pane(name, dragMode);
  const before = readings[slot];
  before ? before.pane.node.replaceWith(pane.node) : at("panes").append(pane.node);
  readings[slot] = { ...reading, name, pane };
  at("welcome").hidden = true;
  delete at("desk").dataset.empty;
  pane.hang(reading.bitmap, reading.prediction.image);
  return readings[slot];
}

function report() {
  showFindings(at("findings"), readings);
  showFacts(at("facts"), readings);
  const { name, version, sha256 } = readings[0].prediction.model;
  at("model").textContent = `${name} ${version} · ${sha256.slice(0, 8)}`;
  at("model").hidden = false;
  at("toolbar").hidden = false;
  at("open-second").setAttribute("aria-pressed", String(readings.length > 1));
}

async function lay(reading) {
  reading.pane.lay(await gridOf(reading));
  reading.pane.fade(opacity());
}

async function open(file) {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  clearProblem();
  document.body.classList.add("busy");
  say("Reading the radiograph.");
  try {
    const reading = place(await read(file, mine.signal));
    await lay(reading);
    report();
    reading.pane.frame.focus({ preventScroll: true });
    const where = `The map is hottest in the ${reading.pane.place} of the picture.`;
    say(`Radiograph ${reading.name}. ${summary(reading.prediction)} ${where}`);
  } catch (error) {
    if (!mine.signal.aborted) showProblem(error);
  } finally {
    if (running === mine) document.body.classList.remove("busy");
  }
}

const intake = new Intake(at("file"), open);

function choose(into) {
  slot = into;
  intake.choose();
}

function compare() {
  if (readings.length < 2) {
    choose(1);
    return;
  }
  readings.pop().pane.node.remove();
  slot = 0;
  report();
}

function fade() {
  at("opacity-value").textContent = `${at("opacity").value} %`;
  for (const { pane } of readings) pane.fade(opacity());
}

let shown = at("opacity").value;

/** Hide the map, or bring it back as it was. */
function toggleMap() {
  const slider = at("opacity");
  if (slider.value !== "0") shown = slider.value;
  slider.value = slider.value === "0" ? shown : "0";
  fade();
}

async function changeMethod() {
  clearProblem();
  try {
    await Promise.all(readings.map(lay));
    say(`${at("method").selectedOptions[0].text} is shown.`);
  } catch (error) {
    showProblem(error);
  }
}

/** Let the browser keep a picture; nothing of the file's name goes into its name. */
function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function save() {
  try {
    for (const { file, name } of readings) {
      download(await service.overlay(file, at("method").value, opacity()), `pacx-${name}.png`);
    }
  } catch (error) {
    showProblem(error);
  }
}

function key(event) {
  const typing = event.target.matches("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
  if (event.key === "o") choose(0);
  else if (event.key === "h" && readings.length) toggleMap();
}

at("open-first").addEventListener("click", () => choose(0));
at("open-again").addEventListener("click", () => choose(0));
at("open-second").addEventListener("click", compare);
at("opacity").addEventListener("input", fade);
at("method").addEventListener("change", changeMethod);
at("reset").addEventListener("click", () => readings.forEach(({ pane }) => pane.viewport.reset()));
at("save").addEventListener("click", save);
document.addEventListener("keydown", key);
