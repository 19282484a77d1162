/** The message that says what went wrong. */

import { Problem } from "./service.js";

const at = (id) => document.getElementById(id);

/** Show an error; one that the server did not describe is a fault of this page. */
export function showProblem(error) {
  const described = error instanceof Problem;
  at("problem-title").textContent = described ? error.title : "The viewer failed";
  at("problem-detail").textContent = error.message;
  const trace = [error.code, error.requestId && `request ${error.requestId}`];
  at("problem-code").textContent = described ? trace.filter(Boolean).join(" · ") : "";
  at("problem").hidden = false;
}

/** Take the message away. */
export function clearProblem() {
  at("problem").hidden = true;
}

at("problem-close").addEventListener("click", clearProblem);
