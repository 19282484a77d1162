/** The toolbar: which map is laid over the films, how strongly, and what dragging does. */

import * as catalogue from "./catalogue.js";
import { element } from "./element.js";
import { marked } from "./findings.js";
import { available } from "./outlines.js";

const at = (id) => document.getElementById(id);
const STEP = 10;

/**
 * The map that is asked for.
 * @returns {{method: string, target: ?string, versus: ?string}} What speaks for the target, or for it
 *   rather than for another finding.
 */
export function choice() {
  const [method, target, versus] = ["method", "target", "versus"].map((id) => at(id).value);
  if (!catalogue.targeted(method)) return { method, target: null, versus: null };
  return { method, target, versus: versus === target ? null : versus || null };
}

/** Opacity of the hottest colour, in [0, 1]. */
export function opacity() {
  return at("overlay").checked ? at("opacity").valueAsNumber / 100 : 0;
}

/** `window` or `pan`. */
export function dragMode() {
  return document.querySelector("input[name=drag]:checked").value;
}

/** Whether two films are looked at alike. */
export function linked() {
  return at("linked").checked;
}

/** Make a map more or less opaque by steps. */
export function stepOpacity(steps) {
  at("opacity").valueAsNumber += steps * STEP;
  at("opacity").dispatchEvent(new Event("input"));
}

/** Go on to the next map. */
export function nextMethod() {
  const select = at("method");
  select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
  select.dispatchEvent(new Event("change"));
}

/** Click what a key stands for. */
export function press(id) {
  at(id).click();
}

function fill(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(({ value, text }) => element("option", { value }, text)));
  if (options.some(({ value }) => value === before)) select.value = before;
}

function offerMaps(predictions) {
  const names = predictions.map(({ model }) => model.name);
  fill(
    at("method"),
    catalogue.methods(names).map((name) => ({ value: name, text: catalogue.title(name) })),
  );
  const [first, ...others] = predictions.map(({ findings }) => findings);
  const targets = first
    .filter(({ label }) => others.every((all) => all.some((other) => other.label === label)))
    .map((finding) => ({ value: finding.label, text: marked(finding) }));
  fill(at("target"), targets);
  fill(at("versus"), [{ value: "", text: "nothing" }, ...targets]);
}

function offerOutlines(predictions) {
  const found = new Map(
    predictions.flatMap(({ anatomy }) => available(anatomy)).map((outline) => [outline.name, outline]),
  );
  for (const toggle of at("outlines").querySelectorAll("label")) {
    toggle.hidden = !found.has(toggle.dataset.outline);
  }
  at("outlines").hidden = found.size === 0;
}

/** Offer what all of the predictions on the desk allow. @param {object[]} predictions */
export function offer(predictions) {
  offerMaps(predictions);
  offerOutlines(predictions);
  refresh();
  at("linked").closest("label").hidden = predictions.length < 2;
  for (const id of ["toolbar", "save", "compare", "open"]) at(id).hidden = false;
  at("compare").setAttribute("aria-pressed", String(predictions.length > 1));
}

/** Let the controls say what they are set to. */
export function refresh() {
  at("target-tool").hidden = !catalogue.targeted(at("method").value);
  const opaque = `${at("opacity").value} %`;
  at("opacity-value").textContent = opaque;
  at("opacity").setAttribute("aria-valuetext", opaque);
}
