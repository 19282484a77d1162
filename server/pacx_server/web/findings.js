/** The findings of one or two radiographs: probability against threshold, group by group. */

import { element, percent } from "./element.js";

const GROUPS = [
  { group: "radiology", heading: "Radiology", note: "What can be seen on the film" },
  { group: "physiology", heading: "Physiology", note: "What the film lets one infer" },
];
const SIMULATED =
  "Simulated physiology: learnt from simulated signals, not from measurements of patients.";

function bar({ probability, threshold, positive }) {
  const fill = element("span", { class: "fill" });
  const mark = element("span", { class: "mark" });
  fill.style.width = `${probability * 100}%`;
  mark.style.left = `${threshold * 100}%`;
  const kind = positive ? "bar positive" : "bar";
  return element("span", { class: kind, "aria-hidden": "true" }, fill, mark);
}

function verdict(finding) {
  return finding.positive ? "above its threshold" : "below its threshold";
}

function row(finding, name, heading) {
  const number = element("td", { class: "number" }, percent(finding.probability));
  number.append(element("span", { class: "unseen" }, `, ${verdict(finding)}`));
  const label = heading
    ? element("th", { scope: "row" }, finding.label.replaceAll("_", " "))
    : element("th", { scope: "row" }, element("span", { class: "unseen" }, finding.label));
  if (name) label.append(element("span", { class: "tag" }, name));
  if (finding.simulated) label.append(element("span", { class: "tag" }, "simulated"));
  return element(
    "tr",
    { class: finding.positive ? "positive" : "", "data-label": finding.label },
    label,
    element("td", {}, bar(finding)),
    number,
    element("td", { class: "threshold" }, percent(finding.threshold)),
  );
}

function head() {
  const titles = [
    ["Finding", ""],
    ["", ""],
    ["Probability", "number"],
    ["Threshold", "threshold"],
  ];
  const cells = titles.map(([title, kind]) =>
    title ? element("th", { scope: "col", class: kind }, title) : element("td", {}),
  );
  return element("thead", {}, element("tr", {}, ...cells));
}

/** One table for a group; readings stand under each other finding by finding. */
function table({ group, heading, note }, readings) {
  const tagged = readings.length > 1;
  const columns = readings.map(({ prediction }) =>
    prediction.findings.filter((finding) => finding.group === group),
  );
  if (!columns[0].length) return null;
  const rows = columns[0].flatMap((_, i) =>
    columns.map((column, j) => row(column[i], tagged && readings[j].name, j === 0)),
  );
  const caption = element("caption", {}, element("b", {}, heading), ` ${note}`);
  return element("table", { class: "findings" }, caption, head(), element("tbody", {}, ...rows));
}

/** Show the findings. @param {{name: string, prediction: object}[]} readings */
export function showFindings(container, readings) {
  const parts = GROUPS.map((group) => table(group, readings)).filter(Boolean);
  if (readings.some(({ prediction }) => prediction.model.simulated_physiology)) {
    parts.unshift(element("p", { class: "caution" }, SIMULATED));
  }
  container.replaceChildren(element("h2", {}, "Findings"), ...parts);
}

/** The findings in one sentence, for those who listen. */
export function summary({ findings }) {
  const positive = findings.filter((finding) => finding.positive);
  const names = positive.map(({ label, probability }) => `${label} ${percent(probability)}`);
  if (!positive.length) return `None of ${findings.length} findings is above its threshold.`;
  return `${positive.length} of ${findings.length} above threshold: ${names.join(", ")}.`;
}
