/** The desk: opens radiographs, keeps one or two of them, and wires the controls to them. */

import { askForKey } from "./access.js";
import * as catalogue from "./catalogue.js";
import { chooseComparison } from "./comparison.js";
import * as controls from "./controls.js";
import * as evaluations from "./evaluations.js";
import { showFacts } from "./facts.js";
import { showFindings, summary } from "./findings.js";
import { Intake } from "./intake.js";
import { Pane } from "./pane.js";
import { clearProblem, showProblem } from "./problem.js";
import { Reading } from "./reading.js";
import { onLocked } from "./service.js";
import { listen } from "./shortcuts.js";
import { download, snapshot } from "./snapshot.js";
import { estimates } from "./values.js";
import { showWarnings } from "./warnings.js";

const at = (id) => document.getElementById(id);
const NAMES = ["A", "B"];

/** One or two panes, each with its reading. */
const panes = [];
let slot = 0;
let running = null;

const say = (text) => {
  at("announcer").textContent = text;
};

/** Ask one question at a time: the earlier one is dropped, and what goes wrong is shown. */
async function ask(words, action) {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  clearProblem();
  document.body.classList.add("busy");
  say(words);
  try {
    await action(mine.signal);
  } catch (error) {
    if (!mine.signal.aborted) showProblem(error);
  } finally {
    if (running === mine) document.body.classList.remove("busy");
  }
}

/** Let the other film be looked at as this one is. */
function lead(pane, state) {
  if (!controls.linked()) return;
  for (const other of panes) if (other !== pane) other.viewport.follow(state);
}

function addPane() {
  const pane = new Pane(NAMES[panes.length], {
    dragMode: controls.dragMode,
    onLook: (state) => lead(pane, state),
    onModel: (name) => changeModel(pane, name),
  });
  panes.push(pane);
  at("panes").append(pane.node);
  at("welcome").hidden = true;
  delete at("desk").dataset.empty;
  return pane;
}

function report() {
  showWarnings(at("warnings"), panes);
  showFindings(at("findings"), panes);
  showFacts(at("facts"), panes, estimates(panes));
  const models = panes.map(({ reading }) => reading.prediction.model);
  const names = models.map(({ name, version, sha256 }) => `${name} ${version} · ${sha256.slice(0, 8)}`);
  at("model").textContent = [...new Set(names)].join("  |  ");
}

function fade() {
  controls.refresh();
  for (const pane of panes) pane.fade(controls.opacity());
}

/** Bring maps and report up to what is on the desk and chosen in the toolbar. */
async function refresh(signal) {
  controls.offer(panes.map(({ reading }) => reading.prediction));
  report();
  const maps = await Promise.all(panes.map(({ reading }) => reading.map(controls.choice(), signal)));
  maps.forEach((map, i) => panes[i].lay(map));
  fade();
  report();
}

function announce(pane) {
  say(`Radiograph ${pane.name}. ${summary(pane.reading.prediction)} ${pane.hottest}`);
}

/** Read files into the panes from `first` on. */
function open(files, first) {
  const from = Math.min(first, panes.length);
  return ask("Reading the radiograph.", async (signal) => {
    await catalogue.load();
    const model = panes[from]?.reading.prediction.model.name;
    const wanted = files.slice(0, NAMES.length - from);
    const readings = await Promise.all(wanted.map((file) => Reading.of(file, model, signal)));
    readings.forEach((reading, i) => (panes[from + i] ?? addPane()).hang(reading));
    await refresh(signal);
    panes[from].frame.focus({ preventScroll: true });
    announce(panes[from]);
  });
}

async function changeModel(pane, name) {
  await ask(`Reading with ${name}.`, async (signal) => {
    pane.hang(await pane.reading.by(name, signal));
    await refresh(signal);
    announce(pane);
  });
  pane.model.value = pane.reading.prediction.model.name;
}

function changeMap() {
  controls.refresh();
  return ask("Drawing the map.", async (signal) => {
    await refresh(signal);
    say(`${panes[0].caption}. ${panes[0].hottest}`);
  });
}

const intake = new Intake(at("file"), (files, pane) => {
  open(files, pane ? NAMES.indexOf(pane.dataset.name) : slot);
});

function choose(into) {
  slot = into;
  intake.choose();
}

function closeSecond() {
  panes.pop().node.remove();
  slot = 0;
  controls.offer(panes.map(({ reading }) => reading.prediction));
  report();
  say("Radiograph B is closed.");
}

async function compare() {
  if (panes.length > 1) return closeSecond();
  const [{ reading }] = panes;
  const choice = await chooseComparison(reading.prediction.model.name);
  if (choice === "file") choose(1);
  else if (choice) compareModels(reading, choice);
}

function compareModels(reading, model) {
  return ask(`Reading with ${model}.`, async (signal) => {
    const other = await reading.by(model, signal);
    const pane = addPane();
    pane.hang(other);
    pane.viewport.follow(panes[0].viewport);
    await refresh(signal);
    announce(pane);
  });
}

function save() {
  return ask("Drawing the picture.", async () => {
    download(await snapshot(panes, controls.opacity()), "pacx.png");
    say("The picture is saved.");
  });
}

function reset() {
  for (const { viewport } of panes) viewport.reset();
}

function toggleOutline({ target: box }) {
  at("panes").classList.toggle(`without-${box.value}`, !box.checked);
}

at("open-first").addEventListener("click", () => choose(0));
at("open").addEventListener("click", () => choose(0));
at("compare").addEventListener("click", compare);
at("save").addEventListener("click", save);
at("reset").addEventListener("click", reset);
at("overlay").addEventListener("change", fade);
at("opacity").addEventListener("input", fade);
at("method").addEventListener("change", changeMap);
at("target").addEventListener("change", changeMap);
at("versus").addEventListener("change", changeMap);
at("outlines").addEventListener("change", toggleOutline);
listen();
evaluations.listen();
onLocked(askForKey);
ask("", catalogue.load);
