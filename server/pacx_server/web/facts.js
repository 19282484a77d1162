/** What stands beside the findings: focus, anatomy, quality, picture, model, time. */

import { element } from "./element.js";

const yes = (value) => (value ? "yes" : "no");
const timesChance = (ratio) => `${ratio.toFixed(2)} x chance`;
const centimetres = (square) => `${Math.round(square / 100)} cm²`;
const milliseconds = (time) => `${time.toFixed(0)} ms`;

/** Each section: a title, where its values lie, and its rows as `[name, value of the part, text]`. */
const SECTIONS = [
  {
    title: "Focus of the map",
    part: ({ map }) => map?.focus,
    rows: [
      ["Heart", "heart", timesChance],
      ["Lungs", "lungs", timesChance],
      ["Outside the chest", "outside", timesChance],
    ],
  },
  {
    title: "Anatomy",
    part: ({ reading }) => reading.prediction.anatomy,
    rows: [
      ["Cardiothoracic ratio", "cardiothoracic_ratio", (ratio) => ratio.toFixed(2)],
      ["Heart", "heart_area_mm2", centimetres],
      ["Lungs", "lung_area_mm2", centimetres],
      ["Right lung", "right_lung_area_mm2", centimetres],
      ["Left lung", "left_lung_area_mm2", centimetres],
    ],
  },
  {
    title: "Quality",
    part: ({ reading }) => reading.prediction.quality,
    rows: [
      ["Frontal chest film", "is_frontal_chest", yes],
      ["Unlike the training films", "out_of_distribution", yes],
    ],
  },
  {
    title: "Picture",
    part: ({ reading }) => reading.prediction.image,
    rows: [
      ["Format", "source", (source) => source.toUpperCase()],
      ["Modality", "modality", String],
      ["View", "view", String],
      ["Width", "columns", (columns) => `${columns} px`],
      ["Height", "rows", (rows) => `${rows} px`],
      ["Pixel spacing", "spacing_mm", ([high, wide]) => `${high.toFixed(3)} x ${wide.toFixed(3)} mm`],
    ],
  },
  {
    title: "Model",
    part: ({ reading }) => reading.prediction.model,
    rows: [
      ["Name", "name", String],
      ["Version", "version", String],
      ["SHA-256", "sha256", (hash) => element("code", { title: hash }, `${hash.slice(0, 12)}…`)],
      ["Engine", "engine", String],
      ["Precision", "precision", String],
    ],
  },
  {
    title: "Time",
    part: ({ reading }) => reading.prediction.timing_ms,
    rows: [
      ["Decoding", "decode", milliseconds],
      ["Waiting", "queue", milliseconds],
      ["Model", "inference", milliseconds],
      ["In all", "total", milliseconds],
    ],
  },
];

const known = (value) => value !== null && value !== undefined;

function row(parts, [name, key, text]) {
  const values = parts.map((part) => part?.[key]);
  if (!values.some(known)) return null;
  const cells = values.map((value) => element("td", {}, known(value) ? text(value) : "–"));
  return element("tr", {}, element("th", { scope: "row" }, name), ...cells);
}

/** The head of a table with a column for each radiograph. */
export function namesOf(panes) {
  const names = panes.map(({ name }) => element("th", { scope: "col" }, name));
  return element("thead", {}, element("tr", {}, element("td", {}), ...names));
}

/** One table; radiographs stand beside each other, what no one knows is left out. */
function section({ title, part, rows }, panes) {
  const parts = panes.map(part);
  const filled = rows.map((named) => row(parts, named)).filter(Boolean);
  if (!filled.length) return null;
  const caption = element("caption", {}, title);
  const table = element("table", { class: "facts" }, caption, element("tbody", {}, ...filled));
  if (panes.length > 1) caption.after(namesOf(panes));
  return table;
}

/**
 * Show what is known of each radiograph.
 * @param {import("./pane.js").Pane[]} panes
 * @param {...(Node|null)} first Tables that stand above all others.
 */
export function showFacts(container, panes, ...first) {
  const tables = [...first, ...SECTIONS.map((facts) => section(facts, panes))];
  const sections = tables.filter(Boolean);
  container.replaceChildren(...sections);
}
