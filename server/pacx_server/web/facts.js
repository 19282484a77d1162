/** What stands beside the findings: warnings, quality, anatomy, picture, model, time. */

import { element } from "./element.js";

function list(title, rows) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!known.length) return null;
  const items = known.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value)),
  );
  return element("section", {}, element("h3", {}, title), element("dl", {}, ...items));
}

function yes(value) {
  if (value === null || value === undefined) return null;
  return value ? "yes" : "no";
}

function warnings(list_) {
  if (!list_.length) return null;
  const items = list_.map(({ message }) => element("li", {}, message));
  return element("ul", { class: "warnings", "aria-label": "Warnings" }, ...items);
}

function quality(found) {
  if (!found) return null;
  return list("Quality", [
    ["Frontal chest film", yes(found.is_frontal_chest)],
    ["Unlike the training films", yes(found.out_of_distribution)],
  ]);
}

function anatomy(found) {
  if (!found) return null;
  const { cardiothoracic_ratio: ratio, heart_area_mm2: heart, lung_area_mm2: lung } = found;
  return list("Anatomy", [
    ["Cardiothoracic ratio", ratio?.toFixed(2)],
    ["Heart", heart && `${Math.round(heart / 100)} cm²`],
    ["Lungs", lung && `${Math.round(lung / 100)} cm²`],
  ]);
}

function picture({ rows, columns, modality, view, spacing_mm: spacing, source }) {
  return list("Picture", [
    ["Format", source?.toUpperCase()],
    ["Modality", modality],
    ["View", view],
    ["Size", `${columns} x ${rows} pixels`],
    ["Spacing", spacing ? `${spacing.map((side) => side.toFixed(3)).join(" x ")} mm` : "unknown"],
  ]);
}

function model({ name, version, sha256, engine, precision }) {
  return list("Model", [
    ["Name", `${name} ${version}`],
    ["Engine", [engine, precision].filter(Boolean).join(", ")],
    ["SHA-256", element("code", { title: sha256 }, `${sha256.slice(0, 16)}…`)],
  ]);
}

function timing(milliseconds) {
  const named = { decode: "Decoding", queue: "Waiting", inference: "Model", total: "In all" };
  const rows = Object.entries(named).map(([key, title]) => [
    title,
    milliseconds?.[key] === undefined ? null : `${milliseconds[key].toFixed(0)} ms`,
  ]);
  return list("Time", rows);
}

/** Show the facts of each reading. @param {{name: string, prediction: object}[]} readings */
export function showFacts(container, readings) {
  const parts = readings.flatMap(({ name, prediction }) => [
    readings.length > 1 ? element("h2", {}, `Radiograph ${name}`) : null,
    warnings(prediction.warnings),
    quality(prediction.quality),
    anatomy(prediction.anatomy),
    picture(prediction.image),
    timing(prediction.timing_ms),
  ]);
  const models = new Map(readings.map(({ prediction }) => [prediction.model.sha256, prediction.model]));
  container.replaceChildren(...[...parts, ...[...models.values()].map(model)].filter(Boolean));
}
