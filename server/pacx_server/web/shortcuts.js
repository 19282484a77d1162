/** Single keys that work anywhere on the page; the help dialog lists them and can switch them off. */

import { nextMethod, press, stepOpacity } from "./controls.js";

const at = (id) => document.getElementById(id);

/** The control that must be visible for a key to act, and what the key does. */
export const KEYS = {
  o: ["open", () => press("open")],
  c: ["compare", () => press("compare")],
  s: ["save", () => press("save")],
  h: ["toolbar", () => press("overlay")],
  m: ["toolbar", nextMethod],
  "[": ["toolbar", () => stepOpacity(-1)],
  "]": ["toolbar", () => stepOpacity(1)],
  "?": ["help-open", () => press("help-open")],
};

function typing({ target }) {
  return target.matches("select, textarea, input:not([type=checkbox], [type=radio], [type=range])");
}

function key(event) {
  const [needed, act] = KEYS[event.key] ?? [];
  const modified = event.ctrlKey || event.metaKey || event.altKey;
  if (!act || modified || typing(event) || !at("single-keys").checked) return;
  if (at(needed).hidden || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  act();
}

/** Listen to the keyboard. */
export function listen() {
  document.addEventListener("keydown", key);
  at("help-open").addEventListener("click", () => at("help").showModal());
}
