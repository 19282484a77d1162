/** The findings of one or two radiographs: probability against threshold, group by group. */

import { words } from "./catalogue.js";
import { element, percent } from "./element.js";

const GROUPS = [
  { group: "radiology", heading: "Radiology", note: "What can be seen on the film" },
  { group: "physiology", heading: "Physiology", note: "What the film lets one infer" },
];

function bar({ probability, threshold, positive }) {
  const fill = element("span", { class: "fill" });
  const mark = element("span", { class: "mark" });
  fill.style.width = `${probability * 100}%`;
  mark.style.left = `${threshold * 100}%`;
  const kind = positive ? "bar positive" : "bar";
  return element("span", { class: kind, "aria-hidden": "true" }, fill, mark);
}

function tags({ simulated, measured, calibrated }) {
  const texts = [simulated && "simulated", measured && "measured", !calibrated && "not calibrated"];
  return texts.filter(Boolean).map((text) => element("span", { class: "tag" }, text));
}

/** The heading of a row: the finding's name, seen once for all radiographs. */
function label(finding, first) {
  const title = element("span", { class: first ? "" : "unseen" }, words(finding.label));
  return element("th", { scope: "row" }, title, " ", ...(first ? tags(finding) : []));
}

function chart(finding, name) {
  const whose = name ? [element("span", { class: "whose" }, name)] : [];
  return element("td", {}, element("div", { class: "chart" }, ...whose, bar(finding)));
}

function row(finding, name, first) {
  const verdict = finding.positive ? ", above its threshold" : ", below its threshold";
  const number = element("td", { class: "number" }, percent(finding.probability));
  number.append(element("span", { class: "unseen" }, verdict));
  return element(
    "tr",
    { class: finding.positive ? "positive" : "", "data-label": finding.label },
    label(finding, first),
    chart(finding, name),
    number,
    element("td", { class: "threshold" }, percent(finding.threshold)),
  );
}

function head() {
  const column = (title, kind) => element("th", { scope: "col", class: kind }, title);
  const cells = [column("Finding", ""), element("td", {}), column("Probability", "number")];
  return element("thead", {}, element("tr", {}, ...cells, column("Threshold", "threshold")));
}

/** One table for a group; radiographs stand under each other finding by finding. */
function table({ group, heading, note }, panes) {
  const all = panes.flatMap(({ name, reading }) =>
    reading.prediction.findings
      .filter((finding) => finding.group === group)
      .map((finding) => ({ finding, name: panes.length > 1 && name })),
  );
  if (!all.length) return null;
  const labels = [...new Set(all.map(({ finding }) => finding.label))];
  const rows = labels.flatMap((wanted) =>
    all
      .filter(({ finding }) => finding.label === wanted)
      .map(({ finding, name }, i) => row(finding, name, i === 0)),
  );
  const caption = element("caption", {}, element("b", {}, heading), ` ${note}`);
  return element("table", { class: "findings" }, caption, head(), element("tbody", {}, ...rows));
}

/** Show the findings. @param {import("./pane.js").Pane[]} panes */
export function showFindings(container, panes) {
  const parts = GROUPS.map((group) => table(group, panes)).filter(Boolean);
  container.replaceChildren(...parts);
}

/** A finding's name as words, which say so where it was learnt from simulated physiology. */
export function marked({ label: name, simulated }) {
  return simulated ? `${words(name)} (simulated)` : words(name);
}

/** The findings in one sentence, for those who listen. */
export function summary({ findings }) {
  const positive = findings.filter((finding) => finding.positive);
  const names = positive.map((finding) => `${marked(finding)} ${percent(finding.probability)}`);
  if (!positive.length) return `None of ${findings.length} findings is above its threshold.`;
  return `${positive.length} of ${findings.length} above threshold: ${names.join(", ")}.`;
}
