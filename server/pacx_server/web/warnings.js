/** What a reader should know before believing the findings. */

import { element } from "./element.js";

const SIMULATED =
  "Simulated physiology: learnt from simulated signals, not from measurements of patients.";

/** Warnings of one pane and its map; of two radiographs, each says which it concerns. */
function lines({ name, reading, map }, several) {
  const warnings = [...reading.prediction.warnings, ...(map?.warnings ?? [])];
  const messages = [...new Set(warnings.map(({ message }) => message))];
  if (reading.prediction.model.simulated_physiology) messages.unshift(SIMULATED);
  return messages.map((message) => (several ? `${name}: ${message}` : message));
}

/** Show all warnings. @param {import("./pane.js").Pane[]} panes */
export function showWarnings(list, panes) {
  const all = panes.flatMap((pane) => lines(pane, panes.length > 1));
  list.replaceChildren(...all.map((line) => element("li", {}, line)));
  list.hidden = all.length === 0;
}
