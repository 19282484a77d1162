/** What is being served: models, and the maps that each of them can draw. */

import * as service from "./service.js";

const TITLES = {
  rollout: "Attention rollout",
  last_layer: "Attention, last layer",
  relevance: "Relevance",
  integrated_gradients: "Integrated gradients",
  gradient_shap: "Gradient SHAP",
  occlusion: "Occlusion",
  region_ablation: "Region ablation",
};

/** Attention is the same for every finding; all other methods explain one. */
const UNTARGETED = new Set(["rollout", "last_layer"]);

let served = [];

/** Ask the server what it serves, unless it has answered before. */
export async function load() {
  if (!served.length) served = await service.models();
}

/** Names and versions, the default model first. */
export function models() {
  return served.map(({ name, version }) => ({ name, version }));
}

/** Names of the methods that all of these models offer. @param {string[]} names */
export function methods(names) {
  const offers = served.filter(({ name }) => names.includes(name)).map((model) => model.methods);
  return offers.length ? offers[0].filter((method) => offers.every((all) => all.includes(method))) : [];
}

/** Whether a method explains one finding at a time. */
export function targeted(method) {
  return !UNTARGETED.has(method);
}

/** What people call a method. */
export function title(method) {
  return TITLES[method] ?? words(method);
}

/** A name of a bundle or a method as words. */
export function words(name) {
  return name.replaceAll("_", " ");
}
