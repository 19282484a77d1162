/** Quantities that a model estimates, such as laboratory values, each with its interval. */

import { words } from "./catalogue.js";
import { element } from "./element.js";
import { namesOf } from "./facts.js";

const NOTE = "95 % of left-out patients lay within the range";

function number(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 3 });
}

function cell(value) {
  if (!value) return element("td", {}, "–");
  const { value: estimate, low, high, unit } = value;
  const range = element("span", { class: "range" }, `${number(low)} to ${number(high)}`);
  return element("td", {}, unit ? `${number(estimate)} ${unit} ` : `${number(estimate)} `, range);
}

function row(label, lists) {
  const found = lists.map((values) => values.find((value) => value.label === label));
  const tags = found.some((value) => value?.simulated)
    ? [" ", element("span", { class: "tag" }, "simulated")]
    : [];
  const title = element("th", { scope: "row" }, words(label), ...tags);
  return element("tr", { "data-value": label }, title, ...found.map(cell));
}

/** One table; radiographs stand beside each other. Null where no model estimates anything. */
export function estimates(panes) {
  const lists = panes.map(({ reading }) => reading.prediction.values ?? []);
  const labels = [...new Set(lists.flat().map(({ label }) => label))];
  if (!labels.length) return null;
  const caption = element("caption", { title: NOTE }, "Estimated values");
  const body = element("tbody", {}, ...labels.map((label) => row(label, lists)));
  const table = element("table", { class: "facts" }, caption, body);
  if (panes.length > 1) caption.after(namesOf(panes));
  return table;
}
